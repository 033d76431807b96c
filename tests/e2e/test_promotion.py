"""Promotions under load: no request fails, no results mix, no memory remains in use."""

import gc
import io
import time
from pathlib import Path

import httpx
import pytest
from PIL import Image

from tests.e2e.steady_load import SteadyLoad

pytestmark = pytest.mark.e2e

CLIENTS = 32
PROMOTIONS = 50
REFUSALS = 10
ADMIN = {"Authorization": "Bearer secret"}
LANGUAGES = (("red", "green", "blue"), ("rouge", "vert", "bleu"))
"""Odd versions have the second labels, even ones the first."""


def red() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (64, 64), (230, 20, 20)).save(file, "JPEG")
    return file.getvalue()


def pss_bytes(pid: int) -> int:
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return int(text.split("Pss:")[1].split()[0]) * 1024


@pytest.mark.slow
def test_fifty_promotions_and_ten_refusals_under_load(start, make_bundle, tmp_path):
    models = tmp_path / "models"
    make_bundle(models, version=1, labels=LANGUAGES[1])
    server = start(
        HUBEL_MODELS=str(models),
        HUBEL_ADMIN_KEY="secret",
        HUBEL_DRAIN_S="0",
        HUBEL_QUEUE_WAIT_S="60",  # else a slow machine may refuse photos, as it should
    )
    base = f"http://127.0.0.1:{server.port}"
    refused = 0
    with (
        SteadyLoad(f"{base}/api/v1/classify", red(), CLIENTS) as load,
        httpx.Client(base_url=base, timeout=60) as admin,
    ):
        for version in range(2, PROMOTIONS + 2):
            bundle = make_bundle(models, version=version, labels=LANGUAGES[version % 2])
            if version % (PROMOTIONS // REFUSALS) == 0:
                good = bundle.model_path("fp32").read_bytes()
                bundle.model_path("fp32").write_bytes(good + b"x")
                response = admin.post("/api/v1/models/colours/reload", headers=ADMIN)
                assert (response.status_code, response.json()["code"]) == (409, "bundle_mismatch")
                assert admin.get("/readyz").status_code == 200
                refused += 1
                bundle.model_path("fp32").write_bytes(good)
            response = admin.post("/api/v1/models/colours/reload", headers=ADMIN)
            assert response.status_code == 200, response.text
            fields = admin.post("/api/v1/classify", content=red()).json()
            assert fields["version"] == version
        metrics = admin.get("/metrics").text
    assert refused == REFUSALS
    for outcome in load.outcomes:
        assert (outcome.status, outcome.label) == (200, LANGUAGES[outcome.version % 2][0])
    assert len({outcome.version for outcome in load.outcomes}) > PROMOTIONS // 2
    promoted = 'hubel_promotions_total{model="colours",outcome="promoted"}'
    assert f"{promoted} {PROMOTIONS + 1}.0" in metrics


@pytest.mark.slow
def test_memory_is_freed_after_promotions_of_the_default_model(start, imagenet):
    server = start(HUBEL_ADMIN_KEY="secret", HUBEL_DRAIN_S="0")
    body = (imagenet / "golden/chelsea.jpg").read_bytes()
    with httpx.Client(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:

        def reload_and_post() -> None:
            reply = client.post("/api/v1/models/imagenet/reload", headers=ADMIN)
            assert reply.status_code == 200
            assert client.post("/api/v1/classify", content=body).is_success

        for _ in range(3):
            reload_and_post()
        gc.collect()
        before = pss_bytes(server.popen.pid)
        for _ in range(10):
            reload_and_post()
        time.sleep(0.2)
        after = pss_bytes(server.popen.pid)
        assert after < before * 1.1

        reply = client.post("/api/v1/models/imagenet/unload", headers=ADMIN)
        assert reply.status_code == 200
        assert pss_bytes(server.popen.pid) < after - 5_000_000
        assert client.post("/api/v1/classify", content=body).json()["code"] == "model_not_ready"
