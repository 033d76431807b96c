"""TorchServe's protocol: its documented requests, byte for byte as curl and requests send them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

GOLDEN = ("chelsea", "rocket", "coffee", "camera")
CURL = ("User-Agent: curl/8.5.0", "Accept: */*")


def curl_form(*photos):
    """Return content type and body of `curl -F data=@kitten_small.jpg`."""
    edge = b"------------------------d74496d66958873e"
    parts = [
        b'Content-Disposition: form-data; name="data"; filename="kitten_small.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + photo
        for photo in photos
    ]
    body = b"".join(b"--" + edge + b"\r\n" + part + b"\r\n" for part in parts)
    return f"multipart/form-data; boundary={edge.decode()}", body + b"--" + edge + b"--\r\n"


def check(response, status, type):
    body = response.json()
    assert response.headers["content-type"] == "application/json"
    assert list(body) == ["code", "type", "message"]
    assert (response.status_code, body["code"], body["type"]) == (status, status, type)
    return body["message"]


@pytest.mark.parametrize("name", GOLDEN)
def test_predictions_equal_those_of_our_own_api(imagenet_client, golden, own, name):
    response = imagenet_client.post("/predictions/imagenet", content=golden(name)).json()
    expected = own(imagenet_client, golden(name))
    assert list(response) == list(expected)
    assert response == pytest.approx(expected, abs=1e-6)


def test_curl_upload_file_is_a_put_that_waits_for_100_continue(client, connect, photo):
    """`curl http://localhost:8080/predictions/resnet-18 -T kitten_small.jpg`."""
    raw = connect(client)
    length = f"Content-Length: {len(photo('green'))}"
    raw.send("PUT /predictions/colours HTTP/1.1", *CURL, length, "Expect: 100-continue")
    assert raw.socket.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    raw.socket.sendall(photo("green"))
    status, _, body = raw.read_response()
    assert (status, next(iter(body))) == (200, "green")


def test_curl_form(client, connect, photo):
    """`curl http://localhost:8080/predictions/resnet-18 -F "data=@kitten_small.jpg"`."""
    content_type, body = curl_form(photo("blue"))
    raw = connect(client)
    heads = (f"Content-Length: {len(body)}", f"Content-Type: {content_type}")
    raw.send("POST /predictions/colours HTTP/1.1", *CURL, *heads, body=body)
    status, _, response = raw.read_response()
    assert (status, next(iter(response))) == (200, "blue")


@pytest.mark.parametrize("field", ["data", "body", "image"])
def test_a_file_of_any_name(client, photo, field):
    """`requests.post(url, files={"data": open("kitten.jpg", "rb")})`."""
    response = client.post("/predictions/colours", files={field: photo("red")}).json()
    assert next(iter(response)) == "red"
    assert set(response) == {"red", "green", "blue"}
    assert sum(response.values()) == pytest.approx(1, abs=1e-5)


def test_several_files_are_rejected(client, photo):
    content_type, body = curl_form(photo("red"), photo("blue"))
    response = client.post(
        "/predictions/colours", content=body, headers={"Content-Type": content_type}
    )
    assert "one image" in check(response, 400, "bad_parameter")


@pytest.mark.parametrize("version", ["1", "1.0"])
@pytest.mark.parametrize("method", ["POST", "PUT"])
def test_a_version(client, photo, method, version):
    response = client.request(method, f"/predictions/colours/{version}", content=photo("red"))
    assert next(iter(response.json())) == "red"


@pytest.mark.parametrize("version", ["2", "2.0", "1.5", "latest", "-1", "9" * 5000, "%ED%A0%80"])
def test_an_unknown_version(client, photo, version):
    response = client.post(f"/predictions/colours/{version}", content=photo("red"))
    assert "has no version" in check(response, 404, "unknown_model")


@pytest.mark.parametrize("path", ["/predictions/wasps", "/predictions/wasps/x"])
def test_an_unknown_model(client, photo, path):
    response = client.post(path, content=photo("red"))
    assert "Known models: colours" in check(response, 404, "unknown_model")


@pytest.mark.parametrize("path", ["/predictions", "/predictions/a/1/explain", "/ping/x"])
def test_unknown_paths_are_404(client, path):
    check(client.post(path), 404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/predictions/colours"), ("POST", "/ping"), ("DELETE", "/ping")]
)
def test_wrong_methods_are_405(client, method, path):
    check(client.request(method, path), 405, "method_not_allowed")


@pytest.mark.parametrize(
    ("content", "status", "type"),
    [
        (b"", 400, "not_an_image"),
        (b'{"data": "aGVsbG8="}', 400, "not_an_image"),
        (b"\xff\xd8\xff" + bytes(500), 422, "broken_image"),
        (b"8BPS\0\1" + bytes(200), 415, "unsupported_format"),
    ],
    ids=["empty", "json", "broken", "tiff"],
)
def test_an_unusable_image_gets_its_error(client, content, status, type):
    check(client.post("/predictions/colours", content=content), status, type)
    content_type, body = curl_form(content)
    check(
        client.post("/predictions/colours", content=body, headers={"Content-Type": content_type}),
        status,
        type,
    )


def test_limits(make_bundle, serve, photo):
    make_bundle()
    with serve(max_image_bytes=20_000, max_body_bytes=30_000) as client:
        long = photo("red").ljust(20_001, b"\0")
        check(client.post("/predictions/colours", content=long), 413, "too_many_bytes")
        check(client.post("/predictions/colours", files={"data": long}), 413, "too_many_bytes")
        longer = photo("red").ljust(30_000, b"\0")
        check(client.post("/predictions/colours", files={"data": longer}), 413, "too_many_bytes")
        assert client.app.state.service.memory_budget.held_bytes == 0


def test_a_full_queue(client, photo, block):
    with block(client) as held:
        held.fill()
        response = client.post("/predictions/colours", content=photo("red"))
        held.empty()
    check(response, 429, "queue_full")
    assert int(response.headers["retry-after"]) >= 1


def test_a_key_is_required_except_for_ping(make_bundle, serve, photo):
    make_bundle()
    with serve(api_key="hush") as client:
        check(client.post("/predictions/colours", content=photo("red")), 401, "unauthenticated")
        headers = {"Authorization": "Bearer hush"}
        response = client.put("/predictions/colours/1", content=photo("red"), headers=headers)
        assert response.status_code == 200
        assert client.get("/ping").status_code == 200


def test_ping(client):
    response = client.get("/ping")
    assert (response.status_code, response.json()) == (200, {"status": "Healthy"})
    assert client.head("/ping").status_code == 200
    client.app.state.service.lifecycle.draining = True
    response = client.get("/ping")
    client.app.state.service.lifecycle.draining = False
    assert (response.status_code, response.json()) == (503, {"status": "Unhealthy"})


def test_ping_with_a_refused_default_model(make_bundle, serve, photo):
    (make_bundle().folder / "model.onnx").write_bytes(b"x")
    with serve() as client:
        assert client.get("/ping").json() == {"status": "Unhealthy"}
        response = client.post("/predictions/colours", content=photo("red"))
        check(response, 503, "model_not_ready")


@settings(max_examples=40, deadline=None)
@given(
    content=st.binary(max_size=300),
    kind=st.sampled_from(["image/jpeg", "application/json", "multipart/form-data; boundary=x"]),
    version=st.text(max_size=5).filter(lambda text: not set(text) & set("/?#.")),
)
def test_no_body_leads_to_a_500(client, content, kind, version):
    from urllib.parse import quote

    path = f"/predictions/colours/{quote(version)}" if version else "/predictions/colours"
    response = client.post(path, content=content, headers={"Content-Type": kind})
    assert response.status_code in {400, 404, 413, 415, 422}
    assert list(response.json()) == ["code", "type", "message"]
