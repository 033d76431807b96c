"""The response says why a photo is unknown: score, threshold, and which score it is."""

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

CLASSIFY = "/api/v1/classify"
FIELDS = ("decision", "familiarity", "unknown_score", "unknown_threshold")
DULL = (140, 127, 127)


def with_familiarity(model: onnx.ModelProto) -> onnx.ModelProto:
    """Add an output: the mean of the strongest channel, from about -1 to 1."""
    model.graph.initializer.append(numpy_helper.from_array(np.array([1]), "axis"))
    model.graph.node.append(
        helper.make_node("ReduceMax", ["embedding", "axis"], ["familiarity"], keepdims=0)
    )
    floats = onnx.TensorProto.FLOAT
    model.graph.output.append(helper.make_tensor_value_info("familiarity", floats, ["N"]))
    return model


@pytest.fixture
def served(make_bundle, rewrite, graph, serve):
    """A service with three models: one with familiarity, one with max_probability, one without."""

    def rule(score):
        return {"unknown": {"score": score, "threshold": 0.5, "accepts": 0.95}}

    rewrite(
        make_bundle(name="familiar", graph=with_familiarity(graph())).folder, rule("familiarity")
    )
    rewrite(make_bundle(name="probable").folder, rule("max_probability"))
    make_bundle(name="plain")
    with serve(default_model="familiar") as client:
        yield client


def fields(response):
    assert response.status_code == 200, response.text
    return tuple(response.json()[name] for name in FIELDS)


def test_a_familiarity_below_the_threshold_is_shown_with_it(served, photo):
    decision, familiarity, score, threshold = fields(served.post(CLASSIFY, content=photo(DULL)))
    assert (decision, score, threshold) == ("unknown", "familiarity", 0.5)
    assert familiarity == pytest.approx((140 - 127) / 128, abs=0.02)
    bright = fields(served.post(CLASSIFY, content=photo("red")))
    assert (bright[0], bright[2], bright[3]) == ("accepted", "familiarity", 0.5)
    assert bright[1] > 0.5


def test_the_score_may_be_the_highest_probability(served, photo):
    """It is shown even if min_probability leaves no prediction."""
    params = {"model": "probable", "min_probability": 1}
    response = served.post(CLASSIFY, params=params, content=photo((127, 127, 127)))
    decision, familiarity, score, threshold = fields(response)
    assert response.json()["predictions"] == []
    assert (decision, score, threshold) == ("unknown", "max_probability", 0.5)
    assert familiarity == pytest.approx(1 / 3, abs=0.05)


def test_a_model_without_a_rule_has_null(served, photo):
    response = served.post(CLASSIFY, params={"model": "plain"}, content=photo("red"))
    assert fields(response) == (None, None, None, None)


@pytest.mark.parametrize(
    ("threshold", "decision"), [("0.05", "unsure"), ("-1e3", "unsure"), ("0.9", "unknown")]
)
@pytest.mark.parametrize("as_field", [True, False], ids=["field", "query"])
def test_a_request_may_replace_the_threshold(served, photo, threshold, decision, as_field):
    given = {"unknown_threshold": threshold}
    if as_field:
        file = {"file": ("a.jpg", photo(DULL))}
        response = served.post(CLASSIFY, data=given, files=file)
    else:
        response = served.post(CLASSIFY, params=given, content=photo(DULL))
    found = fields(response)
    assert (found[0], found[3]) == (decision, float(threshold))
    assert fields(served.post(CLASSIFY, content=photo(DULL)))[0] == "unknown"


def test_every_result_of_a_batch_has_its_own_score(served, photo):
    files = [("file", ("a.jpg", photo(colour))) for colour in ("red", DULL)]
    bright, dull = served.post(f"{CLASSIFY}?unknown_threshold=0.4", files=files).json()["results"]
    assert (bright["decision"], dull["decision"]) == ("accepted", "unknown")
    assert bright["familiarity"] > 0.4 > dull["familiarity"]
    assert {bright["unknown_threshold"], dull["unknown_threshold"]} == {0.4}


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"unknown_threshold": "nan"}, "unknown_threshold is invalid"),
        ({"unknown_threshold": "inf"}, "unknown_threshold is invalid"),
        ({"unknown_threshold": "low"}, "unknown_threshold is invalid"),
        ({"unknown_threshold": 1.1, "model": "probable"}, "Send a number from 0 to 1."),
        ({"unknown_threshold": -0.1, "model": "probable"}, "Send a number from 0 to 1."),
        ({"unknown_threshold": 0.5, "model": "plain"}, "'plain' has no threshold"),
    ],
    ids=str,
)
def test_a_threshold_that_cannot_be_one_is_rejected(served, photo, params, text):
    for _ in range(2):
        response = served.post(CLASSIFY, params=params, content=photo("red"))
        assert (response.status_code, response.json()["code"]) == (400, "bad_parameter")
        assert text in response.json()["detail"]
