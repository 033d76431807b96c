"""Named keys over HTTP: scopes, revocation under load, log, metrics, errors of each protocol."""

import logging
import threading

import httpx
import pytest

from app.keys_file import NamedKeys, change

RELOAD = "/api/v1/models/colours/reload"
PATHS = {
    "/api/v1/classify": ("code", "unauthenticated"),
    "/hf/colours": ("error", "This key is not known."),
    "/predictions/colours": ("type", "unauthenticated"),
    "/v2/models/colours/infer": ("error", "This key is not known."),
    "/v1/models/colours:predict": ("error", "This key is not known."),
}


def test_each_scope_allows_what_it_says(named):
    client, add, _ = named
    for scope, status in (("classify", 403), ("label", 403), ("admin", 200)):
        headers = add(f"of-{scope}", scope)
        assert client.get("/api/v1/models", headers=headers).status_code == 200
        response = client.post(RELOAD, headers=headers)
        assert response.status_code == status
        if status == 403:
            assert f"The key of-{scope} has the scope {scope}." in response.json()["detail"]


def test_the_keys_of_the_variables_go_on_working(named):
    client, _, _ = named
    for key in ("hush", "boss"):
        assert client.get("/api/v1/models", headers={"X-API-Key": key}).status_code == 200
    assert client.post(RELOAD, headers={"X-API-Key": "boss"}).status_code == 200


def test_the_name_is_in_log_and_metrics_and_the_key_is_not(named, photo, caplog):
    client, add, _ = named
    headers = add("alice")
    with caplog.at_level(logging.INFO, "hubel.request"):
        for _ in range(2):  # the second comes from the route cache
            client.post("/api/v1/classify", content=photo("red"), headers=headers)
    metrics = client.get("/metrics").text
    assert 'hubel_key_requests_total{key="alice",status="200"} 2.0' in metrics
    assert 'hubel_key_images_total{key="alice"} 2.0' in metrics
    fields = [record.fields for record in caplog.records if record.name == "hubel.request"]
    assert [each.get("key") for each in fields[:2]] == ["alice", "alice"]
    assert headers["X-API-Key"] not in metrics + str(fields)


@pytest.mark.parametrize("path", PATHS)
def test_missing_and_wrong_keys_get_the_errors_of_the_protocol(named, path):
    client, _, _ = named
    name, text = PATHS[path]
    wrong = client.post(path, headers={"X-API-Key": "wrong"})
    assert wrong.status_code == 401
    assert wrong.headers["www-authenticate"] == "Bearer"
    assert wrong.json()[name].startswith(text)
    assert client.post(path).status_code == 401


def test_a_key_is_revoked_under_load_and_no_other_fails(named, photo, until):
    client, add, file = named
    kept, revoked = add("kept"), add("revoked")
    statuses, stop = [], threading.Event()

    def post():
        with httpx.Client(base_url=client.base_url, timeout=30) as mine:
            while not stop.is_set():
                response = mine.post("/api/v1/classify", content=photo("red"), headers=kept)
                statuses.append(response.status_code)

    threads = [threading.Thread(target=post) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: len(statuses) > 10)
        assert client.get("/api/v1/models", headers=revoked).status_code == 200
        change(file, lambda b: NamedKeys(keys=tuple(k for k in b.keys if k.name != "revoked")))
        until(lambda: client.get("/api/v1/models", headers=revoked).status_code == 401)
        answered = len(statuses)
        until(lambda: len(statuses) > answered + 10)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert set(statuses) == {200}


def test_a_keys_file_is_required_at_the_start(make_bundle, serve, tmp_path):
    from app.errors import BadParameter

    make_bundle()
    file = tmp_path / "keys.json"
    with pytest.raises(BadParameter, match="hubel keys add"), serve(keys_file=file):
        pass
    change(file, lambda before: before)
    with serve(keys_file=file) as client:
        assert client.get("/api/v1/models").status_code == 401
