"""Limits of named keys over HTTP: 429 in every format, header fields, changes while it runs."""

import dataclasses
import threading

import pytest
from click.testing import CliRunner

from app.api.key_limits import _MANY_KEYS, KeyUses
from app.cli.keys import keys
from app.errors import KeyLimitExceeded
from app.keys_file import KeyLimits, NamedKeys, change, create
from benchmarks.hardening.named_keys import change_under_load

CLASSIFY = "/api/v1/classify"
FORMATS = {
    CLASSIFY: lambda body: (body["detail"], body["code"]),
    "/api/v1/embed": lambda body: (body["detail"], body["code"]),
    "/hf/colours": lambda body: (body["error"], None),
    "/predictions/colours": lambda body: (body["message"], body["type"]),
    "/v2/models/colours/infer": lambda body: (body["error"], None),
    "/v1/models/colours:predict": lambda body: (body["error"], None),
}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(named):
    """The clock of the limits of the module's service; it stands still."""
    client, _, _ = named
    state = client.app.state
    before = state.service
    clock = Clock()
    keys = dataclasses.replace(before.keys, uses=KeyUses(clock))
    state.service = dataclasses.replace(before, keys=keys)
    yield clock
    state.service = before


def limit(file, name, client, until, **limits):
    """Replace the limits of a key in the file, and wait until the service has read it."""
    new = KeyLimits(**limits).or_none

    def changed(before):
        keys = [
            key.model_copy(update={"limits": new}) if key.name == name else key
            for key in before.keys
        ]
        return NamedKeys(keys=tuple(keys))

    change(file, changed)
    named = client.app.state.service.keys.named
    until(lambda: any(k.name == name and k.limits == new for k in named._keys.values()))


@pytest.mark.parametrize("path", FORMATS)
def test_one_request_too_many_in_a_second_gets_429_in_the_format_of_the_protocol(
    named, clock, path
):
    client, add, _ = named
    name = f"two{list(FORMATS).index(path)}"
    headers = add(name, requests_per_second=2)
    for _ in range(2):
        assert client.get("/api/v1/models", headers=headers).status_code == 200
    refused = client.post(path, headers=headers, content=b"x")
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["ratelimit-policy"] == '"requests";q=2;w=1'
    assert refused.headers["ratelimit"] == '"requests";r=0;t=1'
    text, code = FORMATS[path](refused.json())
    assert text == f"The key {name} may send 2 requests a second. Send requests more slowly."
    assert code in (None, "key_limit_exceeded")
    clock.now += 1.0
    assert client.get("/api/v1/models", headers=headers).status_code == 200


def test_images_are_counted_once_they_are_known(named, clock, photo):
    client, add, _ = named
    headers = add("images", images_per_minute=6)
    files = [("file", photo("red"))] * 2
    first = client.post(CLASSIFY, headers=headers, files=files)
    assert first.headers["ratelimit-policy"] == '"images";q=6;qu="images";w=60'
    assert first.headers["ratelimit"] == '"images";r=4;t=60'
    crops = f"{CLASSIFY}?crop=0,0,9,9&crop=9,9,9,9&crop=0,0,20,20"
    clock.now += 20
    two = client.post(crops, headers=headers, content=photo("red"))
    assert two.status_code == 200
    assert two.headers["ratelimit"] == '"images";r=1;t=40'
    refused = client.post(CLASSIFY, headers=headers, files=files)
    assert refused.status_code == 429
    assert refused.headers["retry-after"] == "40"
    assert refused.json()["detail"] == "The key images may send 6 images a minute. Try again later."
    assert client.post("/hf/colours", headers=headers, content=photo("red")).status_code == 200
    assert client.get("/api/v1/models", headers=headers).status_code == 200
    clock.now += 40
    assert client.post(CLASSIFY, headers=headers, files=files).status_code == 200


def test_more_images_than_a_minute_allows_are_too_many_files(named, clock, photo):
    client, add, _ = named
    headers = add("few", images_per_minute=2)
    response = client.post(CLASSIFY, headers=headers, files=[("file", photo("red"))] * 3)
    assert (response.status_code, response.json()["code"]) == (413, "too_many_files")
    assert "3 images, and the key few may send 2 a minute." in response.json()["detail"]
    assert response.headers["ratelimit"] == '"images";r=2;t=60'


