"""The page Teach in headless Chromium with a fake webcam; jobs are a stand-in, the rest is real."""

import io
import re
import zipfile

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.teach_jobs import EMBEDDING, JobsStandIn, job, result
from tests.conftest import blobs

pytestmark = pytest.mark.browser

KEY = "secret"
SIZES = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}
ALLOWED = {"X-API-Key": KEY}


@pytest.fixture(scope="module")
def teach_client(tmp_path_factory, module_bundle_maker, module_serve):
    """A client of a service with two versions of the tiny model, and a folder for photos."""
    below = tmp_path_factory.mktemp("teach")
    make = module_bundle_maker(below)
    make(folder=below / "models/colours/1")
    make(folder=below / "models/colours/2", version=2, sharpness=9.0)
    (below / "data").mkdir()
    with module_serve(below, data_dir=below / "data", admin_key=KEY) as client:
        client.headers.update(ALLOWED)
        client.data = below / "data"
        yield client


def photos(hue, number, start=0):
    """Return files for a page: photos of blobs, each another one."""
    files = []
    for seed in range(start, start + number):
        buffer = io.BytesIO()
        blobs(hue, seed).save(buffer, "JPEG")
        files.append(
            {"name": f"{hue}{seed}.jpg", "mimeType": "image/jpeg", "buffer": buffer.getvalue()}
        )
    return files


@pytest.fixture
def open_teach(teach_client, open_page):
    """Open the page with the key, and a stand-in for jobs; earlier photos are deleted."""
    for dataset in teach_client.get("/api/v1/datasets").json()["datasets"]:
        teach_client.delete(f"/api/v1/datasets/{dataset['name']}")

    def start(jobs=(), fill=0, **options):
        if fill:
            send(teach_client, "red", photos("red", fill))
            send(teach_client, "green", photos("green", fill))
        page = open_page(teach_client, "about:blank", **options)
        page.jobs = JobsStandIn(page, jobs)
        page.goto(f"{teach_client.base_url}/teach#key={KEY}")
        expect(page.locator(".class-card")).to_have_count(2)
        return page

    return start


def send(client, label, files, name="my-model"):
    parts = [("file", (file["name"], file["buffer"], "image/jpeg")) for file in files]
    response = client.post(f"/api/v1/datasets/{name}/photos", data={"label": label}, files=parts)
    assert response.status_code == 200, response.text


def labels_of(client, name="my-model"):
    """Return the photos of each label of a dataset."""
    told = client.get(f"/api/v1/datasets/{name}").json()
    return {each["label"]: each["photos"] for each in told["labels"]}


def card(page, at):
    return page.locator(".class-card").nth(at)


def test_photos_come_by_files_and_webcam_and_are_named_and_deleted(open_teach, teach_client):
    page = open_teach()
    assert "#" not in page.url  # the key is taken out of the address
    card(page, 0).locator("input[type=file]").set_input_files(photos("red", 3))
    expect(card(page, 0).locator(".thumb img")).to_have_count(3)
    assert labels_of(teach_client) == {"Class 1": 3}

    name = card(page, 0).locator(".class-name")
    name.fill("red")
    name.press("Enter")
    expect(card(page, 0).get_by_role("button", name="Remove red")).to_be_visible()

    card(page, 1).get_by_role("button", name="Webcam").click()
    hold = card(page, 1).locator(".hold")
    expect(hold).to_be_focused()
    page.keyboard.down(" ")
    expect(card(page, 1).locator(".count")).to_contain_text(re.compile("[2-9] photos|adding [2-9]"))
    page.keyboard.up(" ")
    page.evaluate(
        "track = document.querySelector('.webcam:not([hidden]) video').srcObject.getTracks()[0]"
    )
    expect(card(page, 1).locator(".count")).to_have_text(re.compile(r"^\d+ photos$"))
    taken = labels_of(teach_client)["Class 2"]
    assert taken >= 2
    (shot, *_) = teach_client.get(
        "/api/v1/datasets/my-model/photos", params={"label": "Class 2"}
    ).json()["photos"]
    assert (shot["format"], shot["width"] >= 640) == ("jpeg", True)

    card(page, 0).locator(".thumb").first.click()
    card(page, 0).get_by_role("button", name="Delete 1 photo").click()
    expect(card(page, 0).locator(".thumb")).to_have_count(2)
    card(page, 1).get_by_role("button", name="Remove Class 2").click()
    card(page, 1).get_by_role("button", name=f"Remove {taken} photos").click()
    expect(page.locator(".class-card")).to_have_count(1)
    expect(page.locator("#train-now")).to_be_disabled()
    assert labels_of(teach_client) == {"red": 2}
    assert page.evaluate("track.readyState") == "ended"


