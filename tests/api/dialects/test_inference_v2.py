"""Open Inference Protocol v2, judged by tritonclient: every way to ask, and what comes back."""

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
    """What /api/v1/classify says: (n, K)."""
    rows = []
    for data in photos:
        answer = client.post(
            "/api/v1/classify", params={"model": model, "top_k": 10**6}, content=data
        )
        predictions = sorted(answer.json()["predictions"], key=lambda p: p["index"])
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
def test_every_form_is_answered_as_classify_answers(client, speaker, photo, form, outputs):
    photos = [photo("red"), photo((200, 120, 90), (600, 400))]
    spec = client.app.state.service.registry.resolve().manifest.input
    answer = speaker.infer("colours", [form(photos, spec)], outputs=outputs, request_id="a-7")
    probabilities = answer.as_numpy("probabilities")
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (2, 3))
    assert np.abs(probabilities - classified(client, "colours", photos)).max() <= 1e-6
    told = answer.get_response()
    assert (told["model_name"], told["model_version"], told["id"]) == ("colours", "1", "a-7")


def test_the_same_numbers_come_as_json_and_as_bytes(speaker, photo):
    given = [tensor(encoded([photo((90, 100, 120))]))]
    as_json, as_bytes = (
        speaker.infer("colours", given, outputs=[output(binary_data=binary)]).as_numpy(
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
    wanted = [output(class_count=k, binary_data=binary)]
    answer = speaker.infer("colours", [tensor(encoded(photos))], outputs=wanted)
    rows = answer.as_numpy("probabilities")
    assert rows.shape == (2, count)
    for row, data in zip(rows, photos, strict=True):
        body = client.post("/api/v1/classify", params={"top_k": k}, content=data).json()
        texts = [text.decode() if isinstance(text, bytes) else text for text in row]
        assert texts == [
            f"{p['probability']:.6f}:{p['index']}:{p['label']}" for p in body["predictions"]
        ]


def test_labels_beyond_ascii_and_with_colons_come_whole(make_bundle, serve, photo):
    make_bundle(labels=("rot: hell", "grün", "青"))
    with serve() as client, connected(client) as speaker:
        given = [tensor(encoded([photo("green")]))]
        answer = speaker.infer("colours", given, outputs=[output(class_count=1)])
        assert answer.as_numpy("probabilities")[0, 0].decode().split(":", 2)[2] == "grün"


def test_many_shared_requests_in_parallel_each_get_their_own_answer(client, photo):
    with connected(client, concurrency=10) as speaker:
        colours = [(25 * i, 255 - 25 * i, 100) for i in range(10)]
        requests = [
            speaker.async_infer("colours", [tensor(encoded([photo(c)]))], request_id=str(i))
            for i, c in enumerate(colours)
        ]
        answers = [request.get_result() for request in requests]
    assert [answer.get_response()["id"] for answer in answers] == [str(i) for i in range(10)]
    rows = np.concatenate([answer.as_numpy("probabilities") for answer in answers])
    assert np.abs(rows - classified(client, "colours", [photo(c) for c in colours])).max() <= 1e-6


def test_ten_threads_share_a_batch_of_forms(client, photo):
    photos = [photo(colour) for colour in COLOURS]
    spec = client.app.state.service.registry.resolve().manifest.input
    wanted = classified(client, "colours", photos)

    def ask(number):
        form = list(FORMS.values())[number % len(FORMS)]
        with connected(client) as speaker:
            answer = speaker.infer("colours", [form(photos, spec)])
        return np.abs(answer.as_numpy("probabilities") - wanted).max()

    with ThreadPoolExecutor(10) as callers:
        assert max(callers.map(ask, range(10))) <= 1e-6


def test_the_async_client_is_answered_alike(client, photo):
    photos = [photo(colour) for colour in COLOURS]

    async def ask():
        url = f"127.0.0.1:{client.base_url.port}"
        async with triton_aio.InferenceServerClient(url) as speaker:
            assert await speaker.is_server_ready()
            assert await speaker.is_model_ready("colours")
            given = [tensor(encoded(photos))]
            answers = await asyncio.gather(*(speaker.infer("colours", given) for _ in range(10)))
            with pytest.raises(InferenceServerException, match="There is no model 'wasps'"):
                await speaker.infer("wasps", given)
            return answers

    wanted = classified(client, "colours", photos)
    for answer in asyncio.run(ask()):
        assert np.abs(answer.as_numpy("probabilities") - wanted).max() <= 1e-6


def test_the_default_model_answers_its_golden_photos_alike_in_every_form(
    serve, imagenet, monkeypatch
):
    monkeypatch.setattr("app.runtime.discovery.BUILT_IN_MODELS", imagenet.parent)
    files = [photo.file for photo in load(imagenet).manifest.golden.photos][:3]
    photos = [(imagenet / file).read_bytes() for file in files]
    with serve(models=None) as client, connected(client) as speaker:
        wanted = classified(client, "imagenet", photos)
        spec = client.app.state.service.registry.resolve().manifest.input
        of_its_size = [vision.decode(data, LIMITS).is_canvas for data in photos]
        assert of_its_size == [True, False, False]
        for name, form in FORMS.items():
            answer = speaker.infer("imagenet", [form(photos, spec)])
            apart = np.abs(answer.as_numpy("probabilities") - wanted).max(axis=1)
            # a canvas is rounded, which a photo of another size isn't on its way over it
            rounded = 0.05 if name.startswith("canvas") else 1e-6
            assert (apart <= np.where(of_its_size, 1e-6, rounded)).all(), name
        assert speaker.get_model_metadata("imagenet")["outputs"][0]["shape"] == [-1, 1000]


def refused(speaker, given, model="colours", **options):
    with pytest.raises(InferenceServerException) as caught:
        speaker.infer(model, [given], **options)
    return int(caught.value.status()), caught.value.message()


def test_an_unknown_model_is_told_with_those_that_are_known(speaker, photo):
    status, text = refused(speaker, tensor(encoded([photo("red")])), "wasps")
    assert status == 404
    assert text == "There is no model 'wasps'. Known models: colours."


def test_one_broken_image_fails_the_request_with_its_own_sentence(client, speaker, photo):
    broken = photo("red")[:300]
    status, text = refused(speaker, tensor(encoded([photo("red"), broken, b"text"])))
    problem = client.post("/api/v1/classify", content=broken).json()
    assert (status, text) == (problem["status"], problem["detail"])


def test_an_unknown_output_is_told_with_the_one_there_is(speaker, photo):
    wanted = [triton.InferRequestedOutput("logits")]
    status, text = refused(speaker, tensor(encoded([photo("red")])), outputs=wanted)
    assert (status, text) == (
        400,
        "There is no output 'logits'. The only output is 'probabilities'.",
    )


def test_a_full_queue_answers_429_with_the_sentence(client, speaker, photo, block):
    with block(client) as held:
        held.fill()
        status, text = refused(speaker, tensor(encoded([photo("red")])))
        raw = client.post("/v2/models/colours/infer", content=b"{}")
    assert status == raw.status_code == 429
    assert "Try again later" in text
    assert int(raw.headers["retry-after"]) >= 1
    held.engine.service_s = 0.02


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_a_compressed_body_is_refused_with_a_sentence(speaker, photo, algorithm):
    given = tensor(encoded([photo("red")]))
    status, text = refused(speaker, given, request_compression_algorithm=algorithm)
    assert status == 415
    assert algorithm in text


def test_an_answer_may_be_asked_for_compressed_and_comes_plain(speaker, photo):
    given = [tensor(encoded([photo("red")]))]
    answer = speaker.infer("colours", given, response_compression_algorithm="gzip")
    assert answer.as_numpy("probabilities").shape == (1, 3)


def test_parameters_that_mean_nothing_here_are_passed_over(speaker, photo):
    given = [tensor(encoded([photo("red")]))]
    answer = speaker.infer(
        "colours", given, priority=3, timeout=100, sequence_id=5, parameters={"mood": "good"}
    )
    assert answer.as_numpy("probabilities").shape == (1, 3)


def test_shared_memory_is_refused_with_a_sentence(speaker):
    given = triton.InferInput("image", [1, 480, 480, 3], "UINT8")
    given.set_shared_memory("region", 691_200)
    status, text = refused(speaker, given)
    assert (status, "Shared memory" in text) == (400, True)


def test_the_log_names_model_version_and_images(client, speaker, photo, caplog):
    with caplog.at_level("INFO", "hubel.request"):
        speaker.infer("colours", [tensor(encoded([photo("red"), photo("blue")]))])
        client.get("/livez")
    fields = next(r.fields for r in caplog.records if r.fields["route"].endswith("/infer"))
    assert (fields["model"], fields["version"], fields["images"]) == ("colours", 1, 2)
    assert fields["run_ms"] > 0


def test_more_images_than_are_allowed_are_refused(client, speaker, photo):
    state = client.app.state
    before = state.service
    limits = dataclasses.replace(before.limits, max_files=2)
    state.service = dataclasses.replace(before, limits=limits)
    try:
        status, text = refused(speaker, tensor(encoded([photo("red")] * 3)))
    finally:
        state.service = before
    assert (status, text) == (413, "The input has 3 images; 2 are allowed. Send fewer at once.")
