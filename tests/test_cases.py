"""Small files from the field that failed once: each has its right result now."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from app import vision
from app.cli import main
from app.errors import BrokenImage, TooManyPixels, UnsupportedFormat

CASES = Path(__file__).parent / "cases"
LIMITS = vision.Limits(20_000_000, 50_000_000)


def canvas(data: bytes) -> np.ndarray:
    return np.asarray(vision.decode(data, LIMITS).canvas)


def case(name: str) -> bytes:
    return (CASES / name).read_bytes()


# Orientations


def test_an_orientation_stored_as_a_long_turns_the_photo():
    assert np.array_equal(canvas(case("exif_long6.jpg")), canvas(case("exif_short6.jpg")))


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize(("kind", "code"), {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}.items())
def test_an_orientation_of_any_integer_type_turns_the_photo(kind, code, order):
    value = struct.pack(order + code, 6).ljust(4, b"\0")
    entry = struct.pack(order + "HHI", 0x0112, kind, 1) + value
    byte_order = b"II*\0" if order == "<" else b"MM\0*"
    tiff = byte_order + struct.pack(order + "IH", 8, 1) + entry + bytes(4)
    with Image.open(CASES / "ref.jpg") as photo:
        photo.save(file := io.BytesIO(), "JPEG", exif=b"Exif\0\0" + tiff)
    picture = vision.decode(file.getvalue(), LIMITS)
    assert (picture.width, picture.height) == (160, 240)


# JPEGs without their end marker


def encoded(size: tuple[int, int], mode: str = "RGB", **options: object) -> bytes:
    noise = np.random.default_rng(0).integers(0, 256, (12, 16, 3), np.uint8)
    photo = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode)
    photo.save(file := io.BytesIO(), "JPEG", **options)
    return file.getvalue()


@pytest.mark.parametrize(
    "whole",
    [
        case("ref.jpg"),
        encoded((480, 480)),
        encoded((301, 217), "L"),
        encoded((333, 500), quality=95, subsampling=0),
        encoded((2000, 1500), quality=40),
        encoded((65, 63), "CMYK"),
    ],
    ids=["the case", "canvas", "grey", "odd size", "large", "CMYK"],
)
def test_a_jpeg_that_lacks_its_end_marker_alone_is_whole(whole):
    assert whole.endswith(b"\xff\xd9")
    assert np.array_equal(canvas(whole[:-2]), canvas(whole))


def test_the_case_without_an_end_marker_has_the_pixels_of_its_reference():
    assert np.array_equal(canvas(case("jpeg_no_eoi.jpg")), canvas(case("ref.jpg")))


@pytest.mark.parametrize("missing", [1, 2, 3, 10, 100, 5000])
def test_a_jpeg_that_lacks_pixels_is_broken(missing):
    whole = case("ref.jpg")
    with pytest.raises(BrokenImage, match="cut short"):
        canvas(whole[: -2 - missing])


@pytest.mark.parametrize(
    "options", [{"progressive": True}, {"restart_marker_rows": 1}], ids=["progressive", "restarts"]
)
def test_a_jpeg_whose_pixels_can_not_be_counted_needs_its_end(options):
    whole = encoded((320, 240), **options)
    canvas(whole)
    with pytest.raises(BrokenImage):
        canvas(whole[:-400])


# Hostile images


@pytest.mark.parametrize("name", ["webp-ll-RGB.webp", "gif-7000.gif"])
def test_a_small_file_with_a_large_image_is_estimated_by_its_pixels(name):
    work = vision.read_header(case(name), LIMITS).work
    assert len(case(name)) < 100
    assert work.memory_bytes > 300_000_000


def test_a_run_length_encoded_bitmap_of_50_million_pixels_is_refused():
    with pytest.raises((UnsupportedFormat, TooManyPixels)):
        vision.read_header(case("bmp-1x50M-rle.bmp"), LIMITS)


# Models


def run(*arguments: object):
    return CliRunner().invoke(main, list(map(str, arguments)))


def import_case(model: str, output: Path, *options: str, labels: str = "l3.json"):
    pixels = ("--mean", "0", "--std", "1", "--pixel-range", "1")
    model_file, label_file = CASES / f"{model}.onnx", CASES / labels
    return run("import", model_file, "--labels", label_file, *pixels, *options, "--output", output)


@pytest.mark.parametrize("model", ["nan3", "per_image_std"])
def test_a_model_without_finite_probabilities_is_named(model, tmp_path):
    options = ("--output-kind", "logits") if model == "nan3" else ()
    result = import_case(model, tmp_path / model, *options)
    assert result.exit_code == 0, result.stderr
    photo = CASES / ("white8x8.png" if model == "nan3" else "white.png")
    result = run("classify", photo, "--models", tmp_path, "--model", model)
    assert result.exit_code == 1
    assert f"Model '{model}' version 1 returned NaN or infinity" in result.output


def test_a_zip_map_is_left_out_for_the_tensor_before_it(tmp_path):
    result = import_case("zipmap", tmp_path / "zipmap")
    assert result.exit_code == 0, result.stderr
    assert "holds the classes" in result.stderr + result.stdout


@pytest.mark.parametrize(
    ("model", "labels", "words"),
    [
        ("ir99", "l3.json", "has the IR version 99, which is newer than"),
        ("sigmoid_binary", "l3.json", "The model has one output, as binary classifiers have"),
        ("nan3", "lsur.json", "half of a surrogate pair"),
    ],
)
def test_what_can_not_be_imported_is_one_sentence(model, labels, words, tmp_path):
    result = import_case(model, tmp_path / "output", "--output-kind", "logits", labels=labels)
    assert result.exit_code == 2
    assert words in result.stderr
    assert not (tmp_path / "output").exists()
