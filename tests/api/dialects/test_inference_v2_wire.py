"""Open Inference Protocol v2 on the wire: requests that tritonclient does not send."""

import base64
import gc
import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app import vision
from app.api.dialects.inference_v2.document import read_document
from app.api.dialects.inference_v2.request import json_bytes, read_inference
from app.api.dialects.inference_v2.tensors import ModelInput
from app.api.request.body import read_body
from app.errors import HubelError

INFER = "/v2/models/colours/infer"
LENGTH = "Inference-Header-Content-Length"
MODEL_INPUT = ModelInput(shape=(4, 4, 3), max_images=3)
RED = [230, 20, 20]


def request(data=None, *, size=None, **changes):
    tensor = {"name": "image", "datatype": "BYTES", "shape": [1]}
    if data is not None:
        tensor["data"] = data
    if size is not None:
        tensor["parameters"] = {"binary_data_size": size}
    tensor |= changes
    return {"inputs": [{key: value for key, value in tensor.items() if value is not ...}]}


def prefixed(*contents):
    return b"".join(struct.pack("<I", len(data)) + data for data in contents)


def post(client, value, tail=b"", length=None, path=INFER):
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    headers = {}
    if tail or length is not None:
        headers[LENGTH] = str(len(text) if length is None else length)
    return client.post(path, content=text + tail, headers=headers)


def top_index(response):
    assert response.status_code == 200, response.text
    return int(np.argmax(response.json()["outputs"][0]["data"][:3]))


def error(response, status):
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["error"]
    assert response.json()["error"].endswith(".")
    return response.json()["error"]


def test_a_raw_body_is_an_encoded_image(client, photo):
    response = post(client, photo("blue"), length=0)
    assert top_index(response) == 2
    assert LENGTH not in response.headers
    assert response.json()["outputs"][0]["shape"] == [1, 3]


@pytest.mark.parametrize("side", [480, 32])
def test_a_raw_body_of_an_arrays_length_is_an_array(client, side):
    array = np.full((side, side, 3), RED[::-1], np.uint8)
    assert top_index(post(client, array.tobytes(), length=0)) == 2


def test_a_raw_image_that_is_as_long_as_an_array_is_still_an_image(client, photo):
    assert top_index(post(client, photo("green").ljust(480 * 480 * 3, b"\0"), length=0)) == 1


@pytest.mark.parametrize("body", [b"", b"text", bytes(480 * 480 * 3 + 1)], ids=len)
def test_a_raw_body_that_is_neither_is_rejected(client, body):
    error(post(client, body, length=0), 400)


def test_the_length_header_may_cover_the_whole_body(client, photo):
    text = json.dumps(request([base64.b64encode(photo("red")).decode()])).encode()
    assert top_index(post(client, text, length=len(text))) == 0


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("indent", [None, 1])
def test_numbers_may_be_nested_and_spaced(client, nested, indent):
    array = np.full((1, 32, 32, 3), RED, np.uint8)
    data = (array if nested else array.reshape(-1)).tolist()
    value = request(data, datatype="UINT8", shape=[1, 32, 32, 3])
    assert top_index(post(client, json.dumps(value, indent=indent).encode())) == 0


def test_nested_base64_strings_are_read(client, photo):
    strings = [[base64.b64encode(photo(colour)).decode()] for colour in ("blue", "red")]
    response = post(client, request(strings, shape=[2, 1]))
    assert response.json()["outputs"][0]["shape"] == [2, 3]


def test_a_request_without_an_id_gets_a_response_without_one(client, photo):
    response = post(client, request(size=len(prefixed(photo("red")))), prefixed(photo("red")))
    assert "id" not in response.json()


def test_an_id_that_utf8_can_not_encode_is_repeated(client, photo):
    tail = prefixed(photo("red"))
    text = json.dumps(request(size=len(tail)) | {"id": "\ud800 ä"}).encode()
    assert post(client, text, tail).json()["id"] == "\ud800 ä"


