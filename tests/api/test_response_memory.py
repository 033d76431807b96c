"""A response counts in the memory budget before the work, and until it is sent."""

import base64

import pytest

from app.api import inference
from app.api.response_memory import response_bytes

CLASSIFY = "/api/v1/classify"


def budget_of(client):
    return client.app.state.service.memory_budget


@pytest.fixture
def thousandfold(monkeypatch):
    """Let every response count as if the model had a million times as many labels."""
    monkeypatch.setattr(
        inference, "response_bytes", lambda *counts: 1_000_000 * response_bytes(*counts)
    )


def test_the_estimate_grows_with_images_and_labels():
    assert response_bytes(64, 100_000, 0) > 64 * 100_000 * 500
    assert response_bytes(1, 5, 0) < 10_000
    assert response_bytes(64, 0, 100_000) < response_bytes(64, 100_000, 0) / 3


@pytest.mark.usefixtures("thousandfold")
@pytest.mark.parametrize("protocol", ["own", "v2", "hugging face", "tensorflow", "torchserve"])
def test_a_response_that_never_fits_is_413_before_any_image_is_decoded(
    client, photo, monkeypatch, protocol
):
    from app import vision

    monkeypatch.setattr(vision, "read_header", None)
    monkeypatch.setattr(budget_of(client), "total_bytes", 900_000_000)
    text = base64.b64encode(photo("red")).decode()
    tensor = {"name": "image", "shape": [1], "datatype": "BYTES", "data": [text]}
    output = {"name": "probabilities", "parameters": {"classification": 3}}
    path, sent = {
        "own": (CLASSIFY, {"content": photo("red")}),
        "v2": (
            "/v2/models/colours/infer",
            {"json": {"inputs": [tensor], "outputs": [output]}},
        ),
        "hugging face": ("/hf/colours", {"content": photo("red")}),
        "tensorflow": (
            "/v1/models/colours:classify",
            {"json": {"examples": [{"image": {"b64": text}}]}},
        ),
        "torchserve": ("/predictions/colours", {"content": photo("red")}),
    }[protocol]
    response = client.post(path, **sent)
    assert response.status_code == 413, response.text
    assert "top_k" in response.text
    assert budget_of(client).held_bytes == 0


@pytest.mark.usefixtures("thousandfold")
def test_a_response_for_which_there_is_no_room_now_is_429(client, photo, monkeypatch):
    budget = budget_of(client)
    monkeypatch.setattr(budget, "total_bytes", 10**10)
    assert budget.try_take(9 * 10**9)
    response = client.post(CLASSIFY, content=photo("red"))
    assert (response.status_code, response.json()["code"]) == (429, "queue_full")
    assert "top_k" in response.json()["detail"]
    budget.give_back(9 * 10**9)
    assert client.post(CLASSIFY, content=photo("red")).status_code == 200


@pytest.mark.usefixtures("thousandfold")
@pytest.mark.parametrize("content", ["photo", "text"])
def test_the_memory_of_a_response_is_returned_once_it_is_sent(
    client, photo, monkeypatch, until, content
):
    budget = budget_of(client)
    monkeypatch.setattr(budget, "total_bytes", 10**10)
    held = []
    monkeypatch.setattr(
        inference,
        "wait",
        lambda *a, wait=inference.wait: held.append(budget.held_bytes) or wait(*a),
    )
    client.post(CLASSIFY, content=photo("red") if content == "photo" else b"text")
    until(lambda: budget.held_bytes == 0)
    assert held[0] > 10**9
