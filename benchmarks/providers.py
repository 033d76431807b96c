"""Compare ONNX Runtime's own CPU kernels with OpenVINO's, on the default bundle's graphs.

    python -m benchmarks.providers [--rounds 6] [--seconds 2]

Run it in an environment with onnxruntime-openvino instead of onnxruntime; it needs NumPy besides.
Two threads run one session each on one core each, in turns of the providers.
"""

import argparse
import statistics
import threading
import time
from pathlib import Path

import app  # noqa: F401 - switches off the telemetry of ONNX Runtime, so it comes first

# isort: split
import numpy as np
import onnxruntime as ort

BUNDLE = Path(__file__).resolve().parents[1] / "model" / "imagenet"
CPU = "CPUExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"
CALLERS = 2


def open_session(file: Path, provider: str) -> ort.InferenceSession:
    """Open a graph on one thread of a provider."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    own = {"device_type": "CPU", "num_of_threads": "1", "num_streams": "1"}
    settings = own if provider == OPENVINO else {}
    session = ort.InferenceSession(str(file), options, providers=[(provider, settings)])
    if session.get_providers()[0] != provider:
        raise SystemExit(f"{provider} is not used. Install onnxruntime-openvino.")
    return session


def rate(sessions: list[ort.InferenceSession], seconds: float) -> tuple[float, float]:
    """Return the images per second of all callers together, and the CPU ms of an image."""
    size = sessions[0].get_inputs()[0].shape[1]
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), np.uint8)
    counts = [0] * len(sessions)
    began, cpu_began = time.perf_counter(), time.process_time()

    def call(number: int) -> None:
        while time.perf_counter() < began + seconds:
            sessions[number].run(["probabilities"], {"image": image})
            counts[number] += 1

    threads = [threading.Thread(target=call, args=(n,)) for n in range(len(sessions))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    images = sum(counts)
    cpu_ms = (time.process_time() - cpu_began) / images * 1e3
    return images / (time.perf_counter() - began), cpu_ms


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    print("| graph | provider | load s | images/s | CPU ms | OpenVINO / CPU (each round) |")
    print("|---|---|---|---|---|---|")
    for file in (BUNDLE / "model.int8.onnx", BUNDLE / "model.onnx"):
        sessions, load_s = {}, {}
        for provider in (CPU, OPENVINO):
            began = time.perf_counter()
            sessions[provider] = [open_session(file, provider) for _ in range(CALLERS)]
            load_s[provider] = time.perf_counter() - began
            rate(sessions[provider], 0.3)
        rounds = [
            {provider: rate(sessions[provider], options.seconds) for provider in sessions}
            for _ in range(options.rounds)
        ]
        ratios = sorted(done[OPENVINO][0] / done[CPU][0] for done in rounds)
        shown = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})"
        for provider in sessions:
            images, cpu_ms = (
                statistics.median(done[provider][i] for done in rounds) for i in range(2)
            )
            figures = f"{load_s[provider]:.2f} | {images:.1f} | {cpu_ms:.2f} | {shown}"
            print(f"| {file.name} | {provider} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
