"""The usual conventions of preprocessing by name, and how options change them.

a preset, or none -> mean, std, range, channel order, crop, filter
options           -> replace single values, and it is said
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import onnx

from app.bundle import Fit, Resample
from training.errors import DataUnusable
from training.importing.image_input import ImageInput
from training.importing.normalization import PIXELS_AS_THEY_ARE, Normalization, Triple

_IMAGENET_MEAN, _IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Preprocessing:
    """How pixels are cut out, resized and normalised."""

    mean: Triple
    std: Triple
    pixel_range: Literal[1, 255]
    channels: Literal["rgb", "bgr"]
    crop: float
    """Side of the centre square that is kept, as a share of the whole square."""
    resample: Resample
    fit: Fit = "cover"
    """How a photo that isn't square becomes that square."""

    @property
    def normalization(self) -> Normalization:
        """The part that becomes nodes of the graph."""
        return Normalization(self.mean, self.std, self.pixel_range, self.channels)


@dataclass(frozen=True)
class StatedPreprocessing:
    """The options of the command line; None for those that aren't given."""

    preset: str | None = None
    mean: Triple | None = None
    std: Triple | None = None
    pixel_range: Literal[1, 255] | None = None
    channels: Literal["rgb", "bgr"] | None = None
    crop: float | None = None
    resample: Resample | None = None
    fit: Fit | None = None


PRESETS: Mapping[str, Preprocessing] = {
    # torchvision.transforms._presets.ImageClassification: resize 256, crop 224
    "torchvision": Preprocessing(_IMAGENET_MEAN, _IMAGENET_STD, 1, "rgb", 0.875, "bilinear"),
    # keras.applications.imagenet_utils.preprocess_input, mode "tf"
    "keras-tf": Preprocessing((127.5,) * 3, (127.5,) * 3, 255, "rgb", 1.0, "bilinear"),
    # the same, mode "caffe"; mean in the order of BGR
    "keras-caffe": Preprocessing(
        (103.939, 116.779, 123.68), (1.0,) * 3, 255, "bgr", 1.0, "bilinear"
    ),
    # timm.data.constants: IMAGENET_DEFAULT_MEAN and _STD, DEFAULT_CROP_PCT; bicubic
    "timm": Preprocessing(_IMAGENET_MEAN, _IMAGENET_STD, 1, "rgb", 0.875, "bicubic"),
    # open_clip.constants: OPENAI_DATASET_MEAN and _STD
    "openclip": Preprocessing(
        (0.48145466, 0.4578275, 0.40821073),
        (0.26862954, 0.26130258, 0.27577711),
        1,
        "rgb",
        1.0,
        "bicubic",
    ),
    # the Keras snippet that Teachable Machine exports: ImageOps.fit with Lanczos
    "teachable-machine": Preprocessing((127.5,) * 3, (127.5,) * 3, 255, "rgb", 1.0, "lanczos"),
    # Custom Vision's ONNX sample; the file's metadata may state other values
    "custom-vision": Preprocessing((0.0,) * 3, (1.0,) * 3, 255, "bgr", 1.0, "bicubic"),
}
_WITHOUT_PRESET: Mapping[str, Any] = {
    "channels": "rgb",
    "crop": 1.0,
    "resample": "box",
    "fit": "cover",
}
_REQUIRED = ("mean", "std", "pixel_range")


def resolve(
    stated: StatedPreprocessing, model: onnx.ModelProto, image: ImageInput
) -> tuple[Preprocessing, tuple[str, ...]]:
    """Return the preprocessing, and notes about the preset and what replaces parts of it.

    Raises:
        DataUnusable: the normalisation isn't stated, or contradicts an integer input.
    """
    given = {
        field.name: getattr(stated, field.name)
        for field in fields(Preprocessing)
        if getattr(stated, field.name) is not None
    }
    if image.is_integer:
        return _of_integers(stated.preset, given)
    if stated.preset is None:
        if any(name not in given for name in _REQUIRED):
            raise DataUnusable(
                "The file does not state how pixels are normalised. Give --mean, --std and "
                "--pixel-range as in the training, or a --preset, or --mean 0 --std 1 "
                "--pixel-range 255 if the graph normalises them itself."
            )
        return Preprocessing(**{**_WITHOUT_PRESET, **given}), ()
    preset, notes = PRESETS[stated.preset], []
    if stated.preset == "custom-vision":
        preset = _with_metadata(preset, model)
    result = replace(preset, **given)
    notes.append(f"preset {stated.preset}: {_in_words(result)}")
    for name, value in given.items():
        if (own := getattr(preset, name)) != value:
            option = name.replace("_", "-")
            notes.append(f"--{option} {_text(value)} replaces the preset's {_text(own)}")
    return result, tuple(notes)


def _of_integers(
    preset: str | None, given: Mapping[str, Any]
) -> tuple[Preprocessing, tuple[str, ...]]:
    """Return the preprocessing of an input that reads 0 to 255 as integers."""
    base = _WITHOUT_PRESET
    if preset is not None:
        base = {name: getattr(PRESETS[preset], name) for name in _WITHOUT_PRESET}
    unchanged = {name: getattr(PIXELS_AS_THEY_ARE, name) for name in _REQUIRED}
    result = Preprocessing(**{**unchanged, **base, **given})
    if not replace(result.normalization, channels="rgb").is_identity:
        raise DataUnusable(
            "The model reads pixels of 0 to 255 as integers, so it normalises them itself. "
            "Leave out --mean, --std and --pixel-range."
        )
    return result, ("the model reads integers, so it normalises pixels itself",)


def _with_metadata(preset: Preprocessing, model: onnx.ModelProto) -> Preprocessing:
    """Return Custom Vision's convention as the file's own metadata states it."""
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    if metadata.get("Image.BitmapPixelFormat", "").startswith("Rgb"):
        preset = replace(preset, channels="rgb")
    value_range = metadata.get("Image.NominalPixelRange", "")
    if value_range in ("Normalized_0_1", "NominalRange_0_1"):
        preset = replace(preset, pixel_range=1)
    if value_range in ("Normalized_1_1", "NominalRange_1_1"):
        preset = replace(preset, mean=(127.5,) * 3, std=(127.5,) * 3)
    return preset


def _in_words(preprocessing: Preprocessing) -> str:
    pixel = "pixel / 255" if preprocessing.pixel_range == 1 else "pixel"
    return (
        f"({pixel} - {_text(preprocessing.mean)}) / {_text(preprocessing.std)}, "
        f"{preprocessing.channels.upper()}, {preprocessing.fit}, crop {preprocessing.crop:g}, "
        f"{preprocessing.resample}"
    )


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return f"{value[0]:g}" if len(set(value)) == 1 else ",".join(f"{each:g}" for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
