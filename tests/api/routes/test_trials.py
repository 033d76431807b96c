"""Shadows and canaries over HTTP, in every protocol that classifies."""

import base64
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

BOSS = {"X-API-Key": "boss"}
RELOAD, SHADOW = "/api/v1/models/birds/reload", "/api/v1/models/birds/versions/2/shadow"
CLASSIFY = "/api/v1/classify"


@pytest.fixture(scope="module")
def birds(module_serve, module_bundle_maker, tmp_path_factory):
    """A service whose version 1 serves, with a version 2 that names other labels."""
    root = tmp_path_factory.mktemp("trials")
    make = module_bundle_maker(root)
    make(name="birds", folder=root / "models/birds/1")
    with module_serve(root, admin_key="boss") as client:
        other = ("green", "blue", "red")
        make(name="birds", version=2, folder=root / "models/birds/2", labels=other)
        yield client


def change(client, query, status=200):
    response = client.post(f"{RELOAD}?{query}", headers=BOSS)
    assert response.status_code == status, response.text
    return response.json()


def report(client):
    return client.get(SHADOW, headers=BOSS).json()


def test_a_shadow_runs_after_responses_and_never_gives_one(birds, photo, until):
    listed = change(birds, "mode=shadow&share=1")["models"]
    assert [m["trial"] for m in listed] == [{"mode": "shadow", "share": 1.0}, None]
    assert [m["serving"] for m in listed] == [False, True]
    red = photo("red")
    id = {"X-Request-ID": "the-id"}
    result = birds.post(CLASSIFY, content=red, headers=id).json()
    assert (result["version"], result["predictions"][0]["label"]) == (1, "red")
    until(lambda: report(birds)["images"] == 1)
    found = report(birds)
    assert (found["state"], found["agreement"], found["serving_version"]) == ("running", 0.0, 1)
    assert found["agreement_interval"] == [0.0, 0.975]
    assert found["mean_difference"] > 0.9
    (disagreement,) = found["disagreements"]
    assert (disagreement["request_id"], disagreement["index"]) == ("the-id", 0)
    assert disagreement["serving"][0]["label"] == "red"
    assert disagreement["shadow"][0]["label"] == "green"
    files = [("file", ("a", red)), ("file", ("b", b"text")), ("file", ("c", photo("blue")))]
    assert birds.post(CLASSIFY, files=files).status_code == 200
    crops = {"crop": ["0,0,240,240", "100,100,90,90"]}
    assert birds.post(CLASSIFY, content=red, params=crops).status_code == 200
    assert birds.post("/predictions/birds", content=red).status_code == 200
    until(lambda: report(birds)["images"] == 6)
    found = report(birds)
    assert {d["index"] for d in found["disagreements"]} == {0, 1, 2}
    assert (found["failed"], found["dropped"]) == (0, {})
    text = birds.get("/metrics").text
    images = 'hubel_shadow_images_total{model="birds",result="disagreed",version="2"} 6.0'
    assert images in text
    assert 'hubel_trial_share{mode="shadow",model="birds",version="2"} 1.0' in text
    seconds = re.findall(r"hubel_shadow_seconds_total\{.*\} (\S+)", text)
    assert float(seconds[0]) > 0


def test_busy_engines_keep_shadows_waiting(birds, photo, until):
    """A waiting request goes first; the shadow runs once a core is free."""
    change(birds, "mode=shadow&share=1")
    before = report(birds)["images"]
    engine = birds.app.state.service.classifier.engine
    with ThreadPoolExecutor(8) as pool:
        posts = [pool.submit(birds.post, CLASSIFY, content=photo("red")) for _ in range(24)]
        assert {post.result(60).status_code for post in posts} == {200}
    until(lambda: report(birds)["images"] == before + 24)
    assert engine.is_idle


def versions_by_id(client, photo, ids):
    responses = [
        client.post(CLASSIFY, content=photo("red"), headers={"X-Request-ID": each}) for each in ids
    ]
    return [response.json()["version"] for response in responses]


