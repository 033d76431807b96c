"""Open Inference Protocol v2 with tritonclient: every form of request, and the responses."""

import asyncio
import base64
import dataclasses
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tritonclient.http as triton
import tritonclient.http.aio as triton_aio
from tritonclient.utils import InferenceServerException

from app import vision
from app.bundle import load

COLOURS = ("red", "green", "blue")
LIMITS = vision.Limits(10**8, 10**8)


def connected(client, **options):
    return triton.InferenceServerClient(f"127.0.0.1:{client.base_url.port}", **options)


@pytest.fixture
def speaker(client):
    with connected(client) as speaker:
        yield speaker


def classified(client, model, photos):
    """Return the probabilities of /api/v1/classify: (n, K)."""
    rows = []
    for data in photos:
        response = client.post(
            "/api/v1/classify", params={"model": model, "top_k": 10**6}, content=data
        )
        predictions = sorted(response.json()["predictions"], key=lambda p: p["index"])
        rows.append([p["probability"] for p in predictions])
    return np.array(rows)


def encoded(photos, tail=()):
    array = np.empty(len(photos), object)
    array[:] = photos
    return array.reshape(len(photos), *tail)


def canvases(photos):
    return np.stack([vision.decode(data, LIMITS).canvas for data in photos])


def resized(photos, spec):
    return np.stack([vision.resize(vision.decode(data, LIMITS), spec) for data in photos])


def tensor(array, *, binary=True, datatype=None):
    datatype = datatype or ("UINT8" if array.dtype == np.uint8 else "BYTES")
    made = triton.InferInput("image", list(array.shape), datatype)
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def output(**parameters):
    return triton.InferRequestedOutput("probabilities", **parameters)


FORMS = {
    "BYTES [n]": lambda photos, spec: tensor(encoded(photos)),
    "BYTES [n, 1]": lambda photos, spec: tensor(encoded(photos, (1,))),
    "BYTES [n], JSON": lambda photos, spec: tensor(
        encoded([base64.b64encode(data) for data in photos]), binary=False
    ),
    "canvas": lambda photos, spec: tensor(canvases(photos)),
    "canvas, JSON": lambda photos, spec: tensor(canvases(photos), binary=False),
    "resized": lambda photos, spec: tensor(resized(photos, spec)),
    "resized, JSON": lambda photos, spec: tensor(resized(photos, spec), binary=False),
}
OUTPUTS = {
    "all": None,
    "binary": [output(binary_data=True)],
    "JSON": [output(binary_data=False)],
}


@pytest.mark.parametrize("outputs", OUTPUTS.values(), ids=OUTPUTS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_form_gets_the_probabilities_of_classify(client, speaker, photo, form, outputs):
    photos = [photo("red"), photo((200, 120, 90), (600, 400))]
    spec = client.app.state.service.registry.resolve().manifest.input
    response = speaker.infer("colours", [form(photos, spec)], outputs=outputs, request_id="a-7")
    probabilities = response.as_numpy("probabilities")
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (2, 3))
    assert np.abs(probabilities - classified(client, "colours", photos)).max() <= 1e-6
    message = response.get_response()
    assert (message["model_name"], message["model_version"], message["id"]) == (
        "colours",
        "1",
        "a-7",
    )


def test_the_same_numbers_come_as_json_and_as_bytes(speaker, photo):
    inputs = [tensor(encoded([photo((90, 100, 120))]))]
    as_json, as_bytes = (
        speaker.infer("colours", inputs, outputs=[output(binary_data=binary)]).as_numpy(
            "probabilities"
        )
        for binary in (False, True)
    )
    assert np.array_equal(as_json, as_bytes)


