"""Compare Pillow's resize with one matrix product, for the centre of a 480x480 photo.

    python benchmarks/crop.py --photos DIR

A photo that already has the canvas's size is resized by Pillow, from the crop's box. The product
(`fused_resize`) could do that too. Both are timed in turns on one thread, and compared.
"""

import argparse
import statistics
import time
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from app.vision.canvas import CANVAS
from app.vision.fused_resize.filter_weights import Resample, make_filter_weights
from app.vision.fused_resize.resize_plan import apply_plan, plan_resize
from benchmarks.processor import describe

SPECS: tuple[tuple[float, int, Resample], ...] = (
    (0.875, 240, "bilinear"),
    (0.875, 224, "bilinear"),
    (0.875, 224, "bicubic"),
    (1.0, 224, "bilinear"),
)
PHOTOS = 30
ROUNDS = 5


def canvases(folder: Path) -> list[Image.Image]:
    """Return photos as decoded JPEGs of the canvas's size."""
    images = []
    files = (file for file in folder.rglob("*") if file.suffix.lower() in (".jpg", ".jpeg"))
    for file in sorted(files)[:PHOTOS]:
        buffer = BytesIO()
        photo = Image.open(file).convert("RGB").resize((CANVAS, CANVAS))
        photo.save(buffer, "JPEG", quality=85)
        images.append(Image.open(buffer).convert("RGB"))
    return images


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--photos", type=Path, required=True)
    images = canvases(parser.parse_args().photos)
    print(f"{describe()}\n\n| crop | size | filter | Pillow ms | product ms | largest difference |")
    print("|---|---|---|---|---|---|")
    with threadpool_limits(1):
        for crop, size, resample in SPECS:
            side = round(crop * CANVAS)
            low = (CANVAS - side) / 2
            weights = make_filter_weights(CANVAS, low, low + side, size, resample)
            plan = plan_resize(rows=weights, columns=weights)
            box = (low, low, low + side, low + side)
            pillow_ms, product_ms, differences = [], [], []
            for image in images * ROUNDS:
                began = time.perf_counter()
                theirs = np.asarray(
                    image.resize((size, size), Image.Resampling[resample.upper()], box)
                )
                between = time.perf_counter()
                ours = apply_plan(plan, image)
                ended = time.perf_counter()
                pillow_ms.append((between - began) * 1e3)
                product_ms.append((ended - between) * 1e3)
                differences.append(int(np.abs(ours.astype(int) - theirs).max()))
            times = f"{statistics.median(pillow_ms):.2f} | {statistics.median(product_ms):.2f}"
            print(f"| {crop} | {size} | {resample} | {times} | {max(differences)} |")


if __name__ == "__main__":
    main()
