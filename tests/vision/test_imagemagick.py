"""ImageMagick, an independent decoder, gives the same canvas."""

import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

from app.vision import CANVAS, decode

MAGICK = shutil.which("magick") or shutil.which("convert-im6.q16")
pytestmark = pytest.mark.skipif(MAGICK is None, reason="ImageMagick is not installed")

KINDS = {
    "jpeg": ("RGB", "JPEG", {"quality": 90, "subsampling": 0}),
    "jpeg-grey": ("L", "JPEG", {}),
    "jpeg-cmyk": ("CMYK", "JPEG", {"quality": 95}),
    "png-alpha": ("RGBA", "PNG", {}),
    "png-grey-alpha": ("LA", "PNG", {}),
    "png-palette": ("P", "PNG", {"transparency": 3}),
    "png-1-bit": ("1", "PNG", {}),
    "webp-alpha": ("RGBA", "WEBP", {"lossless": True, "exact": True, "method": 0}),
    "gif": ("P", "GIF", {"transparency": 5, "interlace": True}),
    "bmp-palette": ("P", "BMP", {}),
}


def decode_by_imagemagick(data: bytes) -> np.ndarray:
    """Return (480, 480, 3) uint8 sRGB, flattened onto white."""
    command = [MAGICK, "-[0]", "-background", "white", "-alpha", "remove", "-alpha", "off"]
    command += ["-colorspace", "sRGB", "-depth", "8", "rgb:-"]
    process = subprocess.run(command, input=data, capture_output=True, check=True)
    return np.frombuffer(process.stdout, np.uint8).reshape(CANVAS, CANVAS, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_imagemagick_agrees(scene, encode, limits, kind):
    mode, format, options = KINDS[kind]
    image = scene(CANVAS, CANVAS)
    if "A" in mode:
        image.putalpha(Image.linear_gradient("L").resize(image.size))
    data = encode(image.convert(mode), format, **options)
    difference = np.abs(decode(data, limits).canvas.astype(int) - decode_by_imagemagick(data))
    assert difference.mean() < 0.5
    assert difference.max() <= 2
