"""HUBEL_CAPTURE: which photos are kept."""

import pytest

from app.captures import CaptureRule


def test_decisions_and_a_share_are_selected():
    rule = CaptureRule.parse(" unsure, unknown ,sample:0.25")
    assert rule == CaptureRule(unsure=True, unknown=True, sample=0.25)
    assert rule.reason("unsure", lambda: 0.9) == "unsure"
    assert rule.reason("unknown", lambda: 0.9) == "unknown"
    assert rule.reason("accepted", lambda: 0.9) is None
    assert rule.reason("accepted", lambda: 0.2) == rule.reason(None, lambda: 0.2) == "sample"
    assert CaptureRule.parse("unknown").reason("unsure", lambda: 0.0) is None
    assert CaptureRule.parse("") == CaptureRule()


@pytest.mark.parametrize(
    "text",
    [
        *("accepted", "unsure:0.5", "sample", "sample:2", "sample:x", "sample:nan"),
        *("unsure,unsure", "sample:0.1,sample:0.2"),
    ],
)
def test_other_parts_are_refused(text):
    with pytest.raises(ValueError, match="Write it like"):
        CaptureRule.parse(text)
