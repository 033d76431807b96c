"""Pictures that are alike by nature, and the ways in which a photo is saved again."""

import functools
import io
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter, ImageFont

_FONT = ImageFont.load_default(size=13)
_WORDS = ("invoice", "total", "date", "customer", "number", "street", "amount", "paid", "due")


def _noise(rng, side, cells):
    small = rng.normal(size=(cells, cells)).astype(np.float32)
    return np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))


@functools.cache
def xray(patient, side=320, texture=0.03):
    """Return a chest in low contrast: the same anatomy, a little deformed for each patient."""
    rng = np.random.default_rng(patient)
    y, x = np.mgrid[0:side, 0:side] / side
    x, y = x + _noise(rng, side, 6) * 0.01, y + _noise(rng, side, 6) * 0.01
    body = 1 / (1 + np.exp((np.abs(x - 0.5) - 0.42) * 40))
    grey = 0.55 * body
    for middle in (0.3, 0.7):
        grey -= 0.33 * np.exp(-(((x - middle) / 0.13) ** 4 + ((y - 0.47) / 0.3) ** 4))
    grey += 0.28 * np.exp(-(((x - 0.5) / 0.045) ** 2)) * body
    ribs = np.sin((y - 0.35 * (x - 0.5) ** 2) * 60) * 0.5 + 0.5
    grey += 0.07 * ribs**3 * body * (y < 0.8)
    for cells in (30, 90):  # vessels
        grey += texture * _noise(rng, side, cells)
    return Image.fromarray((np.clip(grey + 0.1, 0, 1) * 200 + 20).astype(np.uint8)).convert("RGB")


@functools.cache
def form(applicant, rows=range(20)):
    """Return one form, filled in differently in `rows` and the same in all others."""
    own, same = np.random.default_rng(applicant), np.random.default_rng(0)
    image = Image.new("RGB", (480, 640), "white")
    draw = ImageDraw.Draw(image)
    draw.rectangle((20, 20, 460, 60), outline="black", width=3)
    for row in range(20):
        rng, y = own if row in rows else same, 80 + 27 * row
        draw.text((20, y), f"{_WORDS[row % len(_WORDS)]}:", fill="black", font=_FONT)
        draw.line((120, y + 18, 460, y + 18), fill="grey")
        words = [_WORDS[index].upper() for index in rng.integers(len(_WORDS), size=4)]
        draw.text((125, y), " ".join(words[: rng.integers(1, 5)]), fill=(20, 20, 90), font=_FONT)
    return image


@functools.cache
def scene(number, place):
    """Return a photo of a fixed camera: one background, and an object at a place of its own."""
    rng = np.random.default_rng(7)
    background = sum(_noise(rng, 240, cells) * 30 for cells in (8, 40)) + 120
    image = Image.fromarray(background.clip(0, 255).astype(np.uint8)).convert("RGB")
    x, y = 40 * (place % 6), 40 * (place // 6 % 6)
    ImageDraw.Draw(image).ellipse((x, y, x + 40, y + 40), fill=(200 - number, 60, 40))
    return image


@functools.cache
def photo(seed, side=240):
    """Return a photo with detail of all sizes."""
    rng = np.random.default_rng(seed)
    planes = [
        sum(_noise(rng, side, cells) * 90 / cells**0.5 for cells in (4, 12, 36)) + 120
        for _ in range(3)
    ]
    return Image.fromarray(np.stack(planes, -1).clip(0, 255).astype(np.uint8))


def jpeg(image, quality=90):
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _crop(image, left, top, right, bottom):
    width, height = image.size
    return image.crop(
        (
            round(left * width),
            round(top * height),
            round(width - right * width),
            round(height - bottom * height),
        )
    )


SAVED_AGAIN = {
    "at quality 40": lambda image: jpeg(image, 40),
    "at half the size": lambda image: jpeg(image.reduce(2)),
    "at 100 pixels": lambda image: jpeg(image.resize((100, 100 * image.height // image.width))),
    "brighter": lambda image: jpeg(image.point(lambda value: min(255, int(1.2 * value)))),
    "darker": lambda image: jpeg(image.point(lambda value: int(0.75 * value))),
    "with another gamma": lambda image: jpeg(
        image.point(lambda value: int(255 * (value / 255) ** 1.3))
    ),
    "sharpened": lambda image: jpeg(image.filter(ImageFilter.SHARPEN)),
    "cropped by 2 %": lambda image: jpeg(_crop(image, 0.02, 0.02, 0.02, 0.02)),
    "cropped by 4 %, unevenly": lambda image: jpeg(_crop(image, 0.04, 0.03, 0.03, 0.04)),
    "cropped at one side": lambda image: jpeg(_crop(image, 0.05, 0, 0, 0)),
}


@pytest.fixture(scope="session")
def pictures():
    """The pictures: xray(1), form(1), scene(1, place), photo(1); jpeg(image) gives their bytes."""
    return SimpleNamespace(xray=xray, form=form, scene=scene, photo=photo, jpeg=jpeg)


@pytest.fixture(params=SAVED_AGAIN)
def save_again(request):
    """Return a function that saves an image again in one of several ways, as bytes."""
    return SAVED_AGAIN[request.param]
