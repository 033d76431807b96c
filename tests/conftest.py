"""A tiny bundle that classifies red, green and blue, photos for it, and servers with it."""

import io
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

# `app` switches off the telemetry of ONNX Runtime, so it is imported first.
from app import bundle as bundles

# huggingface_hub, used by tests alone, would fetch a file from huggingface.co into the home folder.
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

# isort: split
import httpx
import numpy as np
import onnx
import onnxruntime as ort
import pytest
import uvicorn
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from app.api.tracing import Tracing
from app.bundle import Bundle
from app.main import create_app
from app.settings import Settings
from training.packaging import replacement

COLOURS = {"red": (230, 20, 20), "green": (20, 230, 20), "blue": (20, 20, 230)}
SIZE = 32
_MOTO = Path(__file__).resolve().parents[1] / ".venv" / "moto" / "bin" / "moto_server"
MakeBundle = Callable[..., Bundle]
Serve = Callable[..., AbstractContextManager[httpx.Client]]


def jpeg(colour: tuple[int, int, int], size: tuple[int, int] = (480, 480)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG", quality=90)
    return file.getvalue()


def tiny_graph(
    sharpness: float = 8.0,
    classes: int = 3,
    size: int | tuple[int, int] = SIZE,
    *,
    sigmoid: bool = False,
) -> onnx.ModelProto:
    """uint8 (N, height, width, 3) -> softmax, or sigmoid, of the mean of each channel."""
    sides = (size, size) if isinstance(size, int) else size
    last: dict[str, Any] = {"op_type": "Sigmoid"} if sigmoid else {"op_type": "Softmax", "axis": 1}
    nodes = [
        helper.make_node("DequantizeLinear", ["image", "scale", "zero"], ["normal"]),
        helper.make_node("ReduceMean", ["normal", "axes"], ["embedding"], keepdims=0),
        helper.make_node("Gemm", ["embedding", "head.weight"], ["logits"], transB=1),
        helper.make_node(inputs=["logits"], outputs=["probabilities"], **last),
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
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", *sides, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", classes])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def textbook_graph() -> onnx.ModelProto:
    """conv 5x5 -> 28x28 maps, ReLU, pool, conv, ReLU, pool, fully connected; classifies colours.

    The first three filters are means of red, green and blue; the others respond weakly.
    """
    rng = np.random.default_rng(0)
    first = rng.normal(0, 0.004, (6, 3, 5, 5)).astype(np.float32)
    second = rng.normal(0, 0.0004, (8, 6, 5, 5)).astype(np.float32)
    full = np.zeros((3, 8, 5, 5), np.float32)
    for colour in range(3):
        first[colour, colour] = second[colour, colour] = 1 / 25
        full[colour, colour] = 8 / 25
    node = helper.make_node
    nodes = [
        node("DequantizeLinear", ["image", "scale", "zero"], ["pixels"]),
        node("Transpose", ["pixels"], ["planes"], perm=[0, 3, 1, 2]),
        node("Conv", ["planes", "conv1.weight"], ["conv1.conv"]),
        node("Relu", ["conv1.conv"], ["conv1"]),
        node("MaxPool", ["conv1"], ["pool1"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", ["pool1", "conv2.weight"], ["conv2.conv"]),
        node("Relu", ["conv2.conv"], ["conv2"]),
        node("MaxPool", ["conv2"], ["pool2"], kernel_shape=[2, 2], strides=[2, 2]),
        node("Flatten", ["pool2"], ["flat"]),
        node("Gemm", ["flat", "head.weight", "head.bias"], ["logits"], transB=1),
        node("Softmax", ["logits"], ["probabilities"], axis=-1),
    ]
    constants = {
        "scale": np.float32(1 / 128),
        "zero": np.uint8(127),
        "conv1.weight": first,
        "conv2.weight": second,
        "head.weight": full.reshape(3, -1),
        "head.bias": np.zeros(3, np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "textbook",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["N", 3])],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def contrast_graph(invalid: Sequence[str] = ("probabilities",)) -> onnx.ModelProto:
    """Classify colours by pixels divided by their contrast, which is 0 for white, grey and black.

    Then the outputs `invalid` are NaN (`probabilities`) or infinite (`embedding`, `familiarity`).
    The others are always finite.
    """
    node = helper.make_node
    nodes = [
        node("DequantizeLinear", ["image", "scale", "zero"], ["normal"]),
        node("ReduceMean", ["normal", "all axes"], ["mean"], keepdims=1),
        node("Sub", ["normal", "mean"], ["centred"]),
        node("Mul", ["centred", "centred"], ["squares"]),
        node("ReduceMean", ["squares", "all axes"], ["variance"], keepdims=0),
        node("Sqrt", ["variance"], ["contrast"]),
        node("Max", ["contrast", "small"], ["safe contrast"]),
        node("ReduceMean", ["centred", "axes"], ["colour"], keepdims=0),
    ]
    for name in ("probabilities", "embedding"):
        contrast = "contrast" if name in invalid else "safe contrast"
        nodes.append(node("Unsqueeze", [contrast, "one"], [f"{name} contrast"]))
    contrast = "contrast" if "familiarity" in invalid else "safe contrast"
    nodes += [
        node("Div", ["colour", "probabilities contrast"], ["ratios"]),
        node("Softmax", ["ratios"], ["probabilities"], axis=1),
        node("Reciprocal", ["embedding contrast"], ["embedding"]),
        node("Reciprocal", [contrast], ["familiarity"]),
    ]
    constants = {
        "scale": np.float32(1 / 128),
        "zero": np.uint8(127),
        "small": np.float32(1e-3),
        "all axes": np.array([1, 2, 3]),
        "axes": np.array([1, 2]),
        "one": np.array([1]),
    }
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "contrast",
        [value("image", TensorProto.UINT8, ["N", SIZE, SIZE, 3])],
        [
            value("probabilities", TensorProto.FLOAT, ["N", 3]),
            value("embedding", TensorProto.FLOAT, ["N", 1]),
            value("familiarity", TensorProto.FLOAT, ["N"]),
        ],
        [numpy_helper.from_array(np.asarray(v), name) for name, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def _rows(graph: onnx.ModelProto) -> np.ndarray:
    """Return the probabilities that `graph` computes for the golden colours."""
    session = ort.InferenceSession(graph.SerializeToString())
    pixels = [np.full((SIZE, SIZE, 3), rgb, np.uint8) for rgb in COLOURS.values()]
    return session.run(["probabilities"], {"image": np.stack(pixels)})[0]


def _probabilities(colour: tuple[int, int, int], sharpness: float) -> np.ndarray:
    logits = (np.array(colour, np.float32) - 127) / 128 * sharpness
    exponents = np.exp(logits - logits.max())
    return exponents / exponents.sum()


@pytest.fixture(scope="session", autouse=True)
def _int8_instructions() -> Iterator[None]:
    """Make models select their precision as on a processor with VNNI, whatever the tests run on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.runtime.loaded_model.saturates_int8", lambda: False)
        yield


@pytest.fixture(autouse=True)
def _no_host_is_looked_up() -> Iterator[None]:
    """Fail a test in which this process looks up another host; libraries hide it when it fails."""
    looked_up = []
    look_up = socket.getaddrinfo

    def watched(host, *arguments, **options):
        name = host.decode() if isinstance(host, bytes) else host or ""
        if name not in ("", "localhost", "0.0.0.0", "::", "::1") and not name.startswith("127."):
            looked_up.append(name)
        return look_up(host, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", watched)
        yield
    assert not looked_up, "looked up, and tests need no network"


@pytest.fixture(scope="session")
def photo() -> Callable[..., bytes]:
    """Makes a JPEG of one colour, by name or as RGB: photo("red"), photo((1, 2, 3), (600, 400))."""

    def make(colour: str | tuple[int, int, int], size: tuple[int, int] = (480, 480)) -> bytes:
        return jpeg(COLOURS[colour] if isinstance(colour, str) else colour, size)

    return make


@pytest.fixture(scope="session")
def graph() -> Callable[..., onnx.ModelProto]:
    """The function that makes the tiny graph; keywords change it."""
    return tiny_graph


@pytest.fixture(scope="session")
def embedding_graph() -> Callable[..., onnx.ModelProto]:
    """The function that makes the tiny graph with the output `embedding`; keywords change it."""

    def make(**options: Any) -> onnx.ModelProto:
        made = tiny_graph(**options)
        made.graph.output.append(
            helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 3])
        )
        return made

    return make


@pytest.fixture(scope="session")
def textbook() -> onnx.ModelProto:
    """A network that ends with fully connected layers, so it has no pooled linear head."""
    return textbook_graph()


@pytest.fixture(scope="session")
def contrast() -> Callable[..., onnx.ModelProto]:
    """The function that makes a graph which returns NaN or infinity for an image of one grey."""
    return contrast_graph


@pytest.fixture(scope="session")
def imagenet() -> Path:
    """The built-in bundle."""
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
    """Makes a bundle of the tiny graph below a folder; keywords change it."""
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
        thresholds: tuple[float, ...] | None = None,
        graph: onnx.ModelProto | None = None,
        report: dict[str, bytes] | None = None,
        size: int | tuple[int, int] = SIZE,
        fit: str = "cover",
    ) -> Bundle:
        """Make a bundle.

        `int8_sharpness`: sharpness of a second graph, which serves as int8. `thresholds`: of a
        multi-label bundle, whose graph ends in a sigmoid. `graph`: replaces the
        tiny one. `report`: files of the folder report/. `size`, `fit`: of its input.
        """
        output = folder or root / name
        if thresholds is not None:
            graph = graph or tiny_graph(sharpness, len(labels), sigmoid=True)
        built = output.with_name(f".{output.name}.new")
        (built / "golden").mkdir(parents=True)
        onnx.save(graph or tiny_graph(sharpness, size=size), built / "model.onnx")
        for file, content in (report or {}).items():
            (built / "report" / file).parent.mkdir(parents=True, exist_ok=True)
            (built / "report" / file).write_bytes(content)
        precisions = {"fp32": sharpness}
        if int8_sharpness is not None:
            onnx.save(tiny_graph(int8_sharpness), built / "model.int8.onnx")
            precisions["int8"] = sharpness
        for colour, rgb in COLOURS.items():
            (built / f"golden/{colour}.jpg").write_bytes(jpeg(rgb))
        for precision, sharp in precisions.items():
            rows = [_probabilities(rgb, sharp) for rgb in COLOURS.values()]
            expected = np.array(rows, np.float32) if graph is None else _rows(graph)
            np.save(built / f"golden/{precision}.npy", expected)
        names = [str(f.relative_to(built)) for f in sorted(built.rglob("*")) if f.is_file()]
        metrics = {"top1": 1.0, "top5": 1.0, "ece": 0.0, "images": 3, "on": "colours"}
        several: dict[str, Any] = {}
        if thresholds is not None:
            figures = ("mean_average_precision", "f1_micro", "f1_macro", "exact")
            metrics = {**dict.fromkeys(figures, 1.0), "ece": 0.0, "images": 3, "on": "colours"}
            bands = [(min(1 / 3, t), max(2 / 3, t)) for t in thresholds]
            several = {"task": "multi_label", "thresholds": thresholds, "undecided": bands}
        manifest = bundles.Manifest.model_validate_json(
            json.dumps(
                {
                    "name": name,
                    "version": version,
                    **several,
                    "labels": [{"name": label, "id": f"id-{label}"} for label in labels],
                    "input": {"size": size, "crop": 1.0, "resample": "box", "fit": fit},
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
        return replacement.save(manifest, built, output)

    return make


@contextmanager
def _serve(settings: Settings, tracing: Tracing | None = None) -> Iterator[httpx.Client]:
    app = create_app(settings, tracing=tracing)
    config = uvicorn.Config(
        app, port=0, log_config=None, ws="none", lifespan="on", proxy_headers=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive(), "the server did not start"
            time.sleep(0.005)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120) as client:
            client.app = app  # type: ignore[attr-defined]
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Serve:
    """Serves `tmp_path`/models in this process on a free port; keywords are settings."""
    monkeypatch.setattr("app.runtime.discovery.BUILT_IN_MODELS", tmp_path / "built-in")
    (tmp_path / "built-in").mkdir()

    def start(**settings: object) -> AbstractContextManager[httpx.Client]:
        return _serve(Settings(**{"models": tmp_path / "models", **settings}))

    return start


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service with the tiny model and default settings; one per module."""
    below = tmp_path_factory.mktemp("service")
    _bundle_maker(below)()
    (below / "built-in").mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.runtime.discovery.BUILT_IN_MODELS", below / "built-in")
        with _serve(Settings(models=below / "models")) as client:
            yield client


@pytest.fixture(scope="module")
def module_bundle_maker() -> Callable[[Path], MakeBundle]:
    """Returns a function like `make_bundle` for a folder of a module's own."""
    return _bundle_maker


@pytest.fixture(scope="module")
def module_serve() -> Callable[..., AbstractContextManager[httpx.Client]]:
    """Serves the models of a folder, without the built-in one; other keywords are settings."""

    @contextmanager
    def start(
        below: Path, *, tracing: Tracing | None = None, **settings: object
    ) -> Iterator[httpx.Client]:
        (below / "built-in").mkdir()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("app.runtime.discovery.BUILT_IN_MODELS", below / "built-in")
            merged = Settings(**{"models": below / "models", **settings})
            with _serve(merged, tracing) as client:
                yield client

    return start


REPORT = {"index.html": b"<!doctype html><title>Report</title><h1>It went well</h1>"}


@pytest.fixture(scope="module")
def textbook_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a service with the textbook network, with a report, and the tiny model."""
    below = tmp_path_factory.mktemp("service")
    make = _bundle_maker(below)
    make(name="textbook", graph=textbook_graph(), report=REPORT)
    make()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.runtime.discovery.BUILT_IN_MODELS", below / "built-in")
        (below / "built-in").mkdir()
        with _serve(Settings(models=below / "models", default_model="textbook")) as client:
            yield client


@pytest.fixture(scope="module")
def imagenet_client(
    tmp_path_factory: pytest.TempPathFactory, imagenet: Path
) -> Iterator[httpx.Client]:
    """A client of a service with the built-in model; one per module."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("app.runtime.discovery.BUILT_IN_MODELS", imagenet.parent)
        with _serve(Settings(models=tmp_path_factory.mktemp("models"))) as client:
            yield client


HUES = {"red": (1.0, 0.3, 0.2), "green": (0.2, 1.0, 0.3), "blue": (0.3, 0.2, 1.0)}


def blobs(hue: str, seed: int, size: int = 96) -> Image.Image:
    """Return a photo of blobs, `size` pixels square."""
    noise = np.random.default_rng(seed).integers(40, 256, (6, 6, 1))
    pixels = (noise * np.array(HUES[hue])).astype(np.uint8)
    return Image.fromarray(pixels).resize((size, size), Image.Resampling.BICUBIC)


@pytest.fixture(scope="session")
def blob() -> Callable[..., bytes]:
    """Return a function that makes a photo's bytes: blob("red", 1), blob("red", 1, "GIF", ...)."""

    def make(hue: str, seed: int, format: str = "JPEG", size: int = 96, **options: int) -> bytes:
        file = io.BytesIO()
        blobs(hue, seed, size).save(file, format, **options)
        return file.getvalue()

    return make


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait until a condition is true, and fail if it stays false."""

    def wait(condition: Callable[[], bool]) -> None:
        for _ in range(24_000):
            if condition():
                return
            time.sleep(0.005)
        pytest.fail("the condition stayed false")

    return wait


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 with the bucket `models`; the environment leads to it."""
    if not _MOTO.exists():
        pytest.skip("make .venv/.moto installs moto")
    address = f"http://127.0.0.1:{_free_port()}"
    command = [_MOTO, "--host", "127.0.0.1", "--port", address.rpartition(":")[2]]
    server = subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL)
    variables = {
        "AWS_ENDPOINT_URL": address,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
    }
    try:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in variables.items():
                patch.setenv(name, value)
            _create_bucket(f"{address}/models")
            yield address
    finally:
        server.terminate()
        server.wait()


def _create_bucket(url: str) -> None:
    request = Request(url, method="PUT", headers={"Content-Length": "0"})
    for _ in range(300):
        try:
            urlopen(request).close()
            return
        except OSError:
            time.sleep(0.1)
    pytest.fail("moto did not start")
