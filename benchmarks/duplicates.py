"""Measure near duplicates: distances of photos saved again, of similar photos, and the time taken.

python benchmarks/duplicates.py PHOTOS [--size 240] [--every 1]

PHOTOS is a folder as `hubel train` reads it. Prints the distances of 60 of its photos from
themselves saved again, the distances of the candidate pairs that aren't near duplicates, and the
groups that are found among all photos.
"""

import io
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from PIL import Image

from app import vision
from app.bundle import InputSpec
from training.data import duplicates, layout, same_photo
from training.data.photos import LIMITS, read_photos

_SAMPLE = 60


def _jpeg(image: Image.Image, quality: int = 85) -> bytes:
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _cropped(image: Image.Image, share: float) -> Image.Image:
    width, height = image.size
    across, down = round(share * width), round(share * height)
    return image.crop((across, down, width - across, height - down))


SAVED_AGAIN = {
    "at quality 40": lambda image: _jpeg(image, 40),
    "at half the size": lambda image: _jpeg(image.resize((image.width // 2, image.height // 2))),
    "20 % brighter": lambda image: _jpeg(image.point(lambda value: min(255, int(1.2 * value)))),
    "25 % darker": lambda image: _jpeg(image.point(lambda value: int(0.75 * value))),
    "cropped by 2 % a side": lambda image: _jpeg(_cropped(image, 0.02)),
    "cropped by 4 % a side": lambda image: _jpeg(_cropped(image, 0.04)),
}


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--size", default=240)
@click.option("--every", default=1)
def main(data: Path, size: int, every: int) -> None:
    """Print the tables."""
    spec = InputSpec(size=size, crop=1.0, resample="box")
    files = layout.scan_folder(data).files[::every]
    with tempfile.TemporaryDirectory() as folder:
        photos, _, (pixels,) = read_photos(files, [spec], Path(folder))
        began = time.monotonic()
        found = duplicates.find(photos, pixels)
        seconds = time.monotonic() - began
        print(f"\n{len(photos)} photos, {seconds:.1f} s, bound {found.bound:.3f}, ", end="")
        print(f"likeness {found.likeness:.2f}, {len(found.alike)} groups:")
        for group in found.alike:
            print("   ", " = ".join(photos[index].file.name for index in group))
        print("\n| saved again | median | 90 % | most |\n|---|---|---|---|")
        sample = np.linspace(0, len(photos) - 1, _SAMPLE).astype(int).tolist()
        for name, save in SAVED_AGAIN.items():
            distances = []
            for index in sample:
                with Image.open(photos[index].file.path) as image:
                    picture = vision.decode(save(image.convert("RGB")), LIMITS)
                side = same_photo.side_for(
                    photos[index].width, photos[index].height, picture.width, picture.height
                )
                again = same_photo.detail_of(vision.resize(picture, spec), side)
                original = same_photo.detail_of(pixels[photos[index].row], side)
                distances.append(same_photo.distance(original, again))
            share = np.quantile(distances, [0.5, 0.9, 1])
            print(f"| {name} | {share[0]:.3f} | {share[1]:.3f} | {share[2]:.3f} |")


if __name__ == "__main__":
    main()
