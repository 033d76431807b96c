"""Reloads, roll-backs and unloads over HTTP, and what a missing folder does."""

import shutil
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

BOSS = {"X-API-Key": "boss"}
RELOAD = "/api/v1/models/birds/reload"


@pytest.fixture
def models(tmp_path, make_bundle):
    for version in (1, 2, 3):
        make_bundle(name="birds", version=version, folder=tmp_path / f"models/birds/{version}")
    return tmp_path / "models"


@pytest.fixture
def birds(models, serve):
    with serve(admin_key="boss") as client:
        yield client


def change(client, path):
    return client.post(path, headers=BOSS)


def states(response):
    """Return (pinned, held, serving) versions of a list of models."""
    listed = response.json()["models"]
    return tuple([m["version"] for m in listed if m[k]] for k in ("pinned", "held", "serving"))


def test_a_roll_back_and_a_promotion_are_listed(birds, photo):
    assert states(change(birds, f"{RELOAD}?mode=rollback")) == ([2], [3], [2])
    assert birds.post("/api/v1/classify", content=photo("red")).json()["version"] == 2
    assert states(change(birds, f"{RELOAD}?mode=rollback&version=1")) == ([1], [3, 2], [1])
    assert states(change(birds, f"{RELOAD}?mode=promote&version=3")) == ([3], [2], [3])
    assert states(change(birds, f"{RELOAD}?mode=promote")) == ([], [2], [3])
    assert states(change(birds, f"{RELOAD}?version=1")) == ([1], [2], [1])
    assert states(change(birds, RELOAD)) == ([], [2], [3])


def test_a_model_tells_why_a_version_is_held_and_what_a_roll_back_selects(birds):
    change(birds, f"{RELOAD}?mode=rollback")
    body = birds.get("/api/v1/models/birds").json()
    assert body["version"] == 2
    assert [each["version"] for each in body["versions"]] == [3, 2, 1]
    reasons = [each["held_reason"] for each in body["versions"]]
    assert reasons == ["It was rolled back to version 2.", None, None]
    assert body["rolls_back_to"] == 1


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("mode=rollback&version=7", 404, "unknown_model"),
        ("mode=rollback&version=3", 200, None),
        ("mode=mirror", 400, "bad_parameter"),
        ("mode=reject&version=3", 400, "bad_parameter"),
        ("mode=reject&version=2", 200, None),
        ("mode=Rollback", 400, "bad_parameter"),
        ("version=0", 400, "bad_parameter"),
    ],
)
def test_a_wrong_mode_or_version_is_rejected(birds, query, status, code):
    response = change(birds, f"{RELOAD}?{query}")
    assert (response.status_code, response.json().get("code")) == (status, code)


def test_a_roll_back_without_an_earlier_version_is_rejected(birds):
    change(birds, f"{RELOAD}?mode=rollback&version=1")
    response = change(birds, f"{RELOAD}?mode=rollback")
    assert (response.status_code, response.json()["code"]) == (404, "unknown_model")
    response = change(birds, f"{RELOAD}?mode=rollback&version=2")
    assert (response.status_code, response.json()["code"]) == (400, "bad_parameter")


@pytest.mark.parametrize(
    "path", [RELOAD, f"{RELOAD}?version=3", "/v2/repository/models/birds/load"]
)
@pytest.mark.parametrize("gone", ["birds/3", "birds", "."])
def test_a_missing_folder_is_refused_and_the_model_serves_on(birds, models, photo, path, gone):
    shutil.rmtree(models / gone)
    response = change(birds, path)
    assert response.status_code == 409
    body = response.json()
    assert "version 3 serves on" in body.get("detail", body.get("error"))
    assert birds.post("/api/v1/classify", content=photo("red")).json()["version"] == 3
    assert birds.get("/readyz").status_code == 200


def test_a_broken_pin_file_is_refused(birds, models):
    (models / "pins.json").write_text("{")
    for path in (RELOAD, f"{RELOAD}?mode=rollback", "/api/v1/models/birds/default"):
        response = change(birds, path)
        assert (response.status_code, response.json()["code"]) == (409, "pin_file_invalid")
        assert "pins.json can't be used" in response.json()["detail"]
    response = change(birds, "/v2/repository/models/birds/load")
    assert (response.status_code, "pins.json" in response.json()["error"]) == (409, True)


def test_one_version_can_be_unloaded(birds, photo):
    response = change(birds, "/api/v1/models/birds/unload?version=3")
    assert [m["state"] for m in response.json()["models"]] == ["unloaded", "ready", "ready"]
    assert birds.post("/api/v1/classify", content=photo("red")).json()["version"] == 2
    assert change(birds, "/api/v1/models/birds/unload?version=7").status_code == 404


def test_a_choice_that_cannot_be_written_is_reported(birds, models, monkeypatch):
    def refuse(source, target):
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("app.durable_files.os.replace", refuse)
    body = change(birds, f"{RELOAD}?mode=rollback").json()
    assert "This choice ends with the process" in body["warning"]
    assert "Read-only file system" in birds.get("/api/v1/models").json()["warning"]


def test_many_reloads_at_once_leave_requests_their_threads(birds, photo, monkeypatch):
    """Multipart bodies are split on threads of the event loop, which reloads must not occupy."""
    registry = birds.app.state.service.registry
    may_end, begun = threading.Event(), threading.Event()
    load = registry.loader._load

    def slow(folder):
        begun.set()
        assert may_end.wait(30)
        return load(folder)

    monkeypatch.setattr(registry.loader, "_load", slow)
    with ThreadPoolExecutor(40) as pool:
        reloads = [pool.submit(change, birds, RELOAD) for _ in range(40)]
        assert begun.wait(30)
        response = birds.post("/api/v1/classify", files={"file": photo("red")})
        assert (response.status_code, response.json()["version"]) == (200, 3)
        may_end.set()
        assert {reload.result(60).status_code for reload in reloads} == {200}


def test_a_watched_folder_brings_a_new_version_into_service(
    models, serve, make_bundle, photo, monkeypatch, until
):
    monkeypatch.setattr("app.main.Watch", lambda registry: Watch(registry, interval_s=0.02))
    from app.runtime.watch import Watch

    with serve(watch=True) as client:
        make_bundle(name="birds", version=4, folder=models / "birds/4")

        def version():
            return client.post("/api/v1/classify", content=photo("red")).json()["version"]

        until(lambda: version() == 4)
