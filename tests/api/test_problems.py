"""Every expected error becomes problem+json; an unexpected error reveals no internals."""

import io
import logging
import struct

import pytest
from PIL import Image

from app import errors
from app.api.problems import STATUS
from app.errors import HubelError

CLASSIFY = "/api/v1/classify"


def leaves(kind):
    """Return the leaves in app.errors; training has errors that no request can raise."""
    subclasses = [sub for sub in kind.__subclasses__() if sub.__module__ == "app.errors"]
    return [leaf for sub in subclasses for leaf in leaves(sub)] if subclasses else [kind]


def check(response, status, code):
    body = response.json()
    assert (response.status_code, body["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"
    assert list(body) == ["type", "title", "status", "detail", "code", "request_id"]
    assert body["type"] == f"urn:hubel:problem:{code}"
    assert body["status"] == status
    assert body["title"]
    assert body["detail"].endswith(".")
    assert body["request_id"] == response.headers["x-request-id"]
    return body


@pytest.mark.parametrize("kind", leaves(HubelError), ids=lambda kind: kind.__name__)
def test_every_leaf_of_the_tree_has_a_status(kind):
    assert 400 <= STATUS[kind] <= 599


def test_only_leaves_have_a_status():
    assert set(STATUS) == set(leaves(HubelError))


def test_codes_are_unique():
    codes = [kind.code for kind in leaves(HubelError)]
    assert len(set(codes)) == len(codes)


def bmp_of(width, height):
    return (
        b"BM" + struct.pack("<IHHI", 54, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    )  # fmt: skip


def png_of(width, height):
    file = io.BytesIO()
    Image.new("1", (8, 8)).save(file, "PNG")
    data = bytearray(file.getvalue())
    data[16:24] = struct.pack(">II", width, height)
    import zlib

    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "not_an_image"),
        (b"just text", 400, "not_an_image"),
        (b"8BPS\0\1" + bytes(50), 415, "unsupported_format"),
        (b"%PDF-1.4", 415, "unsupported_format"),
        (png_of(100_000, 100_000), 413, "too_many_pixels"),
        (bmp_of(100_000, 100_000), 413, "too_many_pixels"),
        (b"\xff\xd8\xff", 422, "broken_image"),
    ],
    ids=["empty", "text", "tiff", "pdf", "png bomb", "bmp bomb", "cut short"],
)
def test_a_bad_image_is_rejected_with_its_own_code(client, content, status, code):
    check(client.post(CLASSIFY, content=content), status, code)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
def test_a_truncated_photo_is_broken(client, imagenet, share):
    data = (imagenet / "golden/chelsea.jpg").read_bytes()
    check(client.post(CLASSIFY, content=data[: int(len(data) * share)]), 422, "broken_image")


def test_a_bad_parameter_is_a_problem(client):
    check(client.post(CLASSIFY, params={"top_k": "x"}), 400, "bad_parameter")


@pytest.mark.parametrize("params", [{"model": "wasps"}, {"version": 9}], ids=["model", "version"])
def test_an_unknown_model_or_version_is_a_problem(client, photo, params):
    response = client.post(CLASSIFY, params=params, content=photo("red"))
    body = check(response, 404, "unknown_model")
    assert "colours" in body["detail"]


def test_static_files_are_revalidated_and_not_sent_again(client):
    first = client.get("/static/page/page.js")
    assert first.headers["cache-control"] == "no-cache"
    again = client.get("/static/page/page.js", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.headers["cache-control"]) == (304, "no-cache")


@pytest.mark.parametrize("path", ["/nothing", "/api/v1/nothing", "/static/none.js"])
def test_an_unknown_path_is_a_problem(client, path):
    assert path in check(client.get(path), 404, "not_found")["detail"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", CLASSIFY), ("DELETE", "/livez"), ("PUT", "/api/v1/models")]
)
def test_an_unsupported_method_is_a_problem(client, method, path):
    response = client.request(method, path)
    check(response, 405, "method_not_allowed")
    assert response.headers["allow"]


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate"])
def test_a_compressed_body_is_rejected(client, photo, encoding):
    response = client.post(CLASSIFY, content=photo("red"), headers={"Content-Encoding": encoding})
    assert encoding in check(response, 415, "unsupported_format")["detail"]


def test_too_many_files_are_rejected(make_bundle, serve, photo):
    make_bundle()
    with serve(max_files=2) as client:
        files = [("file", ("a.jpg", photo("red")))]
        assert client.post(CLASSIFY, files=files * 2).status_code == 200
        check(client.post(CLASSIFY, files=files * 3), 413, "too_many_files")


def test_a_slow_body_is_rejected(make_bundle, serve, connect, photo, until):
    make_bundle()
    with serve(body_timeout_s=0.05) as client:
        raw = connect(client)
        raw.send(f"POST {CLASSIFY} HTTP/1.1", "Content-Length: 1000", body=b"\xff\xd8\xff")
        status, headers, body = raw.read_response()
        assert (status, body["code"]) == (408, "body_too_slow")
        assert headers["content-type"] == "application/problem+json"
        until(lambda: client.post(CLASSIFY, content=photo("red")).status_code == 200)


def test_a_full_queue_rejects_at_once_with_retry_after(client, photo, block):
    with block(client) as held:
        held.fill()
        response = client.post(CLASSIFY, content=photo("red"))
        check(response, 429, "queue_full")
        assert int(response.headers["retry-after"]) >= 1
        held.empty()


