"""The random augmentation of photos."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from app.bundle import InputSpec  # noqa: E402 - only with torch
from training.networks.inference import normalize  # noqa: E402
from training.recipes import finetune  # noqa: E402
from training.torch_loop import augmentation  # noqa: E402


def _gradient(size=6):
    ramp = np.arange(size * size * 3, dtype=np.uint8).reshape(1, size, size, 3)
    return torch.from_numpy(np.repeat(ramp, 200, axis=0))


def test_a_shifted_photo_is_a_crop_of_the_photo_and_its_reflection():
    pixels = _gradient()
    shifted = augmentation.random_shift(pixels, torch.Generator().manual_seed(0))
    padded = np.pad(pixels[0].numpy(), ((1, 1), (1, 1), (0, 0)), "reflect")
    pieces = {
        normalize(torch.from_numpy(padded[None, y : y + 6, x : x + 6])).numpy().tobytes()
        for y in range(3)
        for x in range(3)
    }
    assert {image[None].contiguous().numpy().tobytes() for image in shifted} == pieces


def test_only_the_photos_of_the_mask_are_mirrored():
    pixels = _gradient()[:2]
    mirrored = augmentation.mirror(pixels, torch.tensor([True, False]))
    assert (mirrored[0] == pixels[0].flip(1)).all()
    assert (mirrored[1] == pixels[1]).all()


def test_crops_stay_within_the_photo_and_keep_its_range():
    pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (64, 40, 40, 3), np.uint8))
    crops = augmentation.random_crop_and_jitter(32)(pixels, torch.Generator().manual_seed(0))
    assert crops.shape == (64, 3, 32, 32)
    assert -1 <= crops.min() < -0.8
    assert 0.8 < crops.max() <= 1
    again = augmentation.random_crop_and_jitter(32)(pixels, torch.Generator().manual_seed(0))
    assert (crops == again).all()
    maps = augmentation._crops(500, torch.Generator().manual_seed(0))
    width, height = maps[:, 0, 0], maps[:, 1, 1]
    assert ((width <= 1) & (height <= 1) & (width * height >= 0.4)).all()
    assert (maps[:, :, 2].abs() <= 1 - torch.stack([width, height], 1) + 1e-6).all()


@pytest.mark.parametrize(("size", "expected"), [(240, 272), (470, 480)])
def test_the_augmentation_input_is_larger_but_within_the_canvas(size, expected):
    spec = InputSpec(size=size, crop=1.0, resample="box")
    assert finetune.FinetuneRecipe(input=spec).augmentation_input.size == expected