@pytest.mark.parametrize("binary", [True, False])
@pytest.mark.parametrize(("k", "count"), [(1, 1), (2, 2), (99, 3)])
def test_the_classification_extension_gives_score_index_and_label(
    client, speaker, photo, k, count, binary
):
    photos = [photo("green"), photo((20, 90, 180))]
    outputs = [output(class_count=k, binary_data=binary)]
    response = speaker.infer("colours", [tensor(encoded(photos))], outputs=outputs)
    rows = response.as_numpy("probabilities")
    assert rows.shape == (2, count)
    for row, data in zip(rows, photos, strict=True):
        body = client.post("/api/v1/classify", params={"top_k": k}, content=data).json()
        texts = [text.decode() if isinstance(text, bytes) else text for text in row]
        assert texts == [
            f"{p['probability']:.6f}:{p['index']}:{p['label']}" for p in body["predictions"]
        ]


def test_labels_with_colons_and_beyond_ascii_are_complete(make_bundle, serve, photo):
    make_bundle(labels=("rot: hell", "grün", "青"))
    with serve() as client, connected(client) as speaker:
        inputs = [tensor(encoded([photo("green")]))]
        response = speaker.infer("colours", inputs, outputs=[output(class_count=1)])
        assert response.as_numpy("probabilities")[0, 0].decode().split(":", 2)[2] == "grün"


def test_parallel_requests_of_one_client_each_get_their_own_response(client, photo):
    with connected(client, concurrency=10) as speaker:
        colours = [(25 * i, 255 - 25 * i, 100) for i in range(10)]
        requests = [
            speaker.async_infer("colours", [tensor(encoded([photo(c)]))], request_id=str(i))
            for i, c in enumerate(colours)
        ]
        responses = [request.get_result() for request in requests]
    assert [response.get_response()["id"] for response in responses] == [str(i) for i in range(10)]
    rows = np.concatenate([response.as_numpy("probabilities") for response in responses])
    assert np.abs(rows - classified(client, "colours", [photo(c) for c in colours])).max() <= 1e-6


def test_ten_threads_with_different_forms_share_a_batch(client, photo):
    photos = [photo(colour) for colour in COLOURS]
    spec = client.app.state.service.registry.resolve().manifest.input
    expected = classified(client, "colours", photos)

    def ask(number):
        form = list(FORMS.values())[number % len(FORMS)]
        with connected(client) as speaker:
            response = speaker.infer("colours", [form(photos, spec)])
        return np.abs(response.as_numpy("probabilities") - expected).max()

    with ThreadPoolExecutor(10) as callers:
        assert max(callers.map(ask, range(10))) <= 1e-6


def test_the_async_client_gets_the_same_probabilities(client, photo):
    photos = [photo(colour) for colour in COLOURS]

    async def ask():
        url = f"127.0.0.1:{client.base_url.port}"
        async with triton_aio.InferenceServerClient(url) as speaker:
            assert await speaker.is_server_ready()
            assert await speaker.is_model_ready("colours")
            inputs = [tensor(encoded(photos))]
            responses = await asyncio.gather(*(speaker.infer("colours", inputs) for _ in range(10)))
            with pytest.raises(InferenceServerException, match="There is no model 'wasps'"):
                await speaker.infer("wasps", inputs)
            return responses

    expected = classified(client, "colours", photos)
    for response in asyncio.run(ask()):
        assert np.abs(response.as_numpy("probabilities") - expected).max() <= 1e-6


def test_golden_photos_get_the_same_probabilities_in_every_form(serve, imagenet, monkeypatch):
    monkeypatch.setattr("app.runtime.discovery.BUILT_IN_MODELS", imagenet.parent)
    files = [photo.file for photo in load(imagenet).manifest.golden.photos][:3]
    photos = [(imagenet / file).read_bytes() for file in files]
    with serve(models=None) as client, connected(client) as speaker:
        expected = classified(client, "imagenet", photos)
        spec = client.app.state.service.registry.resolve().manifest.input
        of_its_size = [vision.decode(data, LIMITS).is_canvas for data in photos]
        assert of_its_size == [True, False, False]
        for name, form in FORMS.items():
            response = speaker.infer("imagenet", [form(photos, spec)])
            apart = np.abs(response.as_numpy("probabilities") - expected).max(axis=1)
            # a canvas is rounded; the resize of a photo of another size has no such rounding
            rounded = 0.05 if name.startswith("canvas") else 1e-6
            assert (apart <= np.where(of_its_size, 1e-6, rounded)).all(), name
        assert speaker.get_model_metadata("imagenet")["outputs"][0]["shape"] == [-1, 1000]