def test_a_used_up_minute_is_refused_before_the_body_is_read(named, clock, photo, connect):
    client, add, _ = named
    headers = add("early", images_per_minute=1)
    assert client.post(CLASSIFY, headers=headers, content=photo("red")).status_code == 200
    for kind in ("image/jpeg", "multipart/form-data; boundary=x"):
        raw = connect(client)
        raw.send(
            f"POST {CLASSIFY} HTTP/1.1",
            f"X-API-Key: {headers['X-API-Key']}",
            "Content-Length: 1000000",
            f"Content-Type: {kind}",
        )
        status, _, body = raw.read_response()
        assert (status, body["code"]) == (429, "key_limit_exceeded")


def test_a_full_queue_counts_no_image(named, clock, photo, block):
    client, add, _ = named
    headers = add("queued", images_per_minute=5)
    with block(client) as busy:
        busy.fill()
        response = client.post(CLASSIFY, headers=headers, content=photo("red"))
        assert response.json()["code"] == "queue_full"
        assert response.headers["ratelimit"] == '"images";r=5;t=60'
        busy.empty()


def test_concurrent_requests_are_limited_and_end_with_their_responses(named, photo, block, until):
    client, add, _ = named
    headers = add("one", concurrent_requests=1)
    statuses = []

    def post():
        statuses.append(client.post(CLASSIFY, headers=headers, content=photo("red")).status_code)

    with block(client) as busy:
        waiting = threading.Thread(target=post)
        waiting.start()
        until(lambda: busy.engine.depth == 1)
        refused = client.post(CLASSIFY, headers=headers, content=photo("red"))
        assert refused.status_code == 429
        assert refused.headers["ratelimit"] == '"concurrent";r=0'
        assert refused.headers["ratelimit-policy"] == ('"concurrent";q=1;qu="concurrent-requests"')
        assert refused.headers["retry-after"] == "1"
        assert "1 request at once" in refused.json()["detail"]
        assert client.get("/api/v1/models", headers=add("other")).status_code == 200
    waiting.join()
    assert statuses == [200]
    assert client.get("/api/v1/models", headers=headers).status_code == 200


def test_an_unlimited_key_has_no_fields(named):
    client, add, _ = named
    response = client.get("/api/v1/models", headers=add("unlimited"))
    assert "ratelimit" not in response.headers
    assert "ratelimit-policy" not in response.headers


def test_limits_are_changed_and_removed_while_the_service_runs(named, clock, until):
    client, add, file = named
    headers = add("changed", requests_per_second=1)
    assert client.get("/api/v1/models", headers=headers).status_code == 200
    assert client.get("/api/v1/models", headers=headers).status_code == 429
    limit(file, "changed", client, until, requests_per_second=3, concurrent_requests=2)
    response = client.get("/api/v1/models", headers=headers)
    assert response.status_code == 200
    assert response.headers["ratelimit"] == '"requests";r=1;t=1, "concurrent";r=1'
    limit(file, "changed", client, until)
    for _ in range(5):
        assert client.get("/api/v1/models", headers=headers).status_code == 200


def test_a_key_is_added_limited_and_revoked_under_load_and_no_other_fails(named, photo, hubel):
    client, add, _ = named
    kept = [add(f"kept{number}")["X-API-Key"] for number in range(4)]
    statuses = change_under_load(str(client.base_url), kept, hubel, photo("red"), seconds=0.1)
    assert set(statuses) == {200}
    assert statuses[200] > 10


@pytest.fixture
def hubel(named):
    """Run `hubel keys` on the keys file in this process."""
    _, _, file = named

    def run(*arguments):
        done = CliRunner().invoke(keys, [*arguments, "--file", str(file)])
        assert done.exit_code == 0, done.output
        return done.stdout.strip()

    return run


def test_keys_that_are_not_used_any_more_are_forgotten():
    clock = Clock()
    uses = KeyUses(clock)
    limits = KeyLimits(requests_per_second=1)
    _, first = create("first", "classify", limits)
    uses.of(first).begin()
    for number in range(_MANY_KEYS + 10):
        _, key = create(f"key{number}", "classify", limits)
        uses.of(key)
    assert len(uses._uses) < 20
    with pytest.raises(KeyLimitExceeded):
        uses.of(first).begin()
