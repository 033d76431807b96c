"""The models folder of a real process: roll-backs and restarts, unmounted volumes, the watch."""

import contextlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

pytestmark = pytest.mark.e2e

ADMIN = {"Authorization": "Bearer secret"}
KEY = {"HUBEL_ADMIN_KEY": "secret", "HUBEL_DRAIN_S": "0"}


@pytest.fixture
def models(make_bundle, tmp_path):
    for name in ("bees", "birds"):
        for version in (1, 2):
            make_bundle(name=name, version=version, folder=tmp_path / f"models/{name}/{version}")
    return tmp_path / "models"


@pytest.fixture
def run(start, models):
    """Start a server of the folder, and return it with a client."""
    with contextlib.ExitStack() as stack:

        def begin(**environment):
            server = start(HUBEL_MODELS=str(models), **KEY, **environment)
            url = f"http://127.0.0.1:{server.port}"
            return server, stack.enter_context(httpx.Client(base_url=url, timeout=120))

        yield begin


def versions(client, photo):
    """Return the version that serves each model, and the code or model without a name."""
    served = [
        client.post(f"/api/v1/classify?model={name}", content=photo).json().get("version")
        for name in ("bees", "birds")
    ]
    fields = client.post("/api/v1/classify", content=photo).json()
    return [*served, fields.get("model") or fields["code"]]


def stop(server):
    server.terminate()
    assert server.wait() == 0


def messages(server):
    return " ".join(str(line["message"]) for line in server.log())


def wait_until(condition):
    """Wait until `condition` is true; the watch polls every two seconds."""
    for _ in range(6000):
        if condition():
            return
        time.sleep(0.05)
    pytest.fail("the condition stayed false")


def test_choices_outlive_a_restart(run, photo):
    red = photo("red")
    server, client = run()
    assert versions(client, red) == [2, 2, "model_required"]
    assert "get 400 model_required: The models folder has several models" in messages(server)
    for path in ("birds/reload?mode=rollback", "bees/reload?version=1", "bees/default"):
        assert client.post(f"/api/v1/models/{path}", headers=ADMIN).status_code == 200
    client.post("/api/v1/models/bees/unload?version=2", headers=ADMIN)
    expected = [1, 1, "bees"]
    assert versions(client, red) == expected
    stop(server)

    server, client = run(HUBEL_DEFAULT_MODEL="birds")
    assert versions(client, red) == expected
    reason = "It was chosen at run time, instead of HUBEL_DEFAULT_MODEL=birds."
    assert client.get("/readyz").json()["default_reason"] == reason
    client.post("/api/v1/models/birds/reload", headers=ADMIN)
    client.post("/api/v1/models/bees/reload", headers=ADMIN)
    client.delete("/api/v1/models/bees/default", headers=ADMIN)
    assert versions(client, red) == [2, 1, "birds"]
    stop(server)


def test_a_broken_pin_file_ends_the_start_with_its_reason(models):
    (models / "pins.json").write_text('{"schema_version": 1, "models"')
    command = [Path(sys.executable).with_name("hubel"), "serve", "--port", "0"]
    environment = {**os.environ, "HUBEL_MODELS": str(models)}
    result = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith(f"Error: {models}/pins.json can't be used (")
    assert "Traceback" not in result.stderr


def test_models_serve_on_while_their_volume_is_unmounted(run, models, photo):
    red = photo("red")
    server, client = run(HUBEL_DEFAULT_MODEL="birds", HUBEL_WATCH="1")
    hidden = models.parent / "unmounted"
    hidden.mkdir()
    for child in list(models.iterdir()):
        child.rename(hidden / child.name)
    response = client.post("/api/v1/models/birds/reload", headers=ADMIN)
    assert (response.status_code, response.json()["code"]) == (409, "bundle_missing")
    wait_until(lambda: messages(server).count("is missing or can't be read; model") == 4)
    assert versions(client, red) == [2, 2, "birds"]
    for child in list(hidden.iterdir()):
        child.rename(models / child.name)
    assert client.post("/api/v1/models/birds/reload", headers=ADMIN).status_code == 200
    assert versions(client, red) == [2, 2, "birds"]


def test_a_watched_folder_serves_what_is_copied_into_it(run, models, make_bundle, photo):
    red = photo("red")
    (models / "net.onnx").write_bytes(b"a model")
    server, client = run(HUBEL_DEFAULT_MODEL="birds", HUBEL_WATCH="1")
    assert "net.onnx is no bundle, so it isn't served. Make one: hubel import" in messages(server)
    whole = make_bundle(name="birds", version=3, folder=models.parent / "elsewhere").folder
    shutil.copytree(whole, models / "birds/3", ignore=shutil.ignore_patterns("model.onnx"))
    make_bundle(name="wasps", folder=models / "wasps")
    wait_until(lambda: client.get("/v2/models/wasps/ready").status_code == 200)
    assert versions(client, red) == [2, 2, "birds"]
    assert "refused" not in messages(server)
    shutil.copy(whole / "model.onnx", models / "birds/3")
    wait_until(lambda: versions(client, red)[1] == 3)
    assert versions(client, red) == [2, 3, "birds"]
    stop(server)
