"""The Inspector: embeddings, maps, users' own filters, pictures; and the release of models."""

import gc
import io
import subprocess
import sys
import weakref
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from app.errors import BadParameter, ModelNotReady, NotInModel
from app.runtime.inspection import Kernel
from app.runtime.inspection.drawing import Grid, filter_grid, map_grid, overlay, scale_of
from app.runtime.inspection.kernel import convolve
from app.runtime.loaded_model import load_model


def picture(png):
    """Return the pixels (h, w, 4) of a PNG."""
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))


def test_onnx_is_not_imported_before_its_first_use(imagenet):
    script = f"""
import sys
from pathlib import Path
from app.main import create_service
from app.settings import Settings
from app.runtime.classifier import Query, classify
service = create_service(Settings())
service.registry.load_all()
model = service.registry.resolve("imagenet")
photo = Path({str(imagenet / "golden/coffee.jpg")!r}).read_bytes()
classify(photo, model, Query(), service.classifier.limits)
assert "onnx" not in sys.modules, "the start pays for onnx"
service.inspector.explain(photo, model, None)
assert "onnx" in sys.modules
"""
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_cache_of_a_model_is_freed_with_its_session(inspector, make_bundle, textbook, photo):
    folder = make_bundle(name="textbook", graph=textbook).folder
    model = load_model(folder, "cpu")
    inspector.activations(photo("red"), model, "conv2", None)
    inspector.explain(photo("red"), model, None)
    layer_sessions = weakref.ref(next(iter(inspector._models._models.values())).sessions)
    assert len(inspector) == 1
    del model
    gc.collect()
    assert len(inspector) == 0
    assert layer_sessions() is None


def test_a_file_that_was_replaced_after_loading_is_not_read(
    inspector, make_bundle, textbook, photo
):
    folder = make_bundle(name="textbook", graph=textbook).folder
    model = load_model(folder, "cpu")
    file = folder / "model.onnx"
    content = file.read_bytes()
    file.write_bytes(content + b"\x00")
    with pytest.raises(ModelNotReady, match=r"'textbook' was replaced or removed .* Reload"):
        inspector.activations(photo("red"), model, "conv2", None)
    file.write_bytes(content)
    inspector.activations(photo("red"), model, "conv2", None)
    file.unlink()
    inspector.activations(photo("red"), model, "conv2", None)  # its session is there
    with pytest.raises(ModelNotReady):
        inspector.activations(photo("red"), model, "conv1", None)


def test_the_first_textbook_layer_has_a_map_of_28_x_28_for_each_filter(
    inspector, textbook_model, photo
):
    maps = inspector.activations(photo("green"), textbook_model, None, None)
    assert (maps.layer.name, maps.values.shape) == ("conv1", (6, 28, 28))
    assert maps.channels == tuple(range(6))
    # the mean of green, scaled to -1..1; all positions of a plain photo are alike
    assert maps.values[1] == pytest.approx((230 - 127) / 128, abs=0.03)
    assert maps.values[0].max() == pytest.approx(0, abs=0.03)


def test_top_selects_the_most_active_channels_on_the_scale_of_all(inspector, textbook_model, photo):
    whole = inspector.activations(photo("green"), textbook_model, "conv1", None)
    top = inspector.activations(photo("green"), textbook_model, "conv1", 2)
    means = whole.values.mean(axis=(1, 2))
    assert top.channels == tuple(np.argsort(-means, kind="stable")[:2])
    assert top.channels[0] == 1
    assert top.scale == whole.scale
    assert (top.grid.columns, top.grid.rows) == (2, 1)


def test_an_unknown_layer_is_refused_by_name(inspector, textbook_model, photo):
    with pytest.raises(NotInModel, match="'conv9'"):
        inspector.activations(photo("red"), textbook_model, "conv9", None)


def test_a_model_without_convolutions_has_no_default_layer(inspector, model, photo):
    with pytest.raises(NotInModel, match="no convolution"):
        inspector.activations(photo("red"), model, None, None)
    with pytest.raises(NotInModel, match="no filters"):
        inspector.filters(model)


