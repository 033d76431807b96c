"""The default model over HTTP: none with several own models, chosen by an administrator, kept."""

import pytest

BOSS = {"X-API-Key": "boss"}


@pytest.fixture
def two(make_bundle, serve):
    for name in ("bees", "birds"):
        make_bundle(name=name)
    with serve(admin_key="boss") as client:
        yield client


@pytest.mark.parametrize("route", ["classify", "embed", "explain", "activations"])
@pytest.mark.parametrize("how", ["raw", "form"])
def test_a_request_that_names_no_model_gets_the_names(two, photo, route, how):
    body = {"content": photo("red")} if how == "raw" else {"files": {"file": photo("red")}}
    response = two.post(f"/api/v1/{route}", **body)
    problem = response.json()
    assert (response.status_code, problem["code"]) == (400, "model_required")
    assert "several: bees, birds. Name one of them" in problem["detail"]


def test_a_model_may_be_named_in_the_query_or_the_form(two, photo):
    named = two.post("/api/v1/classify?model=bees", content=photo("red"))
    assert named.json()["model"] == "bees"
    form = two.post("/api/v1/classify", data={"model": "birds"}, files={"file": photo("red")})
    assert form.json()["model"] == "birds"


def test_protocols_that_name_the_model_in_the_path_need_no_default(two, photo):
    for path in ("/hf/birds", "/predictions/birds"):
        assert two.post(path, content=photo("red")).status_code == 200


def test_without_a_default_the_probes_are_ready_and_say_why(two):
    body = two.get("/readyz").json()
    assert (body["status"], body["default"]) == ("ready", None)
    assert body["default_reason"].startswith("The models folder has several models: bees, birds.")
    for probe in ("/ping", "/v2/health/ready"):
        assert two.get(probe).status_code == 200
    listed = two.get("/api/v1/models").json()
    assert listed["default"] is None
    assert not any(model["default"] for model in listed["models"])
    two.post("/api/v1/models/bees/unload", headers=BOSS)
    assert two.get("/readyz").status_code == 200
    two.post("/api/v1/models/birds/unload", headers=BOSS)
    for probe in ("/readyz", "/ping", "/v2/health/ready"):
        assert two.get(probe).status_code == 503


def test_an_administrator_chooses_the_default_and_forgets_it(two, photo):
    def ask():
        return two.post("/api/v1/classify", content=photo("red")).json().get("model")

    body = two.post("/api/v1/models/birds/default", headers=BOSS).json()
    assert (body["default"], body["warning"]) == ("birds", None)
    assert body["default_reason"] == "It was chosen at run time."
    assert ask() == "birds"
    two.post("/api/v1/models/bees/default", headers=BOSS)
    assert ask() == "bees"
    assert two.delete("/api/v1/models/birds/default", headers=BOSS).json()["default"] == "bees"
    assert two.delete("/api/v1/models/bees/default", headers=BOSS).json()["default"] is None
    assert ask() is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "birds/default"),
        ("DELETE", "birds/default"),
        ("POST", "birds/reload?mode=rollback"),
    ],
)
def test_choices_need_the_admin_key(two, method, path):
    assert two.request(method, f"/api/v1/models/{path}").status_code == 401


def test_an_unloaded_default_is_not_replaced_by_another_model(make_bundle, serve, photo):
    make_bundle(name="birds")
    with serve(admin_key="boss") as client:
        make_bundle(name="bees")
        client.post("/api/v1/models/bees/reload", headers=BOSS)
        client.post("/api/v1/models/birds/unload", headers=BOSS)
        response = client.post("/api/v1/classify", content=photo("red"))
        assert (response.status_code, response.json()["code"]) == (503, "model_not_ready")
        assert client.get("/readyz").json()["default"] == "birds"
