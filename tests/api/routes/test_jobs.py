"""/api/v1/jobs: queued, followed, cancelled, resumed; what becomes of a new version."""

import json
import threading
import time
from pathlib import Path

import pytest

from app.jobs.comparison import Comparison, VersionFigures
from app.jobs.job_files import JobFiles
from app.jobs.plan import Plan, Result

JOBS, ADMIN = "/api/v1/jobs", {"X-API-Key": "adm"}
BODY = {"train": {"dataset": "pets", "model": "colours"}}


class Process:
    """A process that makes the bundle `made` at once, or once `go` is set."""

    go = threading.Event()
    made = comparison = None
    lines_before: tuple = ()

    def __init__(self, folder, log_file, temporary, threads):
        self.work = folder / "work"
        self.plan = Plan.model_validate_json((self.work / "plan.json").read_bytes())
        self.killed = threading.Event()
        log_file.touch()

    def lines(self):
        yield from (json.dumps(line).encode() for line in self.lines_before)
        while not (self.go.is_set() or self.killed.is_set()):
            time.sleep(0.005)

    def wait(self):
        if self.killed.is_set():
            return -9
        if self.lines_before and self.lines_before[-1]["type"] == "problem":
            return 2
        made = {"name": self.plan.model, "version": self.plan.version}
        type(self).made(folder=self.work / "bundle", **made)
        result = Result(accuracy=0.9, photos=40, comparison=self.comparison)
        (self.work / "result.json").write_text(result.model_dump_json())
        return 0

    def kill(self):
        self.killed.set()


@pytest.fixture
def process(monkeypatch, make_bundle):
    class Fresh(Process):
        go = threading.Event()
        made = staticmethod(make_bundle)

    Fresh.go.set()
    monkeypatch.setattr("app.jobs.run.JobProcess", Fresh)
    return Fresh


@pytest.fixture
def start(serve, tmp_path, make_bundle):
    """Return what starts a service with a dataset and a model that serves."""
    make_bundle()
    for label in ("cat", "dog"):
        (tmp_path / "data" / "datasets" / "pets" / label).mkdir(parents=True)
        (tmp_path / "data" / "datasets" / "pets" / label / "1.jpg").write_bytes(label.encode())

    def begin(**settings):
        given = {"data_dir": tmp_path / "data", "admin_key": "adm", **settings}
        return serve(**given)

    return begin


def ended(client, id):
    """Return a job once it has ended, by its events."""
    with client.stream("GET", f"{JOBS}/{id}/events", headers=ADMIN) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [line for line in response.iter_lines() if line.startswith("data: ")]
    return json.loads(events[-1].removeprefix("data: "))


def submit(client, body=BODY):
    response = client.post(JOBS, json=body, headers=ADMIN)
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"{JOBS}/{response.json()['id']}"
    return response.json()["id"]


def selected(client, name="colours"):
    models = client.get("/api/v1/models").json()["models"]
    return [each["version"] for each in models if each["name"] == name and each["serving"]]


def compared(verdict):
    figures = VersionFigures(version=1)
    return Comparison(
        verdict=verdict, reason="So it is.", rule="R.", serving=figures, candidate=figures
    )


def test_a_version_is_made_and_promoted(start, process):
    process.comparison = compared("not_worse")
    process.lines_before = (
        {"type": "text", "text": "split: train 30"},
        {"type": "step", "step": "embedding photos", "done": 1, "total": 2, "seconds_left": 3.5},
    )
    with start() as client:
        job = ended(client, submit(client))
        assert (job["state"], job["problem"], job["can_resume"]) == ("done", None, False)
        result = job["result"]
        assert (result["version"], result["outcome"], result["accuracy"]) == (2, "promoted", 0.9)
        assert (result["reason"], result["report"]) == ("So it is.", None)
        assert selected(client) == [2]
        listed = client.get(JOBS, headers=ADMIN).json()["jobs"]
        assert listed == [client.get(f"{JOBS}/{job['id']}", headers=ADMIN).json()] == [job]
        metrics = client.get("/metrics").text
        assert 'hubel_jobs_total{kind="train",state="done"} 1.0' in metrics
        assert 'hubel_request_seconds_count{route="/api/v1/jobs"}' in metrics
        assert 'hubel_request_seconds_count{route="/api/v1/jobs/{id}/events"}' not in metrics
        assert client.delete(f"{JOBS}/{job['id']}", headers=ADMIN).status_code == 204
        assert client.get(JOBS, headers=ADMIN).json() == {"jobs": []}