def test_the_layer_canvas_is_the_decoded_photo(inspector, model, imagenet):
    data = (imagenet / "golden/coffee.jpg").read_bytes()
    maps = inspector.activations(data, model, "canvas", None)
    shown = picture(maps.png)[..., :3]
    assert shown.shape == (480, 480, 3)
    np.testing.assert_array_equal(np.moveaxis(shown, -1, 0), maps.values)


def test_an_embedding_is_the_input_of_the_last_layer(inspector, default_model, imagenet, pixels):
    data = (imagenet / "golden/camera.jpg").read_bytes()
    plain = inspector.embed(data, default_model, False).vector
    (expected,) = default_model.session.outputs_of(["embedding"], pixels[:1])
    np.testing.assert_array_equal(plain, expected[0])
    unit = inspector.embed(data, default_model, True).vector
    assert np.linalg.norm(unit) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(unit * np.linalg.norm(plain), plain, rtol=1e-4)


def test_a_model_without_an_embedding_is_refused(inspector, textbook_model, photo):
    with pytest.raises(NotInModel, match="no embedding"):
        inspector.embed(photo("red"), textbook_model, False)


def convolved_by_loops(canvas, weights):
    """Return the map of a filter by the definition, position by position."""
    planes = np.moveaxis(canvas, -1, 0) / 255
    if len(weights) == 1:
        planes = np.tensordot([0.299, 0.587, 0.114], planes, axes=1)[None]
    height, width = weights.shape[1:]
    rows, columns = planes.shape[1] - height + 1, planes.shape[2] - width + 1
    return np.array(
        [
            [(planes[:, y : y + height, x : x + width] * weights).sum() for x in range(columns)]
            for y in range(rows)
        ]
    )


@pytest.mark.parametrize("shape", [(1, 7, 7), (3, 7, 7), (1, 2, 5), (3, 1, 1), (1, 31, 31)])
def test_a_filter_is_multiplied_and_summed_at_every_position(shape):
    rng = np.random.default_rng(0)
    canvas = rng.integers(0, 256, (40, 44, 3), np.uint8)
    kernel = Kernel(rng.normal(size=shape))
    found = convolve(canvas, kernel)
    np.testing.assert_allclose(found, convolved_by_loops(canvas, kernel.weights), atol=1e-5)


@pytest.mark.parametrize("level", [0, 77, 200, 255])
def test_a_filter_whose_weights_sum_to_0_is_exactly_0_on_a_plain_photo(level):
    weights = np.zeros((1, 7, 7))
    weights[0, range(7), range(7)] = 1
    canvas = np.full((480, 480, 3), level, np.uint8)
    assert not convolve(canvas, Kernel(weights - weights.mean())).any()


def test_a_curve_detector_is_strongest_on_the_curve(inspector, model):
    text = ["......#", ".....##", "....##.", "...##..", "..##...", "..##...", "..##..."]
    curve = np.array([[1.0 if sign == "#" else 0.0 for sign in row] for row in text])
    canvas = np.zeros((480, 480, 3), np.uint8)
    canvas[200:207, 300:307] = (curve * 255).astype(np.uint8)[..., None]
    file = io.BytesIO()
    Image.fromarray(canvas).save(file, "PNG")
    found = inspector.apply_kernel(file.getvalue(), model, Kernel(curve[None]))
    assert found.values.shape == (1, 474, 474)
    assert np.unravel_index(found.values[0].argmax(), (474, 474)) == (200, 300)
    assert found.values.max() == pytest.approx(curve.sum(), abs=1e-4)


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("[[1]]", (1, 1, 1)),
        ("[[1,2],[3,4],[5,6]]", (1, 3, 2)),
        ("[[[1]],[[2]],[[3.5e0]]]", (3, 1, 1)),
        ("[[[1,2]]]", (1, 1, 2)),
    ],
)
def test_a_kernel_is_parsed(text, shape):
    assert Kernel.parse(text).weights.shape == shape


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a JSON array"),
        ("curve", "not a JSON array"),
        ("[[1,2],[3]]", "not a JSON array"),
        ('[["1"]]', "not a JSON array"),
        ("[[true]]", "not a JSON array"),
        ("[[null]]", "not a JSON array"),
        ("{}", "not a JSON array"),
        ("[" * 100_000, "not a JSON array"),
        ("[[" + "1," * 100_000 + "1]]", "columns"),
        ("[[1" + "0" * 400 + "]]", "not a JSON array"),
        ("5", "shape"),
        ("[1,2]", "shape"),
        ("[]", "shape"),
        ("[[]]", "1 to 31"),
        ("[[[1]],[[2]]]", "shape"),
        ("[[[[1]]]]", "shape"),
        (f"[{[1] * 32}]", "32 columns"),
        ("[[NaN]]", "1,000,000"),
        ("[[Infinity]]", "1,000,000"),
        ("[[1e300]]", "1,000,000"),
    ],
)
def test_an_invalid_kernel_is_refused_with_a_reason(text, reason):
    with pytest.raises(BadParameter, match=reason):
        Kernel.parse(text)


