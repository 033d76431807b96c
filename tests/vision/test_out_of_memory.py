"""A decoder that gets no memory is told apart from a broken file, in every format."""

import subprocess
import sys
from io import BytesIO

import pytest
from PIL import Image, ImageFile

from app.errors import BrokenImage, OutOfMemory
from app.vision import Limits, read_header
from app.vision.formats import base
from benchmarks.hardening.images import pillow

LIMITS = Limits(1 << 30, 10**9)
IN_LITTLE_MEMORY = """
import resource, sys
from pathlib import Path
from app.errors import HubelError
from app.vision import Limits, read_header
from benchmarks.hardening.images import bmp, pillow, png
limits = Limits(1 << 30, 10**9)
side = (6000, 6000)
if sys.argv[1] == "jpeg":
    data = pillow("JPEG", "RGB", side, progressive=True, subsampling=0)
elif sys.argv[1] == "png":
    data = png(side, "rgba", 8)
elif sys.argv[1] == "png interlaced":
    data = png(side, "rgb", 8, interlaced=True)
elif sys.argv[1] == "webp":
    data = pillow("WEBP", "RGB", side, method=0)
elif sys.argv[1] == "webp lossless":
    data = pillow("WEBP", "RGBA", side, lossless=True, method=0)
elif sys.argv[1] == "gif":
    data = pillow("GIF", "P", side, transparency=3)
else:
    data = bmp(side, 24)
small = pillow("JPEG", "RGB", (480, 480))
read_header(small, limits).decode().canvas
status = Path("/proc/self/status").read_text()
used = int(status.partition("VmSize:")[2].split()[0]) * 1024
opened = read_header(data, limits)
least = opened.work.memory_bytes // 10
for share in (2, 4, 6):
    resource.setrlimit(resource.RLIMIT_AS, (used + share * least, resource.RLIM_INFINITY))
    try:
        read_header(data, limits).decode()
        print("decoded")
    except HubelError as err:
        print(err.code)
    read_header(small, limits).decode().canvas
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize(
    "format", ["jpeg", "png", "png interlaced", "webp", "webp lossless", "gif", "bmp"]
)
def test_a_limited_address_space_is_no_broken_image_and_small_images_go_on(format):
    command = [sys.executable, "-c", IN_LITTLE_MEMORY, format]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    codes = run.stdout.split()
    assert codes[0] == "out_of_memory"
    assert set(codes) <= {"out_of_memory", "decoded"}


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError("out of memory error when reading image file")],
    ids=["MemoryError", "Pillow's OSError"],
)
def test_a_decoder_without_memory_is_no_broken_image(monkeypatch, error):
    def fail(_):
        raise error

    opened = read_header(pillow("PNG", "RGB", (500, 500)), LIMITS)
    monkeypatch.setattr(ImageFile.ImageFile, "load", fail)
    with pytest.raises(OutOfMemory):
        opened.decode()


@pytest.mark.parametrize("has_memory", [True, False], ids=["memory", "no memory"])
def test_an_ambiguous_error_is_decided_by_the_memory_that_is_left(monkeypatch, has_memory):
    data = pillow("JPEG", "RGB", (600, 600))
    monkeypatch.setattr(base, "_can_allocate", lambda size: has_memory)
    with pytest.raises(BrokenImage if has_memory else OutOfMemory):
        read_header(data[: len(data) // 2], LIMITS).decode()


def test_memory_that_ends_after_the_decoder_is_reported_too(monkeypatch):
    def fail(*_):
        raise MemoryError

    file = BytesIO()
    Image.new("RGBA", (700, 700)).save(file, "PNG")
    monkeypatch.setattr(Image.Image, "resize", fail)
    with pytest.raises(OutOfMemory, match="Try again later"):
        read_header(file.getvalue(), LIMITS).decode()