def rejection(speaker, inputs, model="colours", **options):
    with pytest.raises(InferenceServerException) as caught:
        speaker.infer(model, [inputs], **options)
    return int(caught.value.status()), caught.value.message()


def test_an_unknown_model_is_refused_with_the_known_ones(speaker, photo):
    status, text = rejection(speaker, tensor(encoded([photo("red")])), "wasps")
    assert status == 404
    assert text == "There is no model 'wasps'. Known models: colours."


def test_one_broken_image_fails_the_request_with_its_error(client, speaker, photo):
    broken = photo("red")[:300]
    status, text = rejection(speaker, tensor(encoded([photo("red"), broken, b"text"])))
    problem = client.post("/api/v1/classify", content=broken).json()
    assert (status, text) == (problem["status"], problem["detail"])


def test_an_unknown_output_is_rejected_with_the_known_one(speaker, photo):
    outputs = [triton.InferRequestedOutput("logits")]
    status, text = rejection(speaker, tensor(encoded([photo("red")])), outputs=outputs)
    assert (status, text) == (
        400,
        "There is no output 'logits'. The only output is 'probabilities'.",
    )


def test_a_full_queue_returns_429_with_its_error(client, speaker, photo, block):
    with block(client) as held:
        held.fill()
        status, text = rejection(speaker, tensor(encoded([photo("red")])))
        raw = client.post("/v2/models/colours/infer", content=b"{}")
    assert status == raw.status_code == 429
    assert "Try again later" in text
    assert int(raw.headers["retry-after"]) >= 1
    held.empty()


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_a_compressed_body_is_rejected(speaker, photo, algorithm):
    inputs = tensor(encoded([photo("red")]))
    status, text = rejection(speaker, inputs, request_compression_algorithm=algorithm)
    assert status == 415
    assert algorithm in text


def test_a_request_for_a_compressed_response_gets_a_plain_one(speaker, photo):
    inputs = [tensor(encoded([photo("red")]))]
    response = speaker.infer("colours", inputs, response_compression_algorithm="gzip")
    assert response.as_numpy("probabilities").shape == (1, 3)


def test_unsupported_parameters_are_ignored(speaker, photo):
    inputs = [tensor(encoded([photo("red")]))]
    response = speaker.infer(
        "colours", inputs, priority=3, timeout=100, sequence_id=5, parameters={"mood": "good"}
    )
    assert response.as_numpy("probabilities").shape == (1, 3)


def test_shared_memory_is_rejected(speaker):
    inputs = triton.InferInput("image", [1, 480, 480, 3], "UINT8")
    inputs.set_shared_memory("region", 691_200)
    status, text = rejection(speaker, inputs)
    assert (status, "Shared memory" in text) == (400, True)


def test_the_log_names_model_version_and_images(client, speaker, photo, caplog):
    with caplog.at_level("INFO", "hubel.request"):
        speaker.infer("colours", [tensor(encoded([photo("red"), photo("blue")]))])
        client.get("/livez")
    fields = next(r.fields for r in caplog.records if r.fields["route"].endswith("/infer"))
    assert (fields["model"], fields["version"], fields["images"]) == ("colours", 1, 2)
    assert fields["run_ms"] > 0


def test_more_images_than_are_allowed_are_rejected(client, speaker, photo):
    state = client.app.state
    before = state.service
    limits = dataclasses.replace(before.limits, max_files=2)
    state.service = dataclasses.replace(before, limits=limits)
    try:
        status, text = rejection(speaker, tensor(encoded([photo("red")] * 3)))
    finally:
        state.service = before
    assert (status, text) == (413, "The input has 3 images; 2 are allowed. Send fewer at once.")