def invalid_request(**changes):
    return request(**({"data": ["AAAA"]} | changes))


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (b"", "empty"),
        (b"{", "JSON"),
        (b"\xff\xfe{}", "JSON"),
        (b"[" * 5000, "JSON"),
        (b'{"id": ' + b"9" * 5000 + b"}", "JSON"),
        ([], "object"),
        ({}, "inputs"),
        ({"inputs": []}, "0 times"),
        ({"inputs": {}}, "array"),
        ({"inputs": ["image"]}, "array"),
        ({"inputs": invalid_request()["inputs"] * 2}, "2 times"),
        (invalid_request(name="pixels"), "'pixels'"),
        (invalid_request(name="\ud800"), "'image'"),
        (invalid_request(name=...), "None"),
        (invalid_request(datatype="FP32"), "'FP32'"),
        (invalid_request(datatype=...), "datatype"),
        (invalid_request(datatype={}), "datatype"),
        (invalid_request(shape=...), "shape"),
        (invalid_request(shape=1), "shape"),
        (invalid_request(shape=[]), "[n] or [n, 1]"),
        (invalid_request(shape=["1"]), "whole numbers"),
        (invalid_request(shape=[True]), "whole numbers"),
        (invalid_request(shape=[1.0]), "whole numbers"),
        (invalid_request(shape=[1, 2]), "[n] or [n, 1]"),
        (invalid_request(shape=[0]), "no image"),
        (invalid_request(shape=[-1]), "no image"),
        (invalid_request(shape=[2]), "2 base64 strings"),
        (
            invalid_request(datatype="UINT8", shape=[1, 480, 480, 4]),
            "[n, 480, 480, 3] or [n, 32, 32, 3]",
        ),
        (invalid_request(datatype="UINT8", shape=[480, 480, 3]), "[n, 480, 480, 3]"),
        (invalid_request(datatype="UINT8", shape=[1, 3, 480, 480]), "[n, 480, 480, 3]"),
        (invalid_request(datatype="UINT8", shape=[1, -480, -480, 3]), "[n, 480, 480, 3]"),
        (invalid_request(datatype="UINT8", shape=[1, 32, 32, 3]), "whole numbers"),
        (invalid_request(datatype="UINT8", shape=[1, 32, 32, 3], data=[1, 2]), "3072 elements"),
        (invalid_request(datatype="UINT8", shape=[1, 32, 32, 3], data=[256] * 3072), "0 to 255"),
        (
            invalid_request(datatype="UINT8", shape=[1, 32, 32, 3], data=[-1] * 3072),
            "whole numbers",
        ),
        (
            invalid_request(datatype="UINT8", shape=[1, 32, 32, 3], data=[0.5] * 3072),
            "whole numbers",
        ),
        (
            invalid_request(datatype="UINT8", shape=[1, 32, 32, 3], data=[0.5] * 20_000),
            "10000 values",
        ),
        (invalid_request(data=[1, 2]), "base64 strings"),
        (invalid_request(data=["AAA"]), "base64"),
        (invalid_request(data=["ä"]), "base64"),
        (invalid_request(data=[None]), "base64"),
        (invalid_request(data="AAAA"), "base64"),
        (invalid_request(data=0), "base64"),
        (invalid_request(data=...), "either"),
        (invalid_request(parameters={"binary_data_size": 4}), "either"),
        (invalid_request(parameters=[]), "object"),
        (invalid_request(parameters={"shared_memory_region": "r"}), "Shared memory"),
        (request(size=4), "0 bytes follow"),
        (request(size=-1), "0 bytes follow"),
        (request(size="4"), "0 bytes follow"),
        (invalid_request() | {"id": 7}, "`id`"),
        (invalid_request() | {"parameters": 7}, "`parameters`"),
        (invalid_request() | {"outputs": [{"name": "embedding"}]}, "'probabilities'"),
        (invalid_request() | {"outputs": [{"name": "probabilities"}] * 2}, "2 times"),
        (invalid_request() | {"outputs": "probabilities"}, "array"),
        *(
            (
                invalid_request()
                | {"outputs": [{"name": "probabilities", "parameters": {"classification": k}}]},
                "classification",
            )
            for k in (0, -1, "3", 1.5, True, None)
        ),
    ],
    ids=lambda value: str(value)[:60],
)
def test_an_invalid_request_gets_an_error_that_names_the_reason(client, value, word):
    assert word in error(post(client, value), 400)


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "", "many", "²", "9" * 30, "10000"])
def test_an_invalid_length_header_is_rejected(client, length):
    headers = {LENGTH: length.encode("latin-1")}
    assert LENGTH in error(client.post(INFER, content=b"{}", headers=headers), 400)