def test_a_canary_answers_its_share_by_the_request_id(birds, photo):
    change(birds, "mode=canary&share=0.3")
    ids = [f"request-{number}" for number in range(200)]
    versions = versions_by_id(birds, photo, ids)
    assert set(versions) == {1, 2}
    assert versions.count(2) / len(ids) == pytest.approx(0.3, abs=0.1)
    assert versions_by_id(birds, photo, ids[:20]) == versions[:20]
    assert 'mode="canary",model="birds",version="2"} 0.3' in birds.get("/metrics").text


def test_every_protocol_that_classifies_has_canaries(birds, photo):
    change(birds, "mode=canary&share=1")
    red = photo("red")
    assert birds.post(CLASSIFY, content=red).json()["version"] == 2
    assert birds.post(f"{CLASSIFY}?version=1", content=red).json()["version"] == 1
    form = birds.post(CLASSIFY, files={"file": red}).json()
    assert form["version"] == 2
    scores = birds.post("/hf/birds", content=red).json()
    assert scores[0]["label"] == "green"
    torchserve = birds.post("/predictions/birds", content=red).json()
    assert max(torchserve, key=torchserve.get) == "green"
    explained = birds.post("/api/v1/explain", content=red).json()
    assert explained["version"] == 1
    index = birds.post("/v2/repository/index").json()
    assert [(each["version"], each["state"]) for each in index] == [("2", "READY"), ("1", "READY")]


def test_a_canary_with_other_labels_never_answers_by_position(birds, photo):
    change(birds, "mode=canary&share=1")
    red = base64.b64encode(photo("red")).decode()
    image = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [red]}
    before = images_of_version(birds, 2)
    v2 = birds.post("/v2/models/birds/infer", json={"inputs": [image]}).json()
    predicted = birds.post("/v1/models/birds:predict", json={"instances": [{"b64": red}]})
    assert (v2["model_version"], predicted.status_code) == ("1", 200)
    assert images_of_version(birds, 2) == before
    birds.post(CLASSIFY, content=photo("red"))
    assert images_of_version(birds, 2) > before


def images_of_version(client, version):
    lines = client.get("/metrics").text.splitlines()
    label = f'version="{version}"'
    return sum(
        float(line.split()[-1])
        for line in lines
        if label in line and line.startswith("hubel_images_total")
    )


def test_an_end_of_a_trial_leaves_the_version_held(birds, photo):
    change(birds, "mode=canary&share=1")
    listed = change(birds, "mode=rollback")["models"]
    assert [(m["held"], m["trial"], m["serving"]) for m in listed] == [
        (True, None, False),
        (False, None, True),
    ]
    assert birds.post("/v2/repository/models/birds/load", headers=BOSS).status_code == 200
    assert birds.post(CLASSIFY, content=photo("red")).json()["version"] == 1
    change(birds, "mode=canary&share=1&version=2")
    listed = change(birds, "mode=reject")["models"]
    assert [m["held"] for m in listed] == [True, False]


@pytest.mark.parametrize(
    ("query", "status", "detail"),
    [
        ("mode=shadow", 400, "mode=shadow needs a share, such as share=0.1."),
        ("mode=canary&share=0", 400, "share"),
        ("mode=canary&share=1.1", 400, "share"),
        ("mode=promote&share=0.1", 400, "mode=promote has no share. Leave it out."),
        ("mode=canary&share=0.1&version=1", 400, "Version 1 of 'birds' serves"),
        ("mode=canary&share=0.1&version=7", 404, "no bundle of version 7"),
        ("mode=reject&version=1", 400, "Use mode=rollback"),
    ],
)
def test_a_wrong_trial_is_rejected(birds, query, status, detail):
    assert detail in change(birds, query, status)["detail"]


def test_the_report_needs_the_admin_key_and_a_known_version(birds):
    assert birds.get(SHADOW).status_code == 401
    for path in ("birds/versions/7", "wasps/versions/1"):
        response = birds.get(f"/api/v1/models/{path}/shadow", headers=BOSS)
        assert (response.status_code, response.json()["code"]) == (404, "unknown_model")
