"""Two resizes as one are compared with two by Pillow on floats, which it doesn't round."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from PIL import Image

from app.vision import CANVAS, Picture, decode, resize
from app.vision.fused_resize.banded_matrix import make_banded_matrix
from app.vision.fused_resize.filter_weights import compose, make_filter_weights
from app.vision.fused_resize.resize_plan import apply_plan, plan_resize

RESAMPLES = ("box", "bilinear", "bicubic", "lanczos")


@dataclass(frozen=True)
class Spec:
    size: int
    crop: float
    resample: Literal["box", "bilinear", "bicubic", "lanczos"]

    @property
    def height(self) -> int:
        return self.size

    @property
    def width(self) -> int:
        return self.size


DEFAULT = Spec(240, 1, "box")


def matrix(filter_weights, inputs):
    """Return the filter weights as one dense matrix."""
    whole = np.zeros((len(filter_weights.first), inputs + filter_weights.weights.shape[1]))
    for row, first, weights in zip(
        whole, filter_weights.first, filter_weights.weights, strict=True
    ):
        row[first : first + len(weights)] = weights
    assert not whole[:, inputs:].any()
    return whole[:, :inputs]


def resize_floats(values, size, box, resample):
    """Resize one channel of floats with Pillow."""
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize((size, size), Image.Resampling[resample.upper()], box))


def resize_twice(pixels, box, spec):
    """Resize to the canvas and on to the input with Pillow, without rounding."""
    side = round(spec.crop * CANVAS)
    low = (CANVAS - side) / 2
    inner = (low, low, low + side, low + side)
    channels = [
        resize_floats(
            resize_floats(pixels[:, :, c], CANVAS, box, "bicubic"), spec.size, inner, spec.resample
        )
        for c in range(3)
    ]
    return np.stack(channels, axis=-1)


def rounded(values):
    return np.clip(np.floor(values + 0.5), 0, 255).astype(np.uint8)


def noise(width, height):
    return np.random.default_rng(width * height).integers(0, 256, (height, width, 3), np.uint8)


@given(
    inputs=st.integers(1, 300),
    edges=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    outputs=st.integers(1, 200),
    resample=st.sampled_from(RESAMPLES),
)
def test_the_filter_weights_are_those_of_pillow(inputs, edges, outputs, resample):
    low, high = sorted(round(edge * inputs * 16) / 16 for edge in edges)  # halves of eighths
    assume(low < high)
    values = np.random.default_rng(inputs).uniform(0, 255, (1, inputs)).astype(np.float32)
    image = Image.fromarray(values)
    box = (low, 0, high, 1)
    expected = image.resize((outputs, 1), Image.Resampling[resample.upper()], box)
    actual = matrix(make_filter_weights(inputs, low, high, outputs, resample), inputs) @ values[0]
    assert np.abs(actual - np.asarray(expected)[0]).max() < 1e-3


@given(
    inputs=st.integers(1, 300),
    between=st.integers(1, 300),
    outputs=st.integers(1, 200),
    resamples=st.tuples(st.sampled_from(RESAMPLES), st.sampled_from(RESAMPLES)),
)
def test_a_composition_is_the_product_of_the_matrices(inputs, between, outputs, resamples):
    first = make_filter_weights(inputs, 0, inputs, between, resamples[0])
    second = make_filter_weights(between, between / 8, between * 7 / 8, outputs, resamples[1])
    expected = matrix(second, between) @ matrix(first, inputs)
    assert np.allclose(matrix(compose(first, second), inputs), expected, atol=1e-12)


@given(inputs=st.integers(1, 2000), outputs=st.integers(1, 480))
def test_the_blocks_hold_every_weight_once_in_its_place(inputs, outputs):
    weights = make_filter_weights(inputs, 0, inputs, outputs, "bicubic")
    banded = make_banded_matrix(weights)
    count, height, span = banded.weights.shape
    whole = np.zeros((count * height, banded.high - banded.low))
    for index, block in enumerate(banded.weights):
        left = index * banded.stride
        whole[index * height : (index + 1) * height, left : left + span] = block
    assert not whole[outputs:].any()
    inside = whole[:outputs, max(-banded.low, 0) :][:, : inputs - max(banded.low, 0)]
    expected = matrix(weights, inputs)[:, max(banded.low, 0) : banded.high]
    assert np.allclose(inside, expected, atol=1e-7)
    assert np.isclose(whole.sum(), outputs)


@pytest.mark.parametrize("resample", RESAMPLES)
@pytest.mark.parametrize(("size", "crop"), [(240, 1.0), (224, 0.875), (17, 0.3), (480, 0.5)])
@pytest.mark.parametrize(
    ("width", "height"),
    [(500, 375), (375, 500), (1000, 750), (959, 481), (32, 32), (3, 1), (1, 700), (640, 480)],
)
def test_the_result_equals_two_resizes_by_pillow_rounded_once(width, height, size, crop, resample):
    pixels, spec = noise(width, height), Spec(size, crop, resample)
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    box = (left, top, left + side, top + side)
    picture = Picture(Image.fromarray(pixels), box, None, "png", width, height)
    actual = resize(picture, spec)
    exact = resize_twice(pixels, box, spec)
    expected = rounded(exact)
    assert actual.shape == (size, size, 3)
    assert actual.dtype == np.uint8
    assert actual.flags.c_contiguous
    differing = actual != expected
    assert np.abs(actual.astype(int) - expected)[differing].max(initial=0) <= 1
    # Sums in another order differ by about 1e-4, so only values this close to a half may round
    # differently. Their number depends on the data: box filters often give exact halves.
    assert np.abs(exact - np.floor(exact) - 0.5)[differing].max(initial=0) < 1e-3


def test_the_result_is_close_to_the_rounded_canvas_resized(scene, encode, limits):
    for width, height in ((500, 375), (333, 500), (1000, 750), (300, 300)):
        picture = decode(encode(scene(width, height), "JPEG", quality=90), limits)
        assert not picture.is_canvas
        difference = np.abs(resize(picture, DEFAULT).astype(int) - resize(picture.canvas, DEFAULT))
        assert difference.mean() < 0.3
        assert np.quantile(difference, 0.999) <= 4  # the canvas clips the overshoot at hard edges


@pytest.mark.parametrize("colour", [0, 1, 127, 254, 255])
def test_an_image_of_one_colour_keeps_it(colour):
    image = Image.new("RGB", (451, 300), (colour, 255 - colour, colour))
    picture = Picture(image, (75.5, 0, 375.5, 300), None, "png", 451, 300)
    actual = resize(picture, Spec(224, 0.875, "lanczos"))
    assert (actual == (colour, 255 - colour, colour)).all()


@given(
    image_size=st.tuples(st.integers(1, 200), st.integers(1, 200)),
    edges=st.tuples(*[st.floats(0, 1)] * 4),
    size=st.tuples(st.integers(1, 120), st.integers(1, 120)),
    resample=st.sampled_from(RESAMPLES),
)
def test_any_box_becomes_any_size(image_size, edges, size, resample):
    (width, height), (columns, rows) = image_size, size
    (left, right), (top, bottom) = (
        sorted(round(edge * side * 16) / 16 for edge in pair)
        for pair, side in ((edges[:2], width), (edges[2:], height))
    )
    assume(left < right)
    assume(top < bottom)
    pixels = noise(width, height)
    plan = plan_resize(
        make_filter_weights(height, top, bottom, rows, resample),
        make_filter_weights(width, left, right, columns, resample),
    )
    actual = apply_plan(plan, Image.fromarray(pixels))
    filter, box = Image.Resampling[resample.upper()], (left, top, right, bottom)
    exact = np.stack(
        [
            Image.fromarray(pixels[:, :, c].astype(np.float32)).resize(size, filter, box)
            for c in range(3)
        ],
        axis=-1,
    )
    assert actual.shape == (rows, columns, 3)
    assert np.abs(actual - np.clip(exact, 0, 255)).max() < 0.5 + 1e-3


def test_no_uninitialised_memory_is_read_past_an_edge(monkeypatch):
    image = Image.fromarray(noise(61, 45))
    plan = plan_resize(
        make_filter_weights(45, 0, 45, 30, "lanczos"), make_filter_weights(61, 8, 53, 30, "lanczos")
    )
    expected = apply_plan(plan, image)
    monkeypatch.setattr(np, "empty", lambda shape, dtype: np.full(shape, np.nan, dtype))
    assert np.array_equal(apply_plan(plan, image), expected)