def test_photos_wait_after_an_error_and_a_training_waits_for_them(open_teach, teach_client):
    page = open_teach(may_log_errors=True)
    failure = {"code": "store_failed", "detail": "The disk is full."}
    page.route("**/photos", lambda route: route.fulfill(status=503, json=failure))
    for at, hue in enumerate(("red", "green")):
        card(page, at).locator("input[type=file]").set_input_files(photos(hue, 5))
    page.locator("#train-now").click()
    expect(page.locator("#problem")).to_contain_text("can't be kept")
    expect(card(page, 1).locator(".count")).to_have_text("No photos yet · adding 5")
    expect(page.locator("#train-now")).to_be_enabled()
    assert page.jobs.requests == []
    page.unroute("**/photos")
    page.evaluate("for (const _ of '12') document.getElementById('train-form').requestSubmit()")
    expect(page.locator("#job-step")).to_have_text("Waiting for its turn")
    assert labels_of(teach_client) == {"Class 1": 5, "Class 2": 5}
    assert len(page.jobs.requests) == 1

    page.locator("#name").fill("Other Name")
    page.locator("#name").press("Enter")
    expect(page.locator("#model-name")).to_have_value("other-name")
    expect(page.locator("#name")).to_have_value("other-name")


def test_refused_photos_are_dropped_and_the_others_are_sent(open_teach, teach_client):
    page = open_teach(may_log_errors=True)
    refusal = {"code": "too_many_bytes", "detail": "Too large."}
    page.route("**/photos", lambda route: route.fulfill(status=413, json=refusal), times=1)
    card(page, 0).locator("input[type=file]").set_input_files(photos("red", 14))
    expect(card(page, 0).locator(".count")).to_have_text("2 photos")
    expect(card(page, 0).locator(".card-told")).to_contain_text("12 photos weren't added.")
    assert labels_of(teach_client) == {"Class 1": 2}


def test_photos_that_were_just_sent_are_renamed_and_removed_too(open_teach, teach_client):
    page = open_teach()
    for at, (label, hue) in enumerate((("Red", "red"), ("green", "green"))):
        card(page, at).locator("input[type=file]").set_input_files(photos(hue, 3))
        name = card(page, at).locator(".class-name")
        name.fill(label)
        name.press("Enter")
        expect(card(page, at).get_by_role("button", name=f"Remove {label}")).to_be_visible()
    assert labels_of(teach_client) == {"Red": 3, "green": 3}
    name.fill("RED")
    name.press("Enter")
    expect(card(page, 1).locator(".card-told")).to_have_text("There is a class Red already.")
    card(page, 1).locator("input[type=file]").set_input_files(photos("green", 2, start=3))
    card(page, 1).get_by_role("button", name="Remove green").click()
    card(page, 1).locator(".danger").click()
    expect(page.locator(".class-card")).to_have_count(1)
    assert labels_of(teach_client) == {"Red": 3}


