"""Clients that ask for HTTP/2 by an upgrade: Java's HttpClient and curl post photos, get labels."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

HERE = Path(__file__).parent
GOLDEN = HERE.parents[1] / "model" / "imagenet" / "golden"


@pytest.fixture(scope="module")
def photos():
    """Paths of photos, some of them real ones where there are any."""
    found = sorted(GOLDEN.glob("*.jpg"))
    if folder := os.environ.get("HUBEL_TEST_PHOTOS"):
        found += sorted(Path(folder).rglob("*.jpg"))[:2]
    return found


@pytest.fixture
def labels(server, photos):
    """The label of each photo, as a client gets it that asks for no upgrade."""
    import httpx

    url = f"http://127.0.0.1:{server.port}/api/v1/classify"
    return [
        httpx.post(url, content=photo.read_bytes(), timeout=120).json()["predictions"][0]
        for photo in photos
    ]


def url(server):
    return f"http://127.0.0.1:{server.port}/api/v1/classify"


@pytest.mark.skipif(shutil.which("java") is None, reason="Java is not installed")
def test_javas_client_posts_photos(server, photos, labels):
    command = ["java", HERE / "Post.java", url(server), *photos]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    responses = [line.split(" ", 2) for line in done.stdout.splitlines()]
    assert [response[:2] for response in responses] == [["HTTP_1_1", "200"]] * 4 * len(photos)
    got = [json.loads(response[2])["predictions"][0] for response in responses]
    assert got == [label for label in labels for _ in range(4)]


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize(
    "options",
    [["--http2"], ["--http2", "-H", "Transfer-Encoding: chunked"], ["--http1.0"], []],
    ids=["h2c", "h2c, chunked", "HTTP/1.0", "HTTP/1.1"],
)
def test_curl_posts_photos(server, photos, labels, options):
    for photo, label in zip(photos, labels, strict=True):
        command = ["curl", "-sS", "--fail-with-body", *options, "--data-binary", f"@{photo}"]
        done = subprocess.run([*command, url(server)], check=True, capture_output=True, timeout=300)
        assert json.loads(done.stdout)["predictions"][0] == label


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl_posts_a_form_with_an_upgrade(server, photos, labels):
    files = [option for photo in photos for option in ("-F", f"file=@{photo}")]
    command = ["curl", "-sS", "--fail-with-body", "--http2", *files, url(server)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=300)
    got = [result["predictions"][0] for result in json.loads(done.stdout)["results"]]
    assert got == labels