@pytest.mark.parametrize(
    ("verdict", "promote", "outcome"),
    [
        ("worse", None, "held"),
        ("not_comparable", "if_not_worse", "held"),
        ("better", "offer", "offered"),
    ],
)
def test_a_version_is_held_back_until_somebody_promotes_it(
    start, process, tmp_path, verdict, promote, outcome
):
    process.comparison = compared(verdict)
    with start() as client:
        job = ended(client, submit(client, {**BODY, "promote": promote}))
        assert job["result"]["outcome"] == outcome
        assert selected(client) == [1]
        assert '"held"' in (tmp_path / "models" / "pins.json").read_text()
        versions = client.get("/api/v1/models/colours").json()["versions"]
        assert versions[0]["held_reason"] == job["result"]["reason"]
        ready = client.get("/api/v1/models/colours", params={"version": 2})
        assert ready.status_code == 200
        reload = "/api/v1/models/colours/reload?version=2"
        assert client.post(reload, headers=ADMIN).status_code == 200
        assert selected(client) == [2]
        assert client.get("/api/v1/models/colours").json()["rolls_back_to"] == 1
        back = client.post("/api/v1/models/colours/reload?mode=rollback", headers=ADMIN)
        assert back.status_code == 200
        assert selected(client) == [1]


def test_a_first_version_serves(start, process):
    with start() as client:
        job = ended(client, submit(client, {"train": {"dataset": "pets", "model": "fresh"}}))
        assert (job["result"]["version"], job["result"]["outcome"]) == (1, "promoted")
        assert selected(client, "fresh") == [1]


def test_an_upload_is_imported(start, process, graph, tmp_path):
    body = {"upload": "0" * 32, "model": "fresh", "labels": ["red", "green", "blue"]}
    with start() as client:
        missing = client.post(JOBS, json={"import": body}, headers=ADMIN)
        assert (missing.status_code, missing.json()["code"]) == (404, "unknown_upload")
        data = graph().SerializeToString()
        body["upload"] = client.post("/api/v1/uploads", content=data, headers=ADMIN).json()["id"]
        job = ended(client, submit(client, {"import": body}))
        assert (job["kind"], job["request"]["import"]["upload"]) == ("import", body["upload"])
        assert (job["result"]["version"], job["result"]["outcome"]) == (1, "promoted")
        assert selected(client, "fresh") == [1]
        job = ended(client, submit(client, {"import": {**body, "model": "colours"}}))
        assert job["result"]["outcome"] == "offered"
        assert job["result"]["reason"] == "It wasn't compared with an earlier version."
        assert selected(client) == [1]
        for wrong in (
            {},
            {"import": body, **BODY},
            {"import": {**body, "labels": ["red", "Red"]}},
            {"import": {**body, "std": [0, 1, 1]}},
            {"import": {**body, "calibrate": "/etc"}},
        ):
            response = client.post(JOBS, json=wrong, headers=ADMIN)
            assert (response.status_code, response.json()["code"]) == (400, "bad_parameter")


