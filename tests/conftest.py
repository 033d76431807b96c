"""A tiny bundle that tells red, green and blue apart, and photos for it."""

import io
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
import uvicorn
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from app import bundle as bundles
from app.bundle import Bundle
from app.main import create_app
from app.settings import Settings

COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
SIZE = 32
MakeBundle = Callable[..., Bundle]
Serve = Callable[..., AbstractContextManager[httpx.Client]]


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (480, 480)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG", quality=90)
    return file.getvalue()


def tiny_graph(sharpness: float = 8.0, classes: int = 3, size: int = SIZE) -> onnx.ModelProto:
    """uint8 (N, size, size, 3) -> softmax of the mean of each channel."""
    nodes = [
        helper.make_node("DequantizeLinear", ["image", "scale", "zero"], ["normal"]),
        helper.make_node("ReduceMean", ["normal", "axes"], ["embedding"], keepdims=0),
        helper.make_node("Gemm", ["embedding", "head.weight"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    weight = (np.eye(3, dtype=np.float32) * sharpness)[:classes]
    constants = {
        "scale": np.float32(1 / 128),
        "zero": np.uint8(127),
        "axes": np.array([1, 2]),
        "head.weight": weight,
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", size, size, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _probabilities(colour: tuple[int, int, int], sharpness: float) -> np.ndarray:
    logits = (np.array(colour, np.float32) - 127) / 128 * sharpness
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


@pytest.fixture(scope="session", autouse=True)
def _int8_instructions() -> Iterator[None]:
    """Whatever processor the tests run on, models choose as on one with VNNI."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.runtime.model.saturates_int8", lambda: False)
        yield


@pytest.fixture(scope="session")
def photo() -> Callable[..., bytes]:
    """JPEG bytes of one colour, by name or as RGB: photo("red"), photo((1, 2, 3), (600, 400))."""

    def make(colour: str | tuple[int, int, int], size: tuple[int, int] = (480, 480)) -> bytes:
        return jpeg(COLOURS[colour] if isinstance(colour, str) else colour, size)

    return make


@pytest.fixture(scope="session")
def graph() -> Callable[..., onnx.ModelProto]:
    """The tiny graph; keywords bend it."""
    return tiny_graph


@pytest.fixture(scope="session")
def imagenet() -> Path:
    """The bundle that every checkout serves."""
    return Path(__file__).parents[1] / "model" / "imagenet"


@pytest.fixture
def rewrite() -> Callable[..., None]:
    """Changes a bundle's bundle.json: values at dotted paths, and the records of its files."""

    def change(folder: Path, values: dict[str, object] | None = None, *, record: bool = True):
        file = folder / bundles.MANIFEST
        manifest = json.loads(file.read_text())
        if record:
            records = bundles.record_files(folder, manifest["files"])
            manifest["files"] = {name: r.model_dump() for name, r in records.items()}
        for path, value in (values or {}).items():
            *above, last = path.split("/")
            part = manifest
            for key in above:
                part = part[int(key)] if isinstance(part, list) else part[key]
            if value is ...:
                del part[last]
            else:
                part[int(last) if isinstance(part, list) else last] = value
        del manifest["sha256"]
        bundles.write_manifest(manifest, folder)

    return change


@pytest.fixture
def make_bundle(tmp_path: Path) -> MakeBundle:
    """Makes a bundle of the tiny graph below a folder; keywords bend the truth."""
    return _bundle_maker(tmp_path)


def _bundle_maker(below: Path) -> MakeBundle:
    def make(
        root: Path = below / "models",
        name: str = "colours",
        version: int = 1,
        *,
        folder: Path | None = None,
        sharpness: float = 8.0,
        int8_sharpness: float | None = None,
        labels: tuple[str, ...] = tuple(COLOURS),
    ) -> Bundle:
        """`int8_sharpness`: that of a second graph, which passes for int8."""
        output = folder or root / name
        built = output.with_name(f".{output.name}.new")
        (built / "golden").mkdir(parents=True)
        onnx.save(tiny_graph(sharpness), built / "model.onnx")
        precisions = {"fp32": sharpness}
        if int8_sharpness is not None:
            onnx.save(tiny_graph(int8_sharpness), built / "model.int8.onnx")
            precisions["int8"] = sharpness
        for colour, rgb in COLOURS.items():
            (built / f"golden/{colour}.jpg").write_bytes(jpeg(rgb))
        for precision, sharp in precisions.items():
            rows = [_probabilities(rgb, sharp) for rgb in COLOURS.values()]
            np.save(built / f"golden/{precision}.npy", np.array(rows, np.float32))
        names = [str(f.relative_to(built)) for f in sorted(built.rglob("*")) if f.is_file()]
        metrics = {"top1": 1.0, "top5": 1.0, "ece": 0.0, "images": 3, "on": "colours"}
        manifest = bundles.Manifest.model_validate_json(
            json.dumps(
                {
                    "name": name,
                    "version": version,
                    "labels": [{"name": label, "id": f"id-{label}"} for label in labels],
                    "input": {"size": SIZE, "crop": 1.0, "resample": "box"},
                    "files": {
                        file: record.model_dump()
                        for file, record in bundles.record_files(built, names).items()
                    },
                    "metrics": dict.fromkeys(precisions, metrics),
                    "golden": {
                        "photos": [
                            {
                                "file": f"golden/{colour}.jpg",
                                "label": labels[min(index, len(labels) - 1)],
                                "source": "made here, CC0",
                                "tolerance": dict.fromkeys(precisions, 0.02),
                            }
                            for index, colour in enumerate(COLOURS)
                        ],
                        "expected": {p: f"golden/{p}.npy" for p in precisions},
                    },
                    "training": {
                        "recipe": "none",
                        "arguments": {},
                        "seed": 0,
                        "data": "none",
                        "versions": {},
                        "seconds": 0,
                    },
                }
            )
        )
        return bundles.save(manifest, built, output)

    return make


@contextmanager
def _serve(settings: Settings) -> Iterator[httpx.Client]:
    app = create_app(settings)
    config = uvicorn.Config(app, port=0, log_config=None, ws="none", lifespan="on")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            client.app = app  # type: ignore[attr-defined]
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Serves `tmp_path`/models, in this process, on a port of its own; keywords are settings."""
    monkeypatch.setattr("app.runtime.registry.BUILT_IN_MODELS", tmp_path / "built-in")
    (tmp_path / "built-in").mkdir()

    def start(**settings: object) -> AbstractContextManager[httpx.Client]:
        return _serve(Settings(**{"models": tmp_path / "models", **settings}))

    return start


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service with the tiny model and the usual settings, one for a whole module."""
    below = tmp_path_factory.mktemp("service")
    _bundle_maker(below)()
    (below / "built-in").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.runtime.registry.BUILT_IN_MODELS", below / "built-in")
        with _serve(Settings(models=below / "models")) as client:
            yield client


@pytest.fixture(scope="module")
def imagenet_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service with the model that every checkout serves, one for a whole module."""
    with _serve(Settings(models=tmp_path_factory.mktemp("models"))) as client:
        yield client
