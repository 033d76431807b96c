"""Documents that are made once: the OpenAPI document, the pages and their files."""

import asyncio
import gzip
import json
import threading
from pathlib import Path

import pytest
from fastapi import Request

import app
from app.api.constant_documents import ConstantDocument
from app.api.routes import page
from app.api.turns import Turns

WEB = Path(app.__file__).parent / "web"
PATHS = ["/openapi.json", "/", "/docs", "/static/docs.js"]


def static(suffix):
    """Return the path of a static file with `suffix`."""
    return f"/static/{next(WEB.rglob(f'*{suffix}')).relative_to(WEB).as_posix()}"


def request(**headers):
    names = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return Request({"type": "http", "headers": names})


def responses(document, *requests):
    async def run():
        return await asyncio.gather(*(document.response(each) for each in requests))

    return asyncio.run(run())


@pytest.mark.parametrize("path", PATHS)
def test_a_client_that_has_the_document_gets_304(client, path):
    first = client.get(path)
    etag = first.headers["etag"]
    assert first.headers["cache-control"] == "no-cache"
    for given in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        again = client.get(path, headers={"If-None-Match": given})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == etag
    for given in ('"other"', "", etag.strip('"')[:-1]):
        assert client.get(path, headers={"If-None-Match": given}).status_code == 200


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("GZIP", "gzip"),
        ("br, gzip;q=0.5", "gzip"),
        ("gzip; q=1.0", "gzip"),
        ("gzip;q=0", None),
        ("gzip; q=0.000", None),
        ("br", None),
        ("identity", None),
        ("", None),
    ],
)
def test_compression_is_used_where_it_is_accepted(client, accepted, coding):
    with client.stream("GET", "/openapi.json", headers={"Accept-Encoding": accepted}) as response:
        body = b"".join(response.iter_raw())
        assert response.headers.get("content-encoding") == coding
        assert response.headers["vary"] == "Accept-Encoding"
        assert response.headers["content-type"] == "application/json"
    document = json.loads(gzip.decompress(body) if coding else body)
    assert document["info"]["title"] == "Hubel"


def test_the_forms_have_different_etags_and_each_is_revalidated(client):
    plain = client.get("/openapi.json", headers={"Accept-Encoding": ""}).headers["etag"]
    zipped = client.get("/openapi.json", headers={"Accept-Encoding": "gzip"}).headers["etag"]
    assert plain != zipped
    for etag in (plain, zipped):
        for accepted in ("", "gzip"):
            headers = {"Accept-Encoding": accepted, "If-None-Match": etag}
            assert client.get("/openapi.json", headers=headers).status_code == 304


def test_a_document_is_made_once_on_a_thread_however_many_ask():
    made_on = []

    def make():
        made_on.append(threading.current_thread())
        return b"x" * 5000

    document = ConstantDocument(make, "text/plain", Turns())
    all_responses = responses(document, *[request()] * 200)
    assert len(made_on) == 1
    assert made_on[0] is not threading.main_thread()
    bodies = {id(response.body) for response in all_responses}
    assert len(bodies) == 1, "the bytes are copied"


def test_a_document_that_could_not_be_made_is_tried_again():
    results = [OSError("no descriptor left"), b"text"]

    def make():
        result = results.pop(0)
        if isinstance(result, Exception):
            raise result
        return result

    document = ConstantDocument(make, "text/plain", Turns())
    with pytest.raises(OSError, match="descriptor"):
        responses(document, request())
    assert responses(document, request())[0].body == b"text"


def test_pictures_and_short_texts_are_not_compressed():
    for body, media_type in ((b"x" * 5000, "image/png"), (b"short", "text/plain")):
        document = ConstantDocument(lambda body=body: body, media_type, Turns())
        (response,) = responses(document, request(accept_encoding="gzip"))
        assert response.body == body
        assert "vary" not in response.headers


@pytest.mark.parametrize(
    "path",
    [
        "/static/",
        "/static/page",
        "/static/../main.py",
        "/static/%2e%2e/main.py",
        "/static//etc/a",
        "/static/teach.html",
    ],
)
def test_only_files_of_the_pages_are_static(client, path):
    assert client.get(path).status_code == 404


@pytest.mark.parametrize(
    ("path", "media_type"),
    [
        ("/", "text/html; charset=utf-8"),
        ("/docs", "text/html; charset=utf-8"),
        (static(".js"), "text/javascript; charset=utf-8"),
        (static(".css"), "text/css; charset=utf-8"),
        (static(".svg"), "image/svg+xml"),
        (static(".png"), "image/png"),
        ("/static/swagger-ui/LICENSE", "text/plain; charset=utf-8"),
    ],
)
def test_media_types_do_not_depend_on_the_system(client, path, media_type):
    assert client.get(path).headers["content-type"] == media_type


def test_every_type_of_the_pages_files_is_known():
    suffixes = {file.suffix for file in WEB.rglob("*") if file.is_file()}
    assert suffixes <= {"", *page._MEDIA_TYPES}


def test_other_work_runs_between_many_requests():
    """A task that needs the loop again and again waits for few documents each time."""
    document = ConstantDocument(lambda: b"text", "text/plain", Turns())
    served = []

    async def serve():
        await document.response(request())
        served.append(1)

    async def run():
        await document.response(request())
        tasks = [asyncio.create_task(serve()) for _ in range(500)]
        await asyncio.sleep(0)
        for _ in range(20):
            await asyncio.sleep(0)
        between = len(served)
        await asyncio.gather(*tasks)
        return between

    assert 0 < asyncio.run(run()) < 100
    assert len(served) == 500
