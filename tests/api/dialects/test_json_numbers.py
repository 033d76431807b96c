"""The reader of JSON with large arrays of numbers, which all dialects share."""

import json

import numpy as np
import pytest

from app.api.dialects import json_numbers
from app.errors import BadParameter


def load(text):
    """Read `text`, in which the arrays of numbers are the outermost brackets."""
    arrays, begin, depth = [], 0, 0
    for place, character in enumerate(text):
        begin = place if character == "[" and depth == 0 else begin
        depth += {"[": 1, "]": -1}.get(character, 0)
        if character == "]" and depth == 0:
            arrays.append((begin, place + 1))
    return json_numbers.load(
        text.encode(), arrays, advice="Send less.", range_error="Out of range."
    )


def test_arrays_become_bytes_whatever_their_nesting():
    document = load('{"a": [1, 2], "b": {"c": [[3], [255]]}, "d": "e"}')
    assert document == {"a": b"\1\2", "b": {"c": b"\3\xff"}, "d": "e"}


@pytest.mark.parametrize("kind", [int, float])
def test_a_long_array_is_read_in_windows_without_loss(kind):
    numbers = np.random.default_rng(0).integers(0, 256, (300, 200, 3))
    text = json.dumps({"data": numbers.astype(kind).tolist()})
    assert load(text)["data"] == numbers.astype(np.uint8).tobytes()


@pytest.mark.parametrize("number", ["256", "-1", "0.5", "1e999", "1" * 400, "1 2", ""])
def test_other_numbers_are_rejected(number):
    with pytest.raises(BadParameter, match=r"Out of range\."):
        load(f'{{"data": [1, {number}, 2]}}')


def test_a_placeholder_in_the_request_is_kept():
    assert load('{"extracted array": 0}') == {"extracted array": 0}


def test_too_many_values_are_rejected_with_the_advice():
    text = json.dumps({"values": dict.fromkeys(map(str, range(json_numbers.MAX_VALUES + 2)), 1)})
    with pytest.raises(BadParameter, match=r"more than 10000 values\. Send less\."):
        load(text)