def test_json_before_binary_data_has_a_size_limit(client):
    text = b"{}".ljust(1024 * 1024 + 1)
    assert "are allowed" in error(post(client, text, b"x"), 400)


@pytest.mark.parametrize(
    ("tail", "size"),
    [
        (b"", 0),
        (b"abc", 3),
        (prefixed(b"abc"), 6),
        (prefixed(b"abc"), 8),
        (prefixed(b"abc", b"d"), 12),
        (prefixed(b"abc") + b"\0", 8),
        (b"\xff\xff\xff\xff" + b"abc", 7),
        (b"\3\0\0\0ab", 6),
        (b"\3\0", 2),
    ],
    ids=str,
)
def test_binary_elements_that_contradict_the_json_are_rejected(client, tail, size):
    error(post(client, request(size=size), tail), 400)


@pytest.mark.parametrize("missing", [1, -1, 3071])
def test_a_binary_array_must_have_the_length_of_its_shape(client, missing):
    tail = bytes(3072 - missing)
    value = request(size=len(tail), datatype="UINT8", shape=[1, 32, 32, 3])
    assert "3072 elements" in error(post(client, value, tail), 400)


@pytest.mark.parametrize("images", [65, 10**6, 2**31, 2**63, 10**40])
@pytest.mark.parametrize("tensor_form", [("BYTES", []), ("UINT8", [480, 480, 3])], ids=str)
def test_too_many_images_are_rejected_by_the_stated_shape(client, images, tensor_form):
    value = request(size=0, datatype=tensor_form[0], shape=[images, *tensor_form[1]])
    assert "64 are allowed" in error(post(client, value), 413)


def test_a_body_is_rejected_by_its_content_length_before_it_arrives(client, connect):
    raw = connect(client)
    raw.send(f"POST {INFER} HTTP/1.1", f"Content-Length: {10**12}")
    status, _, body = raw.read_response()
    assert (status, list(body)) == (413, ["error"])


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v2/nothing", 404),
        ("GET", "/v2/models/colours/nothing", 404),
        ("GET", "/v2/models/wasps", 404),
        ("GET", "/v2/models/wasps/config", 404),
        ("GET", "/v2/models/wasps/ready", 404),
        ("GET", "/v2/models/colours/versions/7", 404),
        ("GET", "/v2/models/colours/versions/7/ready", 404),
        ("GET", "/v2/models/%ff%00", 404),
        ("POST", "/v2/models/colours/versions/7/infer", 404),
        ("GET", "/v2/models/colours/versions/0", 400),
        ("GET", "/v2/models/colours/versions/latest", 400),
        ("GET", f"/v2/models/colours/versions/{'9' * 5000}", 400),
        ("POST", "/v2/models/colours/versions/-1/infer", 400),
        ("GET", INFER, 405),
        ("POST", "/v2", 405),
        ("PUT", "/v2/health/live", 405),
        ("GET", "/v2/repository/index", 405),
        ("POST", "/v2/repository/models/colours/load", 403),
    ],
    ids=lambda value: str(value)[:50],
)
def test_every_error_has_the_protocols_shape(client, method, path, status):
    error(client.request(method, path), status)


@pytest.mark.parametrize("body", [b"[]", b"{", b'{"parameters": 1}', b"[" * 50_000], ids=len)
def test_a_repository_request_that_is_not_an_object_is_rejected(client, body):
    error(client.post("/v2/repository/index", content=body), 400)


def test_a_repository_request_has_a_size_limit(client):
    error(client.post("/v2/repository/index", content=bytes(70_000)), 413)