def test_a_batch_of_the_largest_size_is_accepted_although_photos_were_slow(
    make_bundle, serve, photo
):
    make_bundle()
    with serve(max_files=8) as client:
        files = [("file", ("a.jpg", photo("red")))] * 8
        client.app.state.service.classifier.engine.expect(1e3)  # so long that no batch would fit
        for _ in range(3):
            response = client.post(CLASSIFY, files=files)
            assert response.status_code == 200
            assert len(response.json()["results"]) == 8
        check(client.post(CLASSIFY, files=[*files, *files]), 413, "too_many_files")


def test_a_batch_that_finds_a_long_queue_can_come_again(make_bundle, serve, photo, block):
    make_bundle()
    with serve() as client, block(client) as held:
        held.fill()
        files = [("file", ("a.jpg", photo("red")))] * 8
        response = client.post(CLASSIFY, files=files)
        check(response, 429, "queue_full")
        assert int(response.headers["retry-after"]) >= 1
        held.empty()


def test_a_refused_default_model_is_not_ready(make_bundle, serve, photo):
    file = make_bundle().folder / "model.onnx"
    file.write_bytes(file.read_bytes() + b"x")
    with serve() as client:
        response = client.post(CLASSIFY, content=photo("red"))
        body = check(response, 503, "model_not_ready")
        assert "model.onnx has" in body["detail"]
        assert int(response.headers["retry-after"]) >= 1


def test_a_response_that_misses_the_deadline_is_a_problem(
    make_bundle, serve, photo, block, caplog, until
):
    make_bundle()
    with serve(deadline_s=0.05) as client, block(client) as held:
        check(client.post(CLASSIFY, content=photo("red")), 504, "deadline_passed")
        assert held.engine.depth == 0
        held.release()
        until(lambda: client.post(CLASSIFY, content=photo("red")).status_code == 200)
    assert [r.getMessage() for r in caplog.records if r.name == "asyncio"] == []


@pytest.mark.parametrize(
    "headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}], ids=str
)
def test_a_missing_or_wrong_key_is_unauthenticated(make_bundle, serve, photo, headers):
    make_bundle()
    with serve(api_key="hush") as client:
        response = client.post(CLASSIFY, content=photo("red"), headers=headers)
        check(response, 401, "unauthenticated")
        assert response.headers["www-authenticate"] == "Bearer"


def test_the_api_key_is_forbidden_on_an_admin_route(make_bundle, serve):
    make_bundle()
    with serve(api_key="hush", admin_key="boss") as client:
        headers = {"X-API-Key": "hush"}
        check(client.post("/api/v1/models/colours/reload", headers=headers), 403, "forbidden")


def test_an_unexpected_error_is_a_500_without_internal_details(
    make_bundle, serve, photo, monkeypatch, caplog
):
    make_bundle()

    def fail(*args):
        raise RuntimeError("secret detail")

    monkeypatch.setattr("app.runtime.classifier.top", fail)
    with serve() as client:
        response = client.post(CLASSIFY, content=photo("red"), headers={"X-Request-ID": "mine"})
        body = check(response, 500, "internal")
        assert body["request_id"] == "mine"
        assert "secret" not in response.text
        in_batch = client.post(CLASSIFY, files=[("file", ("a.jpg", photo("red")))] * 2)
        check(in_batch, 500, "internal")
        monkeypatch.undo()
        assert client.get("/livez").status_code == 200
    logged = [r for r in caplog.records if r.levelno == logging.ERROR and "mine" in r.getMessage()]
    assert "secret detail" in str(logged[0].exc_info[1])


def test_a_bundle_that_is_refused_at_a_reload_is_a_problem(make_bundle, serve):
    folder = make_bundle().folder
    with serve(admin_key="boss") as client:
        (folder / "model.onnx").write_bytes(b"changed")
        response = client.post("/api/v1/models/colours/reload", headers={"X-API-Key": "boss"})
        body = check(response, 409, errors.BundleMismatch.code)
        assert "model.onnx has 7 bytes" in body["detail"]


@pytest.mark.parametrize(
    "text", [b"data:image/png;base64,iVBORw0KGgo=", b"https://example.org/a.jpg", b"[object Blob]"]
)
def test_every_way_to_send_bytes_says_what_a_text_is(client, text):
    """A raw body, a file of a form, and the protocols that take bytes give the same sentence."""
    detail = check(client.post(CLASSIFY, content=text), 400, "not_an_image")["detail"]
    assert detail.startswith("This is ")
    file = {"file": ("a.jpg", text, "image/jpeg")}
    assert client.post(CLASSIFY, files=file).json()["detail"] == detail
    batch = client.post(CLASSIFY, files=[*file.items()] * 2).json()["results"]
    assert [result["problem"]["detail"] for result in batch] == [detail] * 2
    encoded = {"file": ("a.jpg", text.decode().encode("utf-16"), "image/jpeg")}
    assert client.post(CLASSIFY, files=encoded).json()["detail"] == detail
    if text[:1] != b"[":  # which begins JSON there
        assert client.post("/hf/colours", content=text).json() == {"error": detail}
    for sent in ({"content": text}, {"files": {"data": file["file"]}}):
        assert client.post("/predictions/colours", **sent).json()["message"] == detail
