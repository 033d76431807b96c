"""The dashboard and the alert rules fit the metrics: promtool, and a Prometheus with a load."""

import json
import re
import runpy
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from app import bundle as bundles
from app import keys_file
from benchmarks.serving.process import free_port
from tests.conftest import COLOURS, jpeg

REPOSITORY = Path(__file__).resolve().parents[2]
MONITORING = REPOSITORY / "deploy" / "monitoring"
DASHBOARD = MONITORING / "grafana" / "dashboards" / "hubel.json"
RULES = (MONITORING / "alerts.yml").read_text(encoding="utf-8")
ALERTS = re.findall(r"- alert: (\w+)", RULES)
BASELINE = {
    "images": 300,
    "confidence": [0] * 19 + [300],
    "labels": [100, 100, 100],
}
METRIC = re.compile(r"\b(?:hubel|process)_[a-z_]+")

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="Prometheus is missing",
)


def promtool(*arguments: str) -> None:
    done = subprocess.run(
        ["promtool", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def queries() -> dict[str, str]:
    """Return all queries of the dashboard by panel and letter."""
    board = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    panels = [inner for panel in board["panels"] for inner in (panel, *panel.get("panels", []))]
    return {
        f"{panel['title']} {target['refId']}": target["expr"]
        for panel in panels
        for target in panel.get("targets") or []
    }


def test_the_dashboard_is_up_to_date():
    script = runpy.run_path(str(MONITORING / "dashboard.py"))
    expected = DASHBOARD.read_text(encoding="utf-8")
    assert script["render"]() == expected, "run python deploy/monitoring/dashboard.py"


@needs_prometheus
def test_the_configuration_is_valid_and_the_rules_pass_their_tests():
    promtool("check", "config", "deploy/monitoring/prometheus.yml")
    promtool("test", "rules", "tests/deploy/alerts_test.yml")


def test_every_alert_is_tested_and_explained():
    unit_tests = (REPOSITORY / "tests/deploy/alerts_test.yml").read_text(encoding="utf-8")
    assert [each for each in ALERTS if unit_tests.count(f"alertname: {each}\n") == 0] == []
    assert [each for each in ALERTS if unit_tests.count(f"alertname: {each},") == 0] == []
    headings = re.findall(
        r"^### (\w+)$", (REPOSITORY / "docs/operations.md").read_text(encoding="utf-8"), re.M
    )
    assert sorted(headings) == sorted(ALERTS)
    runbooks = re.findall(r"runbook: docs/operations.md#(\w+)", RULES)
    assert runbooks == [alert.lower() for alert in ALERTS]


@pytest.fixture(scope="module")
def service(tmp_path_factory, module_bundle_maker, module_serve) -> Iterator[httpx.Client]:
    below = tmp_path_factory.mktemp("monitored")
    make = module_bundle_maker(below)
    folder = make(folder=below / "models" / "colours" / "1").folder
    make(folder=below / "models" / "colours" / "2", version=2)
    manifest = json.loads((folder / bundles.MANIFEST).read_text())
    del manifest["sha256"]
    bundles.write_manifest({**manifest, "baseline": BASELINE}, folder)
    key, named = keys_file.create("shop", "admin")
    (below / "keys.json").write_text(keys_file.NamedKeys(keys=(named,)).model_dump_json())
    with module_serve(below, keys_file=below / "keys.json", max_files=200) as client:
        client.headers["X-API-Key"] = key
        reload = "/api/v1/models/colours/reload"
        for query in ("version=1", "mode=shadow&version=2&share=1"):
            assert client.post(f"{reload}?{query}").status_code == 200
        yield client


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory, service) -> Iterator[httpx.Client]:
    """A Prometheus with the committed configuration, which scrapes the service often."""
    folder = tmp_path_factory.mktemp("prometheus")
    config = (MONITORING / "prometheus.yml").read_text(encoding="utf-8")
    target = f"127.0.0.1:{service.base_url.port}"
    config = config.replace("15s", "500ms").replace("hubel:8000", target)
    (folder / "prometheus.yml").write_text(config)
    shutil.copy(MONITORING / "alerts.yml", folder)
    address = f"127.0.0.1:{free_port()}"
    options = (f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data")
    process = subprocess.Popen(
        ["prometheus", *options, f"--web.listen-address={address}"], stderr=subprocess.DEVNULL
    )
    try:
        with httpx.Client(base_url=f"http://{address}/api/v1", timeout=30) as client:
            yield client
    finally:
        process.terminate()
        process.wait()


def value(prometheus: httpx.Client, query: str) -> list[dict[str, object]]:
    query = query.replace("$__rate_interval", "20s").replace("$instance", ".*")
    response = prometheus.get("/query", params={"query": query})
    assert response.status_code == 200, f"{query}: {response.text}"
    return response.json()["data"]["result"]


def wait_for(prometheus: httpx.Client, query: str) -> None:
    for _ in range(300):
        try:
            if value(prometheus, query):
                return
        except (httpx.ConnectError, AssertionError):
            pass  # it is starting
        time.sleep(0.1)
    pytest.fail(f"no data for {query}")


@needs_prometheus
def test_every_query_of_the_dashboard_has_data_of_a_load(service, prometheus):
    photo = jpeg(COLOURS["red"])

    def post(body: bytes) -> int:
        return service.post("/api/v1/classify", content=body).status_code

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(post, [photo, b"no photo"] * 4)) == {200, 400}
        wait_for(prometheus, "sum(hubel_rejections_total) * sum(hubel_shadow_images_total)")
        assert set(pool.map(post, [photo, b"no photo"] * 20)) == {200, 400}
    crops = {"crop": ["0,0,40,40"] * 200}  # equal ones are run once
    assert service.post("/api/v1/classify", content=photo, params=crops).status_code == 200
    wait_for(prometheus, "sum(hubel_images_total) == 25")
    empty = {}
    for panel, query in queries().items():
        result = value(prometheus, query)
        if not result or any(sample["value"][1] == "NaN" for sample in result):
            empty[panel] = (query, result)
    assert empty == {}


def test_dashboard_and_alerts_use_metrics_that_exist(service):
    text = service.get("/metrics").text
    families = set(re.findall(r"^# TYPE (\w+) ", text, re.M))
    families |= {f"{name}_{part}" for name in families for part in ("bucket", "sum", "count")}
    used = {name for text in (RULES, *queries().values()) for name in METRIC.findall(text)}
    assert sorted(used - families - {"process_max_fds"}) == []