@pytest.mark.parametrize(
    "value", [b"{", request(["AAAA"]), request(size=3)], ids=["no JSON", "no image", "cut off"]
)
def test_no_memory_is_reserved_after_a_failed_request(client, value, until):
    post(client, value)
    until(lambda: client.app.state.service.memory_budget.held_bytes == 0)


@pytest.mark.parametrize(
    "tail",
    [prefixed(b"\xff\xd8\xff" + bytes(99)), prefixed(b"text"), b"cut off", bytes(3072)],
    ids=["broken image", "no image", "broken tensor", "array"],
)
def test_no_body_outlives_its_request(client, monkeypatch, tail):
    """A cycle through an error's traceback would keep a body until garbage collection."""
    alive = []

    class Body(bytes):
        """Bytes that record their deletion."""

        def __del__(self):
            alive.remove(id(self))

    def watched(data):
        body = Body(data)
        alive.append(id(body))
        return body

    async def read(*arguments):
        return watched(await read_body(*arguments))

    decode = vision.decode
    monkeypatch.setattr("app.api.dialects.inference_v2.infer.read_body", read)
    monkeypatch.setattr(vision, "decode", lambda data, limits: decode(watched(data), limits))
    array = {"datatype": "UINT8", "shape": [1, 32, 32, 3]} if len(tail) == 3072 else {}
    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            post(client, request(size=len(tail), **array), tail)
        client.get("/livez")  # the last request has finished
        assert alive == []
    finally:
        gc.enable()


def test_json_reserves_the_memory_that_reading_it_takes(make_bundle, serve, photo, until):
    make_bundle()
    tail = prefixed(photo("red").ljust(30_000, b"\0"))
    text = json.dumps(request([base64.b64encode(tail[4:]).decode()]))
    with serve(max_buffered_bytes=100_000, max_body_bytes=90_000) as client:
        buffer = client.app.state.service.body_budget
        assert "binary data" in error(post(client, text.encode()), 413)
        assert top_index(post(client, request(size=len(tail)), tail)) == 0
        buffer.total_bytes = 3 * len(text)
        assert top_index(post(client, text.encode())) == 0
        with buffer.hold() as held:
            held.grow_to(1)
            assert "Try again later" in error(post(client, text.encode()), 429)
        until(lambda: buffer.held_bytes == 0)


def test_arrays_are_views_on_the_body():
    tail = np.arange(2 * 48, dtype=np.uint8).tobytes()
    text = json.dumps(request(size=96, datatype="UINT8", shape=[2, 4, 4, 3])).encode()
    inference = read_inference(text + tail, len(text), MODEL_INPUT)
    assert [photo.shape for photo in inference.photos] == [(4, 4, 3)] * 2
    for photo in inference.photos:
        assert not photo.flags.owndata
        assert not photo.flags.writeable
    assert b"".join(photo.tobytes() for photo in inference.photos) == tail


def test_a_long_array_is_converted_in_windows_without_loss():
    numbers = np.random.default_rng(0).integers(0, 256, (480, 480, 3)).tolist()
    text = json.dumps({"a": 1, "data": numbers, "b": {"data": [[1], [2, 3]], "c": [4, 5]}})
    document = read_document(text.encode())
    assert document["data"] == np.array(numbers, np.uint8).tobytes()
    assert document["b"]["data"] == b"\1\2\3"
    assert document["b"]["c"] == [4, 5]


def test_only_arrays_of_whole_numbers_become_bytes():
    for data in (["1"], [1, "2"], [[1], [2.5]], [-1], [None], {"data": "1"}, "[1]", None):
        document = read_document(json.dumps({"data": data}).encode())
        assert document == {"data": data}


@pytest.mark.parametrize(
    "text",
    [
        b'{"data": [1 2]}',
        b'{"data": [1[2]]}',
        b'{"data": [1,,2]}',
        b'{"data": [01]}',
        b'{"data": [1',
        b'{"data": [[1]}',
        b'{"data": [1]]}',
        b'{"data": [' + b"1" * 300_000 + b"]}",
        b'{"data": [' + b" " * 300_000 + b"]}",
        b'{"data":[1],' * 50_000,
        b'"data":' * 50_000,
    ],
    ids=lambda text: text[:20],
)
def test_invalid_json_around_numbers_is_rejected(text):
    with pytest.raises(HubelError):
        read_document(text)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
