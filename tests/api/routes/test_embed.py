"""POST /api/v1/embed: the embedding of one photo or several."""

import numpy as np
import pytest

EMBED = "/api/v1/embed"


@pytest.fixture(scope="module")
def photos(imagenet):
    return [(imagenet / f"golden/{name}.jpg").read_bytes() for name in ("coffee", "rocket")]


def files(*contents):
    return [("file", (f"{i}.jpg", content)) for i, content in enumerate(contents)]


def test_the_embedding_of_a_photo(imagenet_client, photos):
    body = imagenet_client.post(EMBED, content=photos[0]).json()
    assert list(body) == ["model", "version", "normalized", "embedding", "image"]
    assert len(body["embedding"]) == 1280
    assert body["normalized"] is False
    assert body["image"]["format"] == "jpeg"
    unit = imagenet_client.post(EMBED, params={"normalize": True}, content=photos[0]).json()
    vector = np.array(body["embedding"])
    assert np.linalg.norm(unit["embedding"]) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(unit["embedding"], vector / np.linalg.norm(vector), atol=1e-5)


def test_later_responses_equal_the_first(imagenet_client, photos):
    for query in ("", "?normalize=true"):
        responses = {imagenet_client.post(EMBED + query, content=photos[1]).text for _ in range(3)}
        assert len(responses) == 1


def test_embeddings_of_a_batch_are_in_order_and_a_bad_file_fails_alone(imagenet_client, photos):
    single = [imagenet_client.post(EMBED, content=photo).json() for photo in photos]
    response = imagenet_client.post(EMBED, files=files(photos[0], b"text", photos[1]))
    results = response.json()["results"]
    assert [results[0], results[2]] == single
    problem = results[1]["problem"]
    assert (problem["status"], problem["code"]) == (400, "not_an_image")
    assert problem["request_id"] == response.headers["x-request-id"]


def test_one_photo_with_batch_gets_a_batch(imagenet_client, photos):
    body = imagenet_client.post(EMBED, params={"batch": True}, content=photos[0]).json()
    assert [len(result["embedding"]) for result in body["results"]] == [1280]


def test_a_model_without_an_embedding_is_a_problem_before_the_body_is_read(
    textbook_client, connect
):
    raw = connect(textbook_client)
    raw.send(f"POST {EMBED} HTTP/1.1", "Content-Length: 1000000")
    status, _, body = raw.read_response()
    assert (status, body["code"]) == (404, "not_in_model")
    assert "has no embedding" in body["detail"]


def test_the_default_model_has_an_embedding_and_lists_its_layers(imagenet_client):
    details = imagenet_client.get("/api/v1/models/imagenet").json()
    assert len(details["layers"]) > 50
    assert (details["first_layer"], details["explained_by"], details["embedding"]) == (
        "stem",
        "class_activation_map",
        True,
    )


def test_a_form_field_normalises_the_embedding(imagenet_client, photos):
    files = {"file": ("a.jpg", photos[0])}
    posted = imagenet_client.post(EMBED, data={"normalize": "yes"}, files=files).json()
    queried = imagenet_client.post(EMBED, params={"normalize": True}, content=photos[0]).json()
    assert posted == queried
    assert posted["normalized"]
