"""POST /api/v1/similar and GET /api/v1/indexes: an index of photos and the model that made it."""

import base64
import time

import numpy as np
import pytest

from app.bulk.indexing import dimension_of, indexed_model
from app.runtime.loaded_model import load_model
from app.vector_index import Staging, write_index

SIMILAR = "/api/v1/similar"
COLOURS = {"red.jpg": (230, 20, 20), "pink.jpg": (230, 90, 110), "blue.jpg": (20, 20, 230)}


def embedding_of(rgb):
    """What the tiny graph makes of a photo of one colour."""
    return ((np.array(rgb, np.float32) - 127) / 128).astype(np.float32)


def write(output, bundle, photos=COLOURS, thumbnail=b"jpeg"):
    model = load_model(bundle.folder, "cpu")
    with Staging(output, dimension_of(model), {}) as staging:
        for path, rgb in photos.items():
            staging.append(path, "0" * 64, 1, embedding_of(rgb), thumbnail)
        side = 160 if thumbnail else 0
        write_index(output, staging, indexed_model(model), (), side, add=False)


@pytest.fixture
def client(make_bundle, embedding_graph, serve, tmp_path):
    write(tmp_path / "holidays", make_bundle(graph=embedding_graph()))
    with serve(index=tmp_path / "holidays") as client:
        yield client


def paths(response):
    assert response.status_code == 200, response.text
    return [result["path"] for result in response.json()["results"]]


def files(*contents):
    return [("file", (f"{i}.jpg", content)) for i, content in enumerate(contents)]


def test_the_most_similar_photos_come_first(client, photo):
    response = client.post(SIMILAR, content=photo("red"))
    assert paths(response) == ["red.jpg", "pink.jpg", "blue.jpg"]
    body = response.json()
    assert {key: body[key] for key in ("model", "version", "index")} == {
        "model": "colours",
        "version": 1,
        "index": "holidays",
    }
    first = body["results"][0]
    assert first["similarity"] == pytest.approx(1, abs=1e-3)
    assert (first["sha256"], first["thumbnail"]) == ("0" * 64, None)
    assert body["image"] == {"format": "jpeg", "width": 480, "height": 480, "crop": None}
    assert {"decode", "run"} <= {
        part.split(";")[0] for part in response.headers["server-timing"].split(", ")
    }


def test_count_and_thumbnails(client, photo):
    response = client.post(SIMILAR, params={"count": 1, "thumbnails": True}, content=photo("blue"))
    assert paths(response) == ["blue.jpg"]
    url = response.json()["results"][0]["thumbnail"]
    assert url == f"data:image/jpeg;base64,{base64.b64encode(b'jpeg').decode()}"


def test_several_photos_have_a_list_each_and_a_bad_one_fails_alone(client, photo):
    response = client.post(
        SIMILAR, params={"count": 1}, files=files(photo("red"), b"text", photo("blue"))
    )
    first, second, third = response.json()["results"]
    assert [each["results"][0]["path"] for each in (first, third)] == ["red.jpg", "blue.jpg"]
    assert second["problem"]["code"] == "not_an_image"


def test_together_photos_have_one_list_by_their_mean(client, photo):
    some = files(photo((230, 60, 60)), photo((230, 120, 150)))
    response = client.post(SIMILAR, params={"together": True}, files=some)
    assert paths(response)[0] == "pink.jpg"
    assert response.json()["image"] is None
    broken = client.post(SIMILAR, params={"together": True}, files=[*some, *files(b"text")])
    assert broken.json()["code"] == "not_an_image"


def test_crops_have_a_list_each(client, photo):
    crops = {"crop": ["0%,0%,50%,50%", "50%,50%,50%,50%"], "count": 1}
    results = client.post(SIMILAR, params=crops, content=photo("blue")).json()["results"]
    assert [each["results"][0]["path"] for each in results] == ["blue.jpg"] * 2
    one = client.post(SIMILAR, params={**crops, "together": True}, content=photo("blue"))
    assert paths(one) == ["blue.jpg"]


@pytest.mark.parametrize(
    ("query", "status", "code", "words"),
    [
        pytest.param({"model": "pets"}, 404, "unknown_index", "model 'pets'", id="model"),
        pytest.param({"version": 2}, 404, "unknown_index", "version 2", id="version"),
        pytest.param({"index": "no"}, 404, "unknown_index", "no index 'no'", id="index"),
        pytest.param({"count": 0}, 400, "bad_parameter", "count", id="count"),
        pytest.param({"top_k": 3}, 400, "bad_parameter", "top_k", id="unknown parameter"),
    ],
)
def test_what_the_index_can_not_answer(client, photo, query, status, code, words):
    for body in ({"content": photo("red")}, {"files": files(photo("red"))}):
        response = client.post(SIMILAR, params=query, **body)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert words in response.json()["detail"]


def test_a_service_without_an_index_says_so(make_bundle, serve, photo):
    make_bundle()
    with serve() as client:
        response = client.post(SIMILAR, content=photo("red"))
        assert (response.status_code, response.json()["code"]) == (404, "unknown_index")
        assert client.get("/api/v1/indexes").json() == {"indexes": []}


def test_an_index_works_only_with_the_bundle_that_made_it(
    make_bundle, embedding_graph, serve, tmp_path, photo
):
    bundle = make_bundle(graph=embedding_graph())
    (tmp_path / "indexes/no index").mkdir(parents=True)
    write(tmp_path / "indexes/old", bundle)
    make_bundle(graph=embedding_graph(sharpness=9.0))  # replaces the bundle
    write(tmp_path / "indexes/other", make_bundle(name="other", graph=embedding_graph()))
    with serve(index=tmp_path / "indexes") as client:
        response = client.post(SIMILAR, params={"index": "old"}, content=photo("red"))
        assert (response.status_code, response.json()["code"]) == (409, "index_invalid")
        assert "another bundle" in response.json()["detail"]
        assert paths(client.post(SIMILAR, params={"model": "other"}, content=photo("red")))
        several = client.post(SIMILAR, content=photo("red"))
        assert (several.status_code, several.json()["code"]) == (400, "bad_parameter")
        listed = client.get("/api/v1/indexes").json()["indexes"]
        assert [(i["name"], i["ready"], i["photos"]) for i in listed] == [
            ("old", False, 3),
            ("other", True, 3),
        ]


def test_a_replaced_index_serves_and_a_damaged_one_does_not(
    make_bundle, embedding_graph, serve, tmp_path, photo
):
    bundle = make_bundle(graph=embedding_graph())
    output = tmp_path / "holidays"
    write(output, bundle)
    with serve(index=output) as client:
        indexes = client.app.state.service.indexes
        before = client.app.state.service.memory_budget.total_bytes
        write(output, bundle, {"new.jpg": (230, 21, 20), **COLOURS})
        while indexes.served[0].index.manifest.count < 4:
            indexes.poll()  # or the service's own thread does
            time.sleep(0.01)
        assert client.app.state.service.memory_budget.total_bytes < before
        assert paths(client.post(SIMILAR, content=photo("red")))[:2].count("new.jpg") == 1
        (output / "index.json").write_text("{")
        indexes.poll()
        (listed,) = client.get("/api/v1/indexes").json()["indexes"]
        assert listed["ready"]
        assert listed["reason"].endswith("The index before serves on.")
        assert len(paths(client.post(SIMILAR, content=photo("red")))) == 4