shapes = st.lists(
    st.sampled_from([-1, 0, 1, 2, 3, 4, 480, 2**31, 2**64]) | st.integers(), max_size=5
)
parameters = anything | st.fixed_dictionaries(
    {},
    optional={
        "binary_data_size": st.integers(-1, 120) | anything,
        "classification": st.integers(-1, 4) | anything,
        "binary_data": anything,
    },
)
tensors = st.fixed_dictionaries(
    {"name": st.sampled_from(["image", "probabilities"]) | anything},
    optional={
        "datatype": st.sampled_from(["BYTES", "UINT8", "FP32"]) | anything,
        "shape": st.sampled_from([[1], [2], [2, 1], [1, 4, 4, 3], [2, 4, 4, 3]])
        | shapes
        | anything,
        "parameters": parameters,
        "data": anything | st.lists(st.integers(0, 256), max_size=50),
    },
)
requests = anything | st.fixed_dictionaries(
    {"inputs": st.lists(tensors, min_size=1, max_size=2) | anything},
    optional={
        "id": anything,
        "parameters": parameters,
        "outputs": st.lists(tensors, max_size=2) | anything,
    },
)
tails = st.one_of(
    st.binary(max_size=120),
    st.lists(st.binary(max_size=20), max_size=3).map(lambda contents: prefixed(*contents)),
    st.sampled_from([bytes(48), bytes(96)]),
)


def check(body, length):
    try:
        inference = read_inference(body, json_bytes(length, len(body)), MODEL_INPUT)
    except HubelError as err:
        message = str(err)
        message.encode()
    else:
        message = "."
        assert 1 <= len(inference.photos) <= MODEL_INPUT.max_images
        for photo in inference.photos:
            assert isinstance(photo, bytes) or photo.shape in {(4, 4, 3), (480, 480, 3)}
    assert message.endswith(".")
    assert len(message) < 500


@settings(max_examples=300, deadline=None)
@given(value=requests, tail=tails, shift=st.sampled_from([0, 0, 0, 0, 1, -1, 50]))
def test_any_json_raises_only_hubels_errors(value, tail, shift):
    text = json.dumps(value).encode()
    check(text + tail, str(max(0, len(text) + shift)))


@settings(max_examples=150, deadline=None)
@given(body=st.binary(max_size=200), length=st.none() | st.integers(0, 250).map(str) | st.text())
def test_any_bytes_raise_only_hubels_errors(body, length):
    check(body, length)


@settings(max_examples=150, deadline=None)
@given(contents=st.lists(st.binary(max_size=30), min_size=1, max_size=3), data=st.data())
def test_prefixed_elements_are_split_as_they_were_joined(contents, data):
    tail = prefixed(*contents)
    column = data.draw(st.booleans())
    shape = [len(contents), 1] if column else [len(contents)]
    text = json.dumps(request(size=len(tail), shape=shape)).encode()
    assert read_inference(text + tail, len(text), MODEL_INPUT).photos == contents


@settings(max_examples=40, deadline=None)
@given(value=requests, tail=tails)
def test_no_request_leads_to_a_500(client, value, tail):
    response = post(client, value, tail)
    if response.status_code != 200:
        error(response, response.status_code)
    assert response.status_code in {200, 400, 413, 415, 422}


def test_a_canvas_is_cropped_and_resized_like_a_file(client, photo):
    """A canvas is not used as the model's input, although both are arrays."""
    data = photo((200, 90, 30), (700, 500))
    canvas = vision.decode(data, vision.Limits(10**8, 10**8)).canvas
    tail = canvas.tobytes()
    as_array = request(size=len(tail), datatype="UINT8", shape=[1, 480, 480, 3])
    as_file = request(size=len(prefixed(data)))
    responses = post(client, as_array, tail), post(client, as_file, prefixed(data))
    assert responses[0].json() == responses[1].json()
