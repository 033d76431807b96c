"""The golden photos of the default model: their sources and licences, and how they were made.

    scikit-image's pictures -> model/imagenet/golden/*.jpg
    model/imagenet/golden   -> the golden photos of a bundle

An imported model without photos gets these golden photos too. The files were made once, by
`python -m training.packaging.default_golden DIR`, and are committed, because another version of
Pillow writes other bytes. Each covers another case of preprocessing: one needs no resize, others
are wide or tall, one is greyscale, and one has an EXIF orientation.
"""

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from training.errors import DataUnusable

FOLDER = Path(__file__).parents[2] / "model" / "imagenet" / "golden"
_QUALITY = 88
_ORIENTATION_TAG = 0x0112
_TURN_RIGHT = 6
"""The EXIF orientation of a picture that must be turned clockwise by a quarter."""


@dataclass(frozen=True)
class Origin:
    """The source of a golden photo, in words and as a file of an installed package."""

    source: str
    package: str
    file: str


ORIGINS: Mapping[str, Origin] = {
    "camera.jpg": Origin(
        "scikit-image, data/camera.png, by Lav Varshney; CC0; greyscale, 512x512 to 480x480",
        "skimage",
        "data/camera.png",
    ),
    "chelsea.jpg": Origin(
        "scikit-image, data/chelsea.png, by Stefan van der Walt; CC0; 451x300",
        "skimage",
        "data/chelsea.png",
    ),
    "coffee.jpg": Origin(
        "scikit-image, data/coffee.png, by Rachel Michetti, courtesy of Pikolo Espresso Bar; CC0; "
        "600x400, stored on its side with EXIF orientation 6",
        "skimage",
        "data/coffee.png",
    ),
    "rocket.jpg": Origin(
        "scikit-image, data/rocket.jpg, by SpaceX; released into the public domain; its centre at "
        "480x480, the canvas's own size",
        "skimage",
        "data/rocket.jpg",
    ),
}
SOURCES: Mapping[str, str] = {name: origin.source for name, origin in ORIGINS.items()}


def find(folder: Path) -> list[Path]:
    """Return the golden photos in `folder`, sorted by name.

    Raises:
        DataUnusable: there are none, or one has no recorded origin.
    """
    photos = sorted(folder.glob("*.jpg"))
    if not photos:
        raise DataUnusable(f"{folder} holds no golden photos. Name a folder of .jpg files.")
    if unknown := [photo.name for photo in photos if photo.name not in ORIGINS]:
        raise DataUnusable(
            f"Golden photo {unknown[0]} has no recorded source and licence. "
            "Add it to training/packaging/default_golden.py, or remove it."
        )
    return photos


def write_originals(folder: Path) -> None:
    """Write all golden photos into `folder`, from the packages that ship the originals."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, origin in ORIGINS.items():
        spec = importlib.util.find_spec(origin.package)
        if spec is None or spec.origin is None:
            raise DataUnusable(f"{origin.package} is not installed. Install it to make {name}.")
        _write(Path(spec.origin).parent / origin.file, folder / name)


def _write(original: Path, target: Path) -> None:
    image: Image.Image = Image.open(original)
    exif = Image.Exif()
    if target.name == "camera.jpg":
        image = image.resize((480, 480), Image.Resampling.LANCZOS)
    elif target.name == "rocket.jpg":
        left = (image.width - image.height) / 2
        box = (left, 0, left + image.height, image.height)
        image = image.resize((480, 480), Image.Resampling.LANCZOS, box)
    elif target.name == "coffee.jpg":
        image = image.transpose(Image.Transpose.ROTATE_90)
        exif[_ORIENTATION_TAG] = _TURN_RIGHT
    image.save(target, "JPEG", quality=_QUALITY, optimize=True, exif=exif)


if __name__ == "__main__":
    write_originals(Path(sys.argv[1]))
