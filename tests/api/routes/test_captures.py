"""/api/v1/captures and /api/v1/feedback: what is kept, who may see it, and what is refused."""

import io

import pytest
from PIL import Image

CLASSIFY, CAPTURES, FEEDBACK = "/api/v1/classify", "/api/v1/captures", "/api/v1/feedback"
ADMIN = {"X-API-Key": "adm"}


@pytest.fixture
def keeping(make_bundle, serve, tmp_path):
    """Return what starts a service that keeps photos."""
    make_bundle()
    folder = tmp_path / "data"
    folder.mkdir()

    def start(**settings):
        given = {"data_dir": folder, "capture": "sample:1", "admin_key": "adm", **settings}
        return serve(**given)

    return start


def kept(client, **params):
    """Return the captures once all that was offered is written."""
    client.app.state.service.captures.recorder.wait_until_written()
    return client.get(CAPTURES, params=params, headers=ADMIN).json()["captures"]


def test_photos_are_kept_listed_labelled_and_deleted(keeping, photo):
    with keeping() as client:
        files = [("file", photo("red")), ("file", b"no photo"), ("file", photo("blue"))]
        response = client.post(CLASSIFY, files=files, headers={"X-Request-ID": "batch"})
        assert response.status_code == 200
        blue, red = kept(client)
        assert (blue["request_id"], blue["index"], red["index"]) == ("batch", 2, 0)
        assert blue["predictions"][0]["label"] == "blue"
        assert (blue["reason"], blue["format"], blue["labels"]) == ("sample", "jpeg", None)
        one = f"{CAPTURES}/{blue['id']}"
        assert client.get(one, headers=ADMIN).json() == blue
        image = client.get(f"{one}/image", headers=ADMIN)
        assert image.headers["content-type"] == "image/jpeg"
        assert len(image.content) == blue["bytes"]

        labelled = client.patch(one, json={"label": " navy "}, headers=ADMIN).json()
        assert (labelled["labels"], labelled["wrong"]) == (["navy"], False)
        both = {"ids": [blue["id"], red["id"], 999], "labels": []}
        assert client.patch(CAPTURES, json=both, headers=ADMIN).json() == {"changed": 2}
        assert [each["labels"] for each in kept(client)] == [[], []]
        assert client.patch(one, json={"labels": None}, headers=ADMIN).json()["labels"] is None
        assert [each["id"] for each in kept(client, labelled=True)] == [red["id"]]

        assert client.delete(one, headers=ADMIN).json() == {"changed": 1}
        assert client.get(f"{one}/image", headers=ADMIN).json()["code"] == "unknown_capture"
        many = client.delete(CAPTURES, params={"id": [red["id"], 999]}, headers=ADMIN)
        assert many.json() == {"changed": 1}
        assert kept(client) == []


def test_every_protocol_that_sends_files_is_kept(keeping, photo):
    with keeping() as client:
        assert client.post("/predictions/colours", content=photo("red")).status_code == 200
        assert client.post(CLASSIFY, content=photo("red")).status_code == 200
        assert len(kept(client)) == 1
        text = client.get("/metrics").text
    assert 'hubel_captures_total{reason="sample"} 2.0' in text
    assert "hubel_captures_held 1.0" in text


def test_the_parts_of_a_photo_are_kept_without_the_rest(keeping):
    file = io.BytesIO()
    halves = Image.new("RGB", (2000, 1000), "red")
    halves.paste("blue", (1000, 0, 2000, 1000))
    halves.save(file, "jpeg", quality=95)
    with keeping(capture="") as client:
        for id, crops in {"two": ["0%,0%,50%,100%", "1010,10,960,980"], "one": "0,0,20,40"}.items():
            response = client.post(
                CLASSIFY,
                content=file.getvalue(),
                params={"crop": crops},
                headers={"X-Request-ID": id},
            )
            assert response.status_code == 200
        for id, index in (("two", 0), ("two", 1), ("one", 0)):
            said = {"request_id": id, "index": index, "label": f"{id}{index}"}
            assert client.post(FEEDBACK, json=said).status_code == 200
        found = {}
        for each in kept(client):
            data = client.get(f"{CAPTURES}/{each['id']}/image", headers=ADMIN).content
            with Image.open(io.BytesIO(data)) as image:
                assert image.size == (each["width"], each["height"])
                found[each["labels"][0]] = (image.format, image.size, image.getpixel((5, 9)))
    assert found["two0"] == ("PNG", (960, 960), pytest.approx((254, 0, 0), abs=3))
    assert found["two1"] == ("PNG", (960, 980), pytest.approx((0, 0, 254), abs=3))
    assert found["one0"][:2] == ("PNG", (20, 40))


def test_lists_are_paged(keeping, photo):
    with keeping() as client:
        for colour in ("red", "green", "blue"):
            client.post(CLASSIFY, content=photo(colour))
        kept(client)
        pages, after = [], None
        while True:
            params = {"count": 2, "order": "unsure", **({"after": after} if after else {})}
            page = client.get(CAPTURES, params=params, headers=ADMIN).json()
            pages.append(len(page["captures"]))
            after = page["next"]
            if after is None:
                break
        assert pages == [2, 1]
        for wrong in ("x", "W10", "WzEsIDJd" * 3, "WzEsIC0xXQ", "W05hTiwgMV0"):
            response = client.get(CAPTURES, params={"after": wrong}, headers=ADMIN)
            assert (response.status_code, response.json()["code"]) == (400, "bad_parameter"), wrong


