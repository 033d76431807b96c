"""What the three baselines share: a photo's bytes -> its five most probable classes.

Written as a careful user of any serving framework would, and of nothing of Hubel but the ONNX file:
Pillow decodes, the centre square is resized to what the graph reads, and the graph normalises for
itself. No orientation, no colour profiles, no limits.

MODEL, THREADS and DRAFT in the environment: the ONNX file, threads for one run, and 1 to have large
JPEGs decoded at a fraction of their size.
"""

import io
import os

import numpy as np
import onnxruntime as ort
from PIL import Image

SIDE = 240
CANVAS = (480, 480)


def session() -> ort.InferenceSession:
    """The graph, with THREADS threads a run."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = int(os.environ["THREADS"])
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])


def pixels(data: bytes) -> np.ndarray:
    """(1, 240, 240, 3) uint8 RGB of an encoded photo."""
    image = Image.open(io.BytesIO(data))
    if os.environ.get("DRAFT") == "1":
        image.draft("RGB", CANVAS)
    image = image.convert("RGB")
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side)
    resized = image.resize((SIDE, SIDE), Image.Resampling.BILINEAR, box)
    return np.asarray(resized)[np.newaxis]


def predictions(graph: ort.InferenceSession, data: bytes) -> dict[str, list[dict[str, float]]]:
    """The answer for one photo."""
    (probabilities,) = graph.run(["probabilities"], {"image": pixels(data)})
    best = np.argsort(-probabilities[0])[:5]
    return {
        "predictions": [
            {"index": int(index), "probability": float(probabilities[0, index])} for index in best
        ]
    }