def test_jobs_wait_are_cancelled_and_interrupted(start, process, tmp_path):
    process.go.clear()
    with start() as client:
        first, second = submit(client), submit(client)
        assert client.delete(f"{JOBS}/{second}", headers=ADMIN).json()["state"] == "cancelled"
        again = client.post(f"{JOBS}/{second}/resume", headers=ADMIN)
        assert (again.status_code, again.json()["code"]) == (409, "job_conflict")
        assert client.delete(f"{JOBS}/{first}", headers=ADMIN).json()["state"] == "cancelled"
        assert not (tmp_path / "data" / "jobs" / first / "work").exists()
        third, fourth = submit(client), submit(client)
        while client.get(f"{JOBS}/{third}", headers=ADMIN).json()["state"] == "queued":
            time.sleep(0.01)
    process.go.set()
    with start() as client:
        interrupted = client.get(f"{JOBS}/{third}", headers=ADMIN).json()
        assert (interrupted["state"], interrupted["can_resume"]) == ("interrupted", True)
        assert interrupted["problem"]["code"] == "interrupted"
        assert ended(client, fourth)["state"] == "done"  # it waited, and runs after the restart
        assert client.post(f"{JOBS}/{third}/resume", headers=ADMIN).status_code == 202
        assert ended(client, third)["state"] == "done"


def test_a_failed_job_says_why(start, process):
    problem = {"code": "data_unusable", "detail": "Too few. Add some."}
    process.lines_before = ({"type": "problem", "problem": problem},)
    with start() as client:
        job = ended(client, submit(client))
        assert (job["state"], job["problem"], job["result"]) == ("failed", problem, None)


def test_a_job_without_memory_left_says_so(start, process):
    problem = {"code": "bundle_invalid", "detail": "It can't be loaded (std::bad_alloc)."}
    process.lines_before = ({"type": "problem", "problem": problem},)
    with start(job_memory_bytes=600 * 1024 * 1024) as client:
        job = ended(client, submit(client))
        assert job["problem"]["code"] == "out_of_memory"
        assert "629 MB. Raise HUBEL_JOB_MEMORY_BYTES" in job["problem"]["detail"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"train": {"model": "pets"}}, 400, "bad_parameter"),
        ({"train": {"dataset": "none", "model": "pets"}}, 404, "unknown_dataset"),
        ({"train": {"captures": True, "model": "pets"}}, 400, "bad_parameter"),
        ({"train": {"dataset": "../pets", "model": "pets"}}, 400, "bad_parameter"),
        ({"train": {**BODY["train"], "options": {"device": "cuda"}}}, 400, "bad_parameter"),
        ({"train": {**BODY["train"], "options": {"epochs": 3}}}, 400, "bad_parameter"),
        ({"train": {**BODY["train"], "options": {"backbone": "/etc"}}}, 400, "bad_parameter"),
    ],
)
def test_bad_requests_are_refused_before_anything(start, process, tmp_path, body, status, code):
    with start() as client:
        response = client.post(JOBS, json=body, headers=ADMIN)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert client.get(JOBS, headers=ADMIN).json() == {"jobs": []}
        assert client.post(JOBS, json=BODY).status_code == 401


def test_an_installation_that_can_t_train_says_what_to_do(start, process, monkeypatch):
    monkeypatch.setattr("app.jobs.training_checks._PACKAGES", ("no_such_package",))
    with start() as client:
        response = client.post(JOBS, json=BODY, headers=ADMIN)
        assert (response.status_code, response.json()["code"]) == (501, "training_unavailable")
        assert "hubel[train]" in response.json()["detail"]


def test_without_a_place_for_the_version_nothing_begins(start, process, serve, tmp_path):
    with start(models=None) as client:
        response = client.post(JOBS, json=BODY, headers=ADMIN)
        assert (response.status_code, response.json()["code"]) == (409, "models_read_only")
    with serve(admin_key="adm") as client:
        assert client.get(JOBS, headers=ADMIN).json()["code"] == "store_off"


def test_one_service_uses_the_folder(tmp_path):
    first = JobFiles(Path(tmp_path))
    with pytest.raises(Exception, match="Another service"):
        JobFiles(Path(tmp_path))
    first.close()
    JobFiles(Path(tmp_path)).close()