def test_photos_stay_selected_after_a_failed_deletion(open_teach):
    page = open_teach(fill=5, may_log_errors=True)
    failure = {"code": "store_failed", "detail": "The disk is full."}
    page.route("**/photos?id=*", lambda route: route.fulfill(status=503, json=failure), times=1)
    card(page, 0).locator(".thumb").first.click()
    delete = card(page, 0).get_by_role("button", name="Delete 1 photo")
    delete.click()
    expect(page.locator("#problem")).to_be_visible()
    delete.click()
    expect(card(page, 0).locator(".thumb")).to_have_count(4)
    expect(delete).to_have_count(0)


def test_what_may_be_wrong_with_photos_is_said(open_teach, teach_client):
    page = open_teach(fill=5)
    (shared,) = photos("blue", 1)
    card(page, 0).locator("input[type=file]").set_input_files([shared])
    expect(card(page, 0).locator(".count")).to_have_text("6 photos")
    card(page, 1).locator("input[type=file]").set_input_files(
        [shared, {"name": "no.jpg", "mimeType": "image/jpeg", "buffer": b"no photo"}]
    )
    expect(card(page, 1).locator(".card-told")).to_contain_text("1 file can't be used")
    warning = page.locator("#warnings li").first
    expect(warning).to_contain_text("in two classes")
    warning.get_by_role("button", name="belongs to red").click()
    expect(page.locator("#warnings")).to_be_empty()
    assert labels_of(teach_client) == {"green": 5, "red": 6}
    expect(page.locator("#train-told")).to_have_text("11 photos in 2 classes.")


def test_dropped_folders_and_zips_become_classes(open_teach, teach_client):
    page = open_teach()
    page.evaluate(
        """(files) => {
          const transfer = new DataTransfer();
          const entries = files.map(([folder, name, bytes]) => ({
            isFile: false, name: folder, createReader: () => {
              const some = [{ isFile: true, name, file: (done) =>
                done(new File([new Uint8Array(bytes)], name, { type: "image/jpeg" })) }];
              return { readEntries: (done) => done(some.splice(0)) };
            },
          }));
          const event = new DragEvent("drop", { bubbles: true, cancelable: true });
          const items = entries.map((entry) => ({ kind: "file", webkitGetAsEntry: () => entry }));
          Object.defineProperty(event, "dataTransfer", { value: { types: ["Files"], items } });
          document.body.dispatchEvent(event);
        }""",
        [[hue, f["name"], list(f["buffer"])] for hue in ("red", "green") for f in photos(hue, 1)],
    )
    expect(page.locator(".class-name")).to_have_count(2)
    expect(page.locator(".thumb img")).to_have_count(2)
    assert labels_of(teach_client) == {"green": 1, "red": 1}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for file in photos("blue", 2):
            packed.writestr(f"things/blue/{file['name']}", file["buffer"])
    archive = {"name": "a.zip", "mimeType": "application/zip", "buffer": buffer.getvalue()}
    page.locator("#zip").set_input_files(archive)
    expect(page.locator(".class-name")).to_have_count(3)
    assert labels_of(teach_client) == {"blue": 2, "green": 1, "red": 1}


def test_a_training_is_followed_and_its_version_tried_used_and_rolled_back(
    open_teach, teach_client
):
    page = open_teach(fill=5)
    page.jobs.states = [{"state": "running", "progress": EMBEDDING}]
    page.locator("#train summary").click()
    page.locator("#model-name").fill("colours")
    page.locator("#train-now").click()
    expect(page.locator("#job-step")).to_have_text("Embedding photos")
    expect(page.locator("#job-detail")).to_have_text("3 of 12")
    expect(page.locator("#job-left")).to_have_text("About 8 s left")
    assert page.jobs.requests == [
        {
            "train": {
                "dataset": "my-model",
                "captures": False,
                "model": "colours",
                "recipe": "head",
                "options": {"quality": "fast"},
            },
            "promote": None,
        }
    ]
    page.jobs.states = [{"state": "done", "result": result()}]
    expect(page.locator("#result .figure")).to_contain_text("95 %")
    expect(page.locator("#result")).to_contain_text("Not worse than version 1")
    expect(page.locator("#try-title")).to_be_focused()

    page.locator("#try-file").set_input_files(photos("red", 1))
    expect(page.locator("#try-verdict")).to_contain_text("red")
    page.locator("#try-camera").click()
    expect(page.locator("#try-verdict")).to_contain_text("green")  # the fake webcam is green
    page.locator("#try-camera").click()
    page.locator("#try-classes").get_by_role("button", name="green").click()
    expect(card(page, 0).locator(".count")).to_have_text("6 photos")

    expect(page.locator("#use-told")).to_contain_text("Version 2 of colours serves")
    page.get_by_role("button", name="Roll back from version 2").click()
    expect(page.locator("#use-told")).to_contain_text("Version 1 of colours serves")
    page.get_by_role("button", name="Use version 2").click()
    expect(page.locator("#use-told")).to_contain_text("Version 2 of colours serves")
    assert teach_client.get("/api/v1/models").json()["default"] == "colours"


