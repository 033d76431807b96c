"""A killed server, damaged files under a loaded model, a runtime that raises: what still serves."""

import os
import shutil
import signal
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import httpx
import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from PIL import Image

from app import bundle as bundles
from benchmarks.serving.process import free_port
from tests.e2e.steady_load import SteadyLoad

pytestmark = [pytest.mark.e2e, pytest.mark.slow]

ADMIN = {"Authorization": "Bearer secret"}


def test_after_a_sigkill_under_load_a_new_server_serves_on_the_same_port(start, load):
    port = str(free_port())
    killed = start(port=port, HUBEL_QUEUE_WAIT_S="30")

    def kill(number: int) -> None:
        if number == 60:
            os.kill(killed.popen.pid, signal.SIGKILL)

    before = load(killed.port, 300, kill)
    assert killed.wait() == -signal.SIGKILL
    assert before["200"]
    assert {status for status in before if not status.startswith("lost")} <= {
        "200",
        "not connected",
    }

    restarted = start(port=port, HUBEL_QUEUE_WAIT_S="30")
    assert restarted.port == killed.port
    assert load(restarted.port, 100, lambda _: None) == {"200": 100}


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


def empty(file: Path) -> None:
    os.truncate(file, 0)


def overwrite(file: Path) -> None:
    with file.open("r+b") as opened:  # the same inode: what is mapped changes too
        opened.write(b"\xa5" * file.stat().st_size)


def replace(file: Path) -> None:
    file.unlink()
    file.write_bytes(b"another file")


def test_a_loaded_model_serves_while_its_files_are_damaged_and_removed(
    start, imagenet, cat_photo, rewrite, tmp_path
):
    folder = tmp_path / "models" / "photos"
    shutil.copytree(imagenet, folder)
    rewrite(folder, {"name": "photos"})
    kept = tmp_path / "kept"
    shutil.copytree(folder, kept)
    server = start(
        HUBEL_MODELS=str(folder.parent), HUBEL_ADMIN_KEY="secret", HUBEL_QUEUE_WAIT_S="30"
    )
    base = f"http://127.0.0.1:{server.port}"
    names = [bundles.MANIFEST, *bundles.load(folder).manifest.files]
    graphs = ["model.onnx", "model.int8.onnx"]
    damage: list[tuple[Callable[[Path], None], list[str]]] = [
        (truncate, graphs),
        (overwrite, graphs),
        (empty, names),
        (overwrite, names),
        (replace, names),
        (Path.unlink, names),
    ]
    with (
        SteadyLoad(f"{base}/api/v1/classify?model=photos", cat_photo, clients=4) as load,
        httpx.Client(base_url=base, timeout=60) as admin,
    ):
        load.wait_for_more(8)
        for change, files in damage:
            for name in files:
                change(folder / name)
            load.wait_for_more(8)
            reload = admin.post("/api/v1/models/photos/reload", headers=ADMIN)
            assert reload.is_client_error, reload.text
            load.wait_for_more(8)
            shutil.rmtree(folder)
            shutil.copytree(kept, folder)
        reload = admin.post("/api/v1/models/photos/reload", headers=ADMIN)
        assert reload.status_code == 200, reload.text
        load.wait_for_more(8)
    right = httpx.post(
        f"{base}/api/v1/classify?model=imagenet", content=cat_photo, timeout=60
    ).json()
    label = right["predictions"][0]["label"]
    assert {(outcome.status, outcome.label) for outcome in load.outcomes} == {(200, label)}


def raising_graph(make: Callable[[], onnx.ModelProto]) -> onnx.ModelProto:
    """Add to the tiny graph a look-up whose index is out of bounds for a white image."""
    model = make()
    graph = model.graph
    softmax = next(node for node in graph.node if "probabilities" in node.output)
    (logits, *_) = softmax.input
    node = helper.make_node
    added = [
        node("Cast", ["image"], ["float image"], to=onnx.TensorProto.FLOAT),
        node("ReduceMean", ["float image", "pixel axes"], ["brightness"], keepdims=0),
        node("Div", ["brightness", "white"], ["share of white"]),
        node("Cast", ["share of white"], ["index"], to=onnx.TensorProto.INT64),
        node("Gather", ["one zero", "index"], ["looked up"]),
        node("Unsqueeze", ["looked up", "last axis"], ["looked up column"]),
        node("Add", [logits, "looked up column"], ["checked logits"]),
    ]
    softmax.input[0] = "checked logits"
    position = list(graph.node).index(softmax)
    nodes = [*graph.node[:position], *added, *graph.node[position:]]
    del graph.node[:]
    graph.node.extend(nodes)
    for name, value in {
        "pixel axes": np.array([1, 2, 3]),
        "white": np.float32(250),
        "one zero": np.zeros(1, np.float32),
        "last axis": np.array([1]),
    }.items():
        graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


def jpeg(*rgb: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (480, 480), rgb).save(file, "JPEG")
    return file.getvalue()


RED, WHITE = jpeg(230, 20, 20), jpeg(255, 255, 255)


def test_a_photo_at_which_onnx_runtime_raises_fails_alone(start, make_bundle, graph, tmp_path):
    make_bundle(tmp_path / "models", graph=raising_graph(graph))
    server = start(HUBEL_MODELS=str(tmp_path / "models"), HUBEL_QUEUE_WAIT_S="30")
    url = f"http://127.0.0.1:{server.port}/api/v1/classify"
    photos = [RED, RED, WHITE, RED, RED, RED, WHITE, RED] * 8

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda photo: httpx.post(url, content=photo, timeout=60), photos))
        batches = list(
            pool.map(
                lambda batch: httpx.post(
                    url, files=[("file", ("a.jpg", photo)) for photo in batch], timeout=60
                ),
                [[RED, RED], [RED, WHITE, RED], [RED, RED, RED]] * 3,
            )
        )

    for photo, response in zip(photos, responses, strict=True):
        assert response.status_code == (500 if photo is WHITE else 200), response.text
    assert {r.json()["code"] for r in responses if r.is_error} == {"internal"}
    assert [batch.status_code for batch in batches] == [200, 500, 200] * 3
    assert "out of" in "".join(server.lines)  # the log has ONNX Runtime's reason
    assert httpx.post(url, content=RED, timeout=60).json()["predictions"][0]["label"] == "red"
    assert httpx.get(f"http://127.0.0.1:{server.port}/readyz", timeout=60).status_code == 200