def test_a_grid_holds_every_map_at_its_position_on_one_scale():
    maps = np.linspace(0, 1, 5, dtype=np.float32)[:, None, None] * np.ones((5, 4, 6), np.float32)
    png, grid = map_grid(maps, (0.0, 1.0))
    shown = picture(png)
    assert (grid.columns, grid.rows) == (3, 2)
    brightness = []
    for index in range(5):
        row, column = divmod(index, grid.columns)
        top = grid.gap + row * (grid.tile_height + grid.gap)
        left = grid.gap + column * (grid.tile_width + grid.gap)
        tile = shown[top : top + grid.tile_height, left : left + grid.tile_width]
        assert (tile == tile[0, 0]).all()
        assert tile[0, 0, 3] == 255
        brightness.append(int(tile[0, 0, :3].sum()))
    assert brightness == sorted(brightness)
    assert len(set(brightness)) == 5
    assert shown[0, 0, 3] == 0  # a gap is transparent


def test_grids_of_large_layers_are_at_most_about_2048_pixels_wide():
    for count, side in ((2048, 7), (1280, 8), (64, 112), (32, 120)):
        grid = Grid.of(count, side, side)
        assert grid.columns * (grid.tile_width + grid.gap) <= 2100
        assert grid.columns * grid.rows >= count
    assert Grid.of(6, 28, 28).tile_width == 56


def test_the_scale_is_shared_and_has_zero_in_it():
    assert scale_of(np.array([[1.0, 2.0]], np.float32))[0] == 0
    low, high = scale_of(np.array([[-3.0, 1.0]], np.float32))
    assert low == -high
    assert scale_of(np.zeros((2, 3), np.float32)) == (0, 1)


def test_filters_are_drawn_in_their_own_colours_and_grey_for_0(inspector, textbook_model):
    filters = inspector.filters(textbook_model)
    png, grid = filter_grid(filters)
    red = picture(png)[grid.gap + 3, grid.gap + 3]
    assert red[0] == 255
    assert abs(int(red[1]) - 127) < 64
    assert filters.largest == pytest.approx(1 / 25, rel=0.5)


def test_an_overlay_is_warm_where_the_map_is_high_and_nowhere_else():
    canvas = np.full((480, 480, 3), 100, np.uint8)
    found = np.zeros((8, 8), np.float32)
    found[1, 6] = 5
    found[6, 1] = -5  # negative values aren't drawn
    shown = overlay(canvas, found, 480).astype(int)
    warmth = shown[..., 0] - shown[..., 2]
    assert warmth[90, 390] > 100
    assert warmth[390, 90] == 0
    small = overlay(canvas, np.ones((2, 2), np.float32), 240).astype(int)
    assert (small[..., 0] > small[..., 2])[120:360, 120:360].all()
    assert not (small[..., 0] > small[..., 2])[:119].any()