def test_a_training_of_another_browser_is_shown_cancelled_and_its_end_is_said(open_teach):
    page = open_teach([job(state="running", progress=EMBEDDING)], fill=1)
    expect(page.locator("#job-step")).to_have_text("Embedding photos")
    page.locator("#cancel").click()
    expect(page.locator("#result")).to_contain_text("cancelled")
    assert page.jobs.cancelled == ["j1"]
    problem = {"code": "bad_input", "detail": "Two photos differ."}
    page.jobs.jobs = [job(state="failed", problem=problem)]
    page.reload()
    expect(page.locator("#result")).to_contain_text("Two photos differ.")
    page.jobs.jobs = [job(state="interrupted", can_resume=True)]
    page.reload()
    expect(page.get_by_role("button", name="Go on with it")).to_be_visible()


def test_a_model_from_elsewhere_is_asked_for_what_its_file_does_not_say(open_teach):
    page = open_teach()
    page.route("**/api/v1/uploads", lambda route: route.fulfill(json=ONNX))
    page.locator("#bring > summary").click()
    page.locator("#bring input[type=file]").set_input_files(
        {"name": "My Net.onnx", "mimeType": "application/octet-stream", "buffer": b"onnx"}
    )
    form = page.locator("#bring form")
    expect(form).to_contain_text("and gives y (N")
    form.get_by_label("Labels, one a line").fill("red\ngreen")
    form.get_by_label("How its training").select_option("torchvision")
    form.get_by_role("button", name="Bring it in").click()
    expect(form).to_contain_text("The model has 3 outputs, and there are 2 labels.")
    form.get_by_label("Labels, one a line").fill("red\ngreen\nblue")
    page.jobs.states = [{"state": "done", "result": result(comparison=None)}]
    form.get_by_role("button", name="Bring it in").click()
    expect(page.locator("#result .figure")).to_contain_text("95 %")
    imported = {"upload": "u1", "model": "my-net", "labels": ["red", "green", "blue"]}
    assert page.jobs.requests == [{"import": {**imported, "preset": "torchvision"}}]


def test_a_bundle_is_brought_in(open_teach, teach_client):
    page = open_teach()
    bundle = teach_client.get("/api/v1/models/colours/versions/2/bundle.zip").content
    with zipfile.ZipFile(io.BytesIO(bundle)) as packed:
        assert any(name.endswith("bundle.json") for name in packed.namelist())
    page.locator("#bring > summary").click()
    page.route("**/api/v1/uploads", lambda route: route.fulfill(json=UPLOAD))
    archive = {"name": "b.zip", "mimeType": "application/zip", "buffer": bundle}
    page.locator("#bring input[type=file]").set_input_files(archive)
    expect(page.locator("#bring")).to_contain_text("Version 2 of colours is here.")
    expect(page.locator("#use-told")).to_contain_text("of colours serves")


