"""What the three baselines share: a photo's bytes -> its five most probable classes.

Written as a careful user of any serving framework would, and of nothing of Hubel but the ONNX file:
Pillow decodes, and the centre square is resized to what the graph reads. A graph that reads uint8
normalises for itself; for one that reads floats, as exporters write it, NumPy normalises, and makes
probabilities of its logits. No orientation, no colour profiles, no limits.

MODEL, THREADS and DRAFT in the environment: the ONNX file, threads for one run, and 1 to have large
JPEGs decoded at a fraction of their size.
"""

import io
import os

import numpy as np
import onnxruntime as ort
from PIL import Image

SIDE = 240
MEAN, SCALE = np.float32(127), np.float32(1 / 128)
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
    (image,) = graph.get_inputs()
    array = pixels(data)
    if image.type == "tensor(float)":
        array = np.ascontiguousarray(
            ((array.astype(np.float32) - MEAN) * SCALE).transpose(0, 3, 1, 2)
        )
        (logits,) = graph.run(["logits"], {image.name: array})
        powers = np.exp(logits[0] - logits[0].max())
        probabilities = powers / powers.sum()
    else:
        probabilities = graph.run(["probabilities"], {image.name: array})[0][0]
    best = np.argsort(-probabilities)[:5]
    return {
        "predictions": [
            {"index": int(index), "probability": float(probabilities[index])} for index in best
        ]
    }
