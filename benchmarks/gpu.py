"""Measure a model on a GPU, in under five minutes: `python benchmarks/gpu.py`.

    CUDA probe -> the bundle, with its golden photos -> how long six batch sizes take to warm up
               -> fp32 and fp16, batch by batch, with and without io-binding

The service pads batches to these sizes. A convolution is planned again whenever its input's shape
changes (onnxruntime #23006), so the second table alternates between sizes, too. With `--device cpu`
the same steps run on the CPU provider, which shows that the script works, not how fast a GPU is.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import app  # noqa: F401 - switches off the telemetry of ONNX Runtime, so it comes first

# isort: split
import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray

from app import bundle as bundles
from app import vision
from app.bundle import Bundle
from app.runtime import batching, ort
from app.runtime.loaded_model import load_model
from app.runtime.session import Device
from app.runtime.verify import run_golden
from benchmarks.processor import describe

ROOT = Path(__file__).resolve().parents[1]
LIMITS = vision.Limits(max_bytes=10_000_000, max_pixels=50_000_000)
PROVIDERS: dict[Device, str] = {"cpu": ort.CPU, "cuda": ort.CUDA}

Pixels = NDArray[np.uint8]
Run = Callable[[], NDArray[np.float32]]


@dataclass(frozen=True)
class Speed:
    """The speed of one batch size."""

    images_per_s: float
    p50_ms: float
    p99_ms: float


def golden_pixels(bundle: Bundle) -> Pixels:
    """Return the golden photos as the graph reads them, (N, S, S, 3) uint8 RGB."""
    files = [bundle.path(photo.file) for photo in bundle.manifest.golden.photos]
    pictures = [vision.decode(file.read_bytes(), LIMITS) for file in files]
    return np.stack([vision.resize(picture, bundle.manifest.input) for picture in pictures])


def write_float16(fp32: Path, folder: Path) -> Path:
    """Write the graph in float16; its inputs and outputs keep their types."""
    from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    file = folder / "model.fp16.onnx"
    in_float32 = [*DEFAULT_OP_BLOCK_LIST, "DequantizeLinear"]  # it reads the uint8 pixels
    model = convert_float_to_float16(onnx.load(fp32), keep_io_types=True, op_block_list=in_float32)
    onnx.save(model, file)
    return file


def plain(session: ort.OrtSession, pixels: Pixels) -> Run:
    """Return a run that hands over arrays in the host's memory."""

    def run() -> NDArray[np.float32]:
        (probabilities,) = session.run(["probabilities"], {"image": pixels})
        return np.asarray(probabilities)

    return run


def bound(session: ort.OrtSession, pixels: Pixels, device: Device) -> Run:
    """Return a run whose input and output stay on the device: one copy in, one copy out."""
    image = onnxruntime.OrtValue.ortvalue_from_numpy(pixels, device, 0)
    binding = session.io_binding()
    binding.bind_ortvalue_input("image", image)
    binding.bind_output("probabilities", device)

    def run() -> NDArray[np.float32]:
        image.update_inplace(pixels)
        session.run_with_iobinding(binding)
        return np.asarray(binding.copy_outputs_to_cpu()[0])

    return run


def measure(run: Run, images: int, seconds: float) -> Speed:
    """Repeat a warm run for `seconds`."""
    run()
    times: list[float] = []
    until = time.perf_counter() + seconds
    while time.perf_counter() < until or not times:
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    return Speed(images * len(times) / sum(times), float(p50), float(p99))


def print_warm_up(file: Path, device: Device, pixels: Pixels, sizes: Sequence[int]) -> None:
    """Print the first, the second and an alternating run of each batch size."""
    session = ort.single_threaded(file, PROVIDERS[device])
    runs = {size: plain(session, _batch(pixels, size)) for size in sizes}
    first = {size: _ms(run) for size, run in runs.items()}
    second = {size: min(_ms(run) for _ in range(3)) for size, run in runs.items()}
    alternating = {size: _ms(run) for size, run in runs.items()}
    print("\n| batch | first run, ms | same size again, ms | after another size, ms |")
    print("|---|---|---|---|")
    for size in sizes:
        print(f"| {size} | {first[size]:.1f} | {second[size]:.1f} | {alternating[size]:.1f} |")
    print(f"| all | {sum(first.values()):.0f} | | |")


def print_speeds(
    files: dict[str, Path], device: Device, pixels: Pixels, sizes: Sequence[int], seconds: float
) -> None:
    """Print images/s and latency of every precision, batch size and kind of run."""
    reference = plain(ort.single_threaded(files["fp32"], ort.CPU), pixels)()
    print("\n| precision | batch | io-binding | images/s | p50 ms | p99 ms | off by |")
    print("|---|---|---|---|---|---|---|")
    for precision, file in files.items():
        session = ort.single_threaded(file, PROVIDERS[device])
        difference = float(np.abs(plain(session, pixels)() - reference).max())
        for size in sizes:
            batch = _batch(pixels, size)
            runs = {"no": plain(session, batch), "yes": bound(session, batch, device)}
            for binding, run in runs.items():
                speed = measure(run, size, seconds)
                print(
                    f"| {precision} | {size} | {binding} | {speed.images_per_s:.0f} "
                    f"| {speed.p50_ms:.2f} | {speed.p99_ms:.2f} | {difference:.1e} |",
                    flush=True,
                )
    print("\n`off by`: largest difference of a golden photo's probability from fp32 on the CPU.")


def _batch(pixels: Pixels, size: int) -> Pixels:
    return np.ascontiguousarray(pixels[np.arange(size) % len(pixels)])


def _ms(run: Run) -> float:
    began = time.perf_counter()
    run()
    return (time.perf_counter() - began) * 1e3


def main(arguments: Sequence[str] | None = None) -> int:
    """Print all tables; 1 if CUDA can't be used or a golden photo is wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", type=Path, default=ROOT / "model" / "imagenet")
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each point")
    parser.add_argument("--sizes", type=int, nargs="+", default=batching.sizes())
    options = parser.parse_args(arguments)
    device: Device = options.device

    print(f"ONNX Runtime {onnxruntime.__version__}; {describe()}")
    if device == "cuda" and (reason := ort.why_cuda_is_unavailable()) is not None:
        print(f"CUDA can't be used: {reason}.", file=sys.stderr)
        return 1
    began = time.perf_counter()
    model = load_model(options.bundle, device, "fp32")
    print(f"loaded and verified on {device} in {time.perf_counter() - began:.2f} s")
    for result in run_golden(model.session, model.bundle):
        print(f"{result.file}: off by {result.difference:.1e}, {result.tolerance:.0e} allowed")
        if not result.passed:
            return 1
    pixels = golden_pixels(model.bundle)
    fp32 = bundles.load(options.bundle).model_path("fp32")
    with tempfile.TemporaryDirectory() as folder:
        files = {"fp32": fp32, "fp16": write_float16(fp32, Path(folder))}
        print_warm_up(fp32, device, pixels, options.sizes)
        print_speeds(files, device, pixels, options.sizes, options.seconds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