ONNX = {
    "kind": "onnx",
    "id": "u1",
    "bytes": 4,
    "inputs": [{"name": "x", "type": "float32", "shape": ["N", 3, 224, 224]}],
    "outputs": [{"name": "y", "type": "float32", "shape": ["N", 3]}],
    "labels": 3,
    "asks": ["labels", "normalisation"],
    "model": None,
    "version": None,
    "skipped": [],
}
UPLOAD = {"kind": "bundle", "id": None, "bytes": 4, "model": "colours", "version": 2}
WEBCAMS = {
    "Allow it": "getUserMedia: () => Promise.reject(new DOMException('', 'NotAllowedError'))",
    "No webcam": "getUserMedia: () => Promise.reject(new DOMException('', 'NotFoundError'))",
    "only over HTTPS": "",
}


def test_a_webcam_that_cannot_be_used_says_why(open_teach):
    page = open_teach()
    for text, webcam in WEBCAMS.items():
        page.evaluate(
            "Object.defineProperty(navigator, 'mediaDevices', "
            f"{{ value: {{{webcam}}}, configurable: true }})"
        )
        card(page, 0).get_by_role("button", name="Webcam").click()
        expect(card(page, 0).locator(".card-told")).to_contain_text(text)
        expect(card(page, 0).locator("video")).to_be_hidden()


def test_a_service_without_store_or_key_says_what_to_set(textbook_client, teach_client, open_page):
    page = open_page(textbook_client, "/teach", may_log_errors=True)
    expect(page.locator("[data-state]:visible")).to_have_count(1)
    expect(page.locator("[data-state]:visible code").first).to_contain_text("HUBEL_")
    page = open_page(teach_client, "about:blank", may_log_errors=True)
    JobsStandIn(page)
    page.goto(f"{teach_client.base_url}/teach")
    expect(page.locator("#key-form label")).to_contain_text("scope admin")
    page.locator("#key").fill(KEY)
    page.locator("#key-form button").click()
    expect(page.locator("#workshop")).to_be_visible()


def test_a_key_in_the_address_is_taken_by_a_page_that_is_open(teach_client, open_page):
    page = open_page(teach_client, "about:blank", may_log_errors=True)
    JobsStandIn(page)
    refusal = {"code": "forbidden", "detail": "The key lacks the scope admin."}
    page.route("**/datasets", lambda route: route.fulfill(status=403, json=refusal), times=1)
    page.goto(f"{teach_client.base_url}/teach#key=100%")
    expect(page.locator("#key-told")).to_contain_text("doesn't allow teaching")
    page.evaluate(f"location.hash = 'key={KEY}'")
    expect(page.locator("#workshop")).to_be_visible()
    expect(page.locator("#key-form")).to_be_hidden()
    assert "#" not in page.url


@pytest.mark.parametrize(("theme", "size"), [("light", "phone"), ("dark", "desktop")])
def test_axe_reports_nothing(open_teach, theme, size):
    page = open_teach(
        [job(state="done", result=result())], fill=5, color_scheme=theme, viewport=SIZES[size]
    )
    expect(page.locator(".thumb img")).to_have_count(10)
    page.locator(".thumb").first.click()
    card(page, 0).get_by_role("button", name="Webcam").click()
    expect(card(page, 0).locator(".hold")).to_be_enabled()
    page.locator("#try-file").set_input_files(photos("red", 1))
    expect(page.locator("#try-bars li").first).to_be_visible()
    for summary in page.locator("#train summary, #bring > summary").all():
        summary.click()
    found = Axe().run(page)
    assert found.response["violations"] == [], found.generate_report()
    assert page.locator(".bar").bounding_box()["height"] < 80  # one line
    width = page.evaluate("document.documentElement.scrollWidth")
    assert width <= SIZES[size]["width"]


def test_the_page_is_strict_and_may_use_the_camera_alone(textbook_client):
    response = textbook_client.get("/teach")
    assert (
        response.headers["content-security-policy"]
        == textbook_client.get("/").headers["content-security-policy"]
    )
    assert response.headers["permissions-policy"] == "camera=(self), microphone=(), geolocation=()"
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=", response.text)