def test_feedback_keeps_a_sure_photo(keeping, photo):
    with keeping(capture="") as client:
        for colour in ("red", "blue"):
            client.post(CLASSIFY, content=photo(colour), headers={"X-Request-ID": colour})
        assert kept(client) == []
        response = client.post(FEEDBACK, json={"request_id": "red", "labels": ["pink", "rose"]})
        assert response.json() == {
            "request_id": "red",
            "index": 0,
            "model": "colours",
            "version": 1,
            "labels": ["pink", "rose"],
            "wrong": False,
        }
        (red,) = kept(client)
        assert (red["reason"], red["labels"]) == ("feedback", ["pink", "rose"])
        assert client.post(FEEDBACK, json={"request_id": "red", "wrong": True}).json()["wrong"]
        missing = client.post(FEEDBACK, json={"request_id": "red", "index": 1, "label": "x"})
        assert (missing.status_code, missing.json()["code"]) == (404, "unknown_capture")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"[]", b'{"request_id": "r"}', b'{"request_id": "r", "label": ""}'),
        b'{"request_id": "r", "label": "a", "wrong": true}',
        b'{"request_id": "r", "labels": ["a;b"]}',
        b'{"request_id": "r", "label": "a", "lable": "b"}',
        b'{"request_id": "r", "label": "a", "index": -1}',
        b'{"request_id": "r", "label": "a", "index": 9223372036854775808}',
        b'{"request_id": "r", "labels": null}',
    ],
)
def test_wrong_feedback_is_refused(keeping, body):
    with keeping() as client:
        response = client.post(FEEDBACK, content=body)
    assert (response.status_code, response.json()["code"]) == (400, "bad_parameter")


def test_nobody_without_the_scope_sees_labels_or_deletes(keeping, photo, tmp_path):
    from app.keys_file import NamedKeys, change, create

    secrets = {}
    for scope in ("classify", "label"):
        secrets[scope], key = create(scope, scope)

        def add(before, key=key):
            return NamedKeys(keys=(*before.keys, key))

        change(tmp_path / "keys.json", add)
    with keeping(keys_file=tmp_path / "keys.json", api_key="api") as client:
        sent = {"X-API-Key": secrets["classify"], "X-Request-ID": "r1"}
        assert client.post(CLASSIFY, content=photo("red"), headers=sent).status_code == 200
        (red,) = kept(client)
        one = f"{CAPTURES}/{red['id']}"
        attempts = [
            *(("GET", CAPTURES), ("GET", one), ("GET", f"{one}/image")),
            *(("PATCH", one), ("PATCH", CAPTURES), ("DELETE", one), ("DELETE", CAPTURES)),
        ]
        for key, status in (("api", 403), (secrets["classify"], 403), (None, 401), ("no", 401)):
            headers = {"X-API-Key": key} if key else {}
            for method, path in attempts:
                assert client.request(method, path, headers=headers).status_code == status
        assert client.post(FEEDBACK, json={"request_id": "r1", "label": "x"}).status_code == 401
        labeller = {"X-API-Key": secrets["label"]}
        changed = client.patch(one, json={"label": "pink"}, headers=labeller).json()
        assert (changed["labels"], changed["labelled_by"]) == (["pink"], "label")
        feedback = {"request_id": "r1", "label": "rose"}
        by_client = {"X-API-Key": secrets["classify"]}
        given = client.post(FEEDBACK, json=feedback, headers=by_client)
        assert (given.status_code, given.json()["labels"]) == (200, ["pink"])
        assert client.get(one, headers=labeller).json()["labelled_by"] == "label"


def test_a_service_without_a_folder_says_so(make_bundle, serve):
    make_bundle()
    with serve(admin_key="adm") as client:
        response = client.get(CAPTURES, headers=ADMIN)
        assert (response.status_code, response.json()["code"]) == (404, "store_off")
        assert "HUBEL_DATA_DIR" in response.json()["detail"]
    with serve() as client:
        assert client.get(CAPTURES).status_code == 403


def test_a_store_that_fails_delays_and_fails_no_prediction(keeping, photo, monkeypatch):
    with keeping() as client:

        def fail(*arguments):
            raise OSError(28, "No space left on device")

        store = client.app.state.service.captures.recorder.store
        monkeypatch.setattr(store, "add", fail)
        assert client.post(CLASSIFY, content=photo("red")).status_code == 200
        assert kept(client) == []
        assert 'hubel_captures_dropped_total{reason="error"} 1.0' in client.get("/metrics").text
        feedback = client.post(
            FEEDBACK,
            json={
                "request_id": client.post(CLASSIFY, content=photo("red")).headers["x-request-id"],
                "label": "x",
            },
        )
        assert (feedback.status_code, feedback.json()["code"]) == (503, "store_failed")


def test_a_file_that_is_gone_is_an_unknown_photo(keeping, photo):
    with keeping() as client:
        client.post(CLASSIFY, content=photo("red"))
        (red,) = kept(client)
        store = client.app.state.service.captures.recorder.store
        store.files.remove(red["sha256"], red["format"])
        response = client.get(f"{CAPTURES}/{red['id']}/image", headers=ADMIN)
        assert (response.status_code, response.json()["code"]) == (404, "unknown_capture")
