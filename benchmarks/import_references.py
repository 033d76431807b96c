"""Measure how far Hubel's pixels and a script's move a probability, and what a Scan costs.

    photos -> Pillow: resize the centre square once       -> the model -> probabilities
           -> Hubel: decode, canvas, resize               -> the model -> probabilities
    the default model, and the same graph in a Scan, in turns -> milliseconds

The first figures are what `hubel import --reference-tolerance` has to allow for; the second show
that pictures may be run one at a time (docs/decisions/importing.md).

    python -m benchmarks.import_references PHOTOS
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
from onnx import TensorProto, helper
from PIL import Image, ImageOps

from app import bundle as bundles
from app import vision
from app.errors import InputError
from app.runtime.session import Session
from training.data.photos import LIMITS
from training.importing import one_at_a_time
from training.importing.wrap import Wrapped

BUNDLE = Path(__file__).parents[1] / "model" / "imagenet"
MOST_PHOTOS = 100
RUNS = 60
SUFFIXES = (".jpg", ".jpeg")


def pillow_pixels(file: Path, spec: bundles.InputSpec) -> np.ndarray:
    """Return the centre square of a photo, resized once by Pillow: (S, S, 3) uint8 RGB."""
    image = ImageOps.exif_transpose(Image.open(file)).convert("RGB")
    side = min(image.size) * spec.crop
    left, top = (image.width - side) / 2, (image.height - side) / 2
    filter = Image.Resampling[spec.resample.upper()]
    box = (left, top, left + side, top + side)
    return np.asarray(image.resize((spec.size, spec.size), filter, box))


def differences(session: Session, spec: bundles.InputSpec, photos: list[Path]) -> np.ndarray:
    """Return the largest difference of a probability for each photo that can be read."""
    largest = []
    for file in photos:
        try:
            ours = vision.resize(vision.decode(file.read_bytes(), LIMITS), spec)
        except InputError:
            continue
        both = [session.run(pixels[None])[0] for pixels in (ours, pillow_pixels(file, spec))]
        largest.append(np.abs(both[0] - both[1]).max())
    return np.array(largest)


def in_a_scan(file: Path, folder: Path) -> tuple[Path, Path]:
    """Write the graph with its probabilities alone, and the same graph in a Scan."""
    model = onnx.load(file)
    (classes,) = (
        value.type.tensor_type.shape.dim[1].dim_value
        for value in model.graph.output
        if value.name == "probabilities"
    )
    model.graph.ClearField("output")
    model.graph.output.append(
        helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes])
    )
    onnx.save(model, folder / "plain.onnx")
    scanned = one_at_a_time.scan(
        Wrapped(model, has_head=False, has_embedding=False, added_nodes=()), 1
    )
    onnx.save(scanned.model, folder / "scan.onnx")
    return folder / "plain.onnx", folder / "scan.onnx"


def milliseconds(files: tuple[Path, Path], size: int, cores: int, *, all_cores: bool) -> np.ndarray:
    """Return the times (RUNS, 2) of both graphs in turns."""
    sessions = [Session(file, "cpu", "fp32", cores) for file in files]
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    times = np.empty((RUNS, 2))
    for run in range(RUNS):
        for index, session in enumerate(sessions):
            began = time.perf_counter()
            session.run(image, all_cores=all_cores)
            times[run, index] = 1000 * (time.perf_counter() - began)
    return times


def main(folder: Path) -> None:
    """Print both comparisons."""
    bundle = bundles.load(BUNDLE)
    spec = bundle.manifest.input
    photos = sorted(file for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES)
    photos = photos[:: max(1, len(photos) // MOST_PHOTOS)]
    session = Session(bundle.model_path("fp32"), "cpu", "fp32")
    for resample in ("box", "bilinear", "bicubic"):
        changed = spec.model_copy(update={"resample": resample})
        found = differences(session, changed, photos)
        print(
            f"{resample}: {len(found)} photos, largest difference of a probability: median "
            f"{np.median(found):.4f}, mean {found.mean():.4f}, 95 % "
            f"{np.quantile(found, 0.95):.4f}, most {found.max():.4f}"
        )
    with TemporaryDirectory() as temporary:
        files = in_a_scan(bundle.model_path("fp32"), Path(temporary))
        for cores, all_cores in ((1, False), (2, False), (2, True)):
            times = milliseconds(files, spec.size, cores, all_cores=all_cores)
            plain, scanned = np.median(times, axis=0)
            ratio = np.median(times[:, 1] / times[:, 0])
            print(
                f"{cores} {all_cores}: plain {plain:.1f} ms, Scan {scanned:.1f}, ratio {ratio:.2f}"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
