"""Files that ImageMagick makes are decoded as ImageMagick decodes them."""

import shutil

import pytest

from benchmarks.format_cases import cases
from benchmarks.formats import BOUNDS, differences, sources

NAMES = {
    "LZW 16 bits predictor",
    "rgb, big endian",
    "cmyk",
    "alpha associated",
    "one bit, fax group 4",
    "orientation RightTop",
}
CASES = {case.name.removeprefix("ImageMagick: "): case for case in cases()}

pytestmark = pytest.mark.skipif(
    not (shutil.which("magick") or shutil.which("convert")), reason="ImageMagick is not installed"
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return sources(tmp_path_factory.mktemp("sources"))


@pytest.mark.parametrize("name", sorted(NAMES))
def test_imagemagick_agrees_with_a_tiff_that_it_wrote(files, tmp_path, name):
    case = CASES[name]
    mean, largest = differences(case, files, tmp_path)
    most_mean, most = BOUNDS[case.bounds]
    assert mean <= most_mean
    assert largest <= most


def test_there_are_thirty_files_of_every_format():
    formats = [case.format for case in cases()]
    assert all(formats.count(format) >= 30 for format in ("tiff", "avif", "heic"))
