"""/api/v1/datasets: photos are added, listed, moved and deleted; what is refused, and to whom."""

import io
import os
import zipfile

import pytest

DATASETS = "/api/v1/datasets"
PETS = f"{DATASETS}/pets"


@pytest.fixture
def teaching(make_bundle, serve, tmp_path):
    """Return what starts a service that keeps datasets, for a client with the admin key."""
    make_bundle()
    (tmp_path / "data").mkdir()

    def start(**settings):
        given = {"data_dir": tmp_path / "data", "admin_key": "adm", "max_files": 3, **settings}
        return serve(**given)

    return start


def send(client, *photos, url=f"{PETS}/photos", **fields):
    """Return the response to photos, sent with the fields of a form."""
    files = [("file", (f"{number}.jpg", photo)) for number, photo in enumerate(photos)]
    return client.post(url, files=files, data=fields)


def test_photos_are_added_listed_shown_moved_and_deleted(teaching, photo):
    with teaching() as client:
        client.headers["X-API-Key"] = "adm"
        assert client.get(DATASETS).json() == {"datasets": []}
        added = send(client, photo("red"), b"no photo", photo("red"), label=" cat ").json()
        assert (added["added"], added["present"], added["moved"]) == (1, 1, 0)
        first, bad, again = added["results"]
        assert (first["file"], first["labels"], first["status"]) == ("0.jpg", ["cat"], "added")
        assert (bad["file"], bad["id"], bad["problem"]["code"]) == ("1.jpg", None, "not_an_image")
        assert (again["id"], again["status"]) == (first["id"], "present")
        send(client, photo("blue", (600, 500)), label="dog")

        (shown,) = client.get(DATASETS).json()["datasets"]
        assert client.get(PETS).json() == shown
        assert shown["labels"] == [{"label": "cat", "photos": 1}, {"label": "dog", "photos": 1}]
        page = client.get(f"{PETS}/photos", params={"count": 1}).json()
        assert [each["labels"] for each in page["photos"]] == [["dog"]]
        assert (page["photos"][0]["width"], page["photos"][0]["format"]) == (600, "jpeg")
        rest = client.get(f"{PETS}/photos", params={"after": page["next"]}).json()
        assert ([each["id"] for each in rest["photos"]], rest["next"]) == ([first["id"]], None)
        only = client.get(f"{PETS}/photos", params={"label": "cat"}).json()
        assert only["photos"] == rest["photos"]
        image = client.get(f"{PETS}/photos/{first['id']}/image")
        assert (image.content, image.headers["content-type"]) == (photo("red"), "image/jpeg")

        moved = send(client, photo("red"), label="fox", move="true").json()
        assert (moved["moved"], moved["results"][0]["labels"]) == (1, ["fox"])
        several = send(client, photo("red"), labels=["fox", "red"]).json()
        assert several["results"][0]["labels"] == ["fox", "red"]
        changed = client.patch(PETS, json={"rename": {"red": "fox"}, "remove": ["dog"]}).json()
        assert changed["labels"] == [{"label": "fox", "photos": 1}]
        deleted = client.delete(f"{PETS}/photos", params={"id": [first["id"], "0" * 32]})
        assert deleted.json() == {"changed": 1}
        assert client.delete(PETS).json() == {"changed": 0}
        assert client.get(PETS).json()["code"] == "unknown_dataset"


def test_photos_are_kept_without_their_metadata(teaching, photo):
    exif = b"\xff\xe1\x00\x11Exif\0\0somewhere"
    data = photo("red")
    with teaching() as client:
        client.headers["X-API-Key"] = "adm"
        added = send(client, data[:2] + exif + data[2:], data, label="cat").json()
        assert [each["status"] for each in added["results"]] == ["added", "present"]
        image = client.get(f"{PETS}/photos/{added['results'][0]['id']}/image")
    assert image.content == data


def test_what_cannot_be_used_is_refused_and_makes_nothing(teaching, photo):
    with teaching(max_body_bytes=50_000) as client:
        client.headers["X-API-Key"] = "adm"
        red = photo("red")
        cases = [
            (send(client, red), 400),
            (send(client, red, label=""), 400),
            (send(client, red, label="a;b"), 400),
            (send(client, red, label="a", labels="b"), 400),
            (send(client, red, label="a", lable="b"), 400),
            (send(client, red, label="a", move="maybe"), 400),
            (send(client, label="a"), 415),
            (send(client, *[red] * 4, label="a"), 413),
            (send(client, red + bytes(50_000), label="a"), 413),
            (send(client, red, label="a", url=f"{DATASETS}/Pets/photos"), 400),
            (client.post(f"{PETS}/photos", content=red), 415),
            (client.patch(PETS, json={"rename": {"a": "b"}}), 404),
            (client.get(f"{PETS}/photos"), 404),
            (client.get(f"{PETS}/photos/x/image"), 404),
            (client.get(f"{PETS}/photos", params={"after": "x"}), 400),
            (client.delete(f"{PETS}/photos"), 400),
            (client.patch(PETS, json={}), 400),
        ]
        for response, status in cases:
            assert response.status_code == status, response.text
            assert response.json()["detail"].endswith((".", "?"))
        assert client.get(DATASETS).json() == {"datasets": []}
        assert client.app.state.service.body_budget.held_bytes == 0


def test_nobody_without_the_scope_sees_or_changes_a_dataset(teaching, photo):
    with teaching(api_key="api") as client:
        client.headers["X-API-Key"] = "adm"
        (result,) = send(client, photo("red"), label="cat").json()["results"]
        image = f"{PETS}/photos/{result['id']}/image"
        for key, status in (("api", 403), ("no", 401)):
            client.headers["X-API-Key"] = key
            assert send(client, photo("blue"), label="cat").status_code == status
            for method, url in (
                *(("GET", DATASETS), ("GET", PETS), ("PATCH", PETS), ("DELETE", PETS)),
                *(("GET", f"{PETS}/photos"), ("GET", image)),
                ("DELETE", f"{PETS}/photos?id={result['id']}"),
            ):
                assert client.request(method, url).status_code == status
        client.headers["X-API-Key"] = "adm"
        assert client.get(PETS).json()["photos"] == 1


def test_a_service_without_a_data_folder_keeps_no_datasets(teaching):
    with teaching(data_dir=None) as client:
        client.headers["X-API-Key"] = "adm"
        response = client.get(DATASETS)
    assert (response.status_code, response.json()["code"]) == (404, "store_off")


def test_a_zip_of_photos_is_added(teaching, photo):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr("pets/cat/1.jpg", photo("red"))
        archive.writestr("pets/dog/2.jpg", photo("blue"))
        archive.writestr("pets/dog/3.jpg", b"no photo")
        archive.writestr("../x.jpg", photo("red"))
    with teaching(upload_max_bytes=50_000) as client:
        client.headers.update({"X-API-Key": "adm", "Content-Type": "application/zip"})
        added = client.post(f"{PETS}/photos", content=data.getvalue()).json()
        assert (added["added"], [each["file"] for each in added["skipped"]]) == (2, ["../x.jpg"])
        assert added["results"][2]["problem"]["code"] == "not_an_image"
        labels = client.get(PETS).json()["labels"]
        assert [each["label"] for each in labels] == ["cat", "dog"]
        for content, code in (
            (photo("red"), "bad_archive"),
            (b"", "bad_archive"),
            (bytes(50_001), "too_many_bytes"),
        ):
            response = client.post(f"{PETS}/photos", content=content)
            assert response.json()["code"] == code
        assert os.listdir(client.app.state.service.datasets.new_file().parent) == []
