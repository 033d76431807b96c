"""Write the files of this folder: exports that need packages which the tests don't install.

    pip install onnxscript skl2onnx        # in an environment that also has torch and scikit-learn
    python -m tests.training.importing.exported.generate

Stack traces, names of nodes and inferred shapes are left out, so that each file has under 20 kB.
"""

from pathlib import Path

import numpy as np
import onnx
import torch

from tests.training.importing import networks

FOLDER = Path(__file__).parent
NETWORKS = ("cnn", "vit", "timm_vit")


def write_dynamo_exports() -> None:
    """Export each network by torch.export, with a fixed and a dynamic batch size."""
    for name in NETWORKS:
        for batch in ("static", "dynamic"):
            torch.manual_seed(0)
            network = getattr(networks, name)()
            pictures = torch.randn(1 if batch == "static" else 2, 3, networks.SIDE, networks.SIDE)
            shapes = ({0: torch.export.Dim("batch")},) if batch == "dynamic" else None
            file = FOLDER / f"{name}-{batch}.onnx"
            torch.onnx.export(
                network, (pictures,), file, dynamo=True, dynamic_shapes=shapes, external_data=False
            )
            _save_small(onnx.load(file), file)


def write_sklearn_exports() -> None:
    """Convert classifiers of rows of 8x8 colour pixels, with and without a ZipMap."""
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LogisticRegression
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rng = np.random.default_rng(0)
    truth = rng.integers(0, 3, 300)
    pixels = rng.normal(size=(300, 8, 8, 3)) * 40 + 110
    pixels[np.arange(300), :, :, truth] += 50
    rows = pixels.reshape(300, -1).clip(0, 255).astype(np.float32)
    names = np.array(["red", "green", "blue"])[truth]
    regression = LogisticRegression(C=1e-4, max_iter=500)
    perceptron = make_pipeline(
        StandardScaler(), MLPClassifier((4,), alpha=10.0, max_iter=40, random_state=0)
    )
    models = {
        "sklearn-regression": (regression.fit(rows, truth), {}),
        "sklearn-no-zipmap": (regression, {"zipmap": False}),
        "sklearn-pipeline": (make_pipeline(StandardScaler(), regression).fit(rows, truth), {}),
        "sklearn-mlp": (perceptron.fit(rows, truth), {}),
        "sklearn-binary": (LogisticRegression(C=1e-4).fit(rows, truth > 0), {}),
    }
    strings = LogisticRegression(C=1e-4, max_iter=500).fit(rows, names)
    models["sklearn-names"] = (strings, {})  # its classes are in alphabetical order
    for name, (model, options) in models.items():
        types = [("pixels", FloatTensorType([None, rows.shape[1]]))]
        converted = convert_sklearn(
            model, initial_types=types, options={id(model): options}, target_opset=17
        )
        _save_small(converted, FOLDER / f"{name}.onnx")


def _save_small(model: onnx.ModelProto, file: Path) -> None:
    graph = model.graph
    for part in (graph.node, graph.initializer, graph.input, graph.output, [graph, model]):
        for each in part:
            del each.metadata_props[:]
            each.doc_string = ""
    for node in graph.node:
        node.name = ""
    del graph.value_info[:]
    onnx.save(model, file)
    print(file.name, file.stat().st_size)


if __name__ == "__main__":
    write_dynamo_exports()
    write_sklearn_exports()
