"""GET /api/v1/models/{name}, its report and its filters.png."""

import io

import pytest
from PIL import Image

REPORT = "/api/v1/models/textbook/report/"


def test_the_report_is_served_and_can_run_no_script(textbook_client):
    response = textbook_client.get(REPORT)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    assert "It went well" in response.text
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "style-src 'unsafe-inline'" in policy
    assert "img-src 'self' data:" in policy


def test_the_url_without_its_last_slash_redirects_to_the_report(textbook_client):
    response = textbook_client.get(REPORT[:-1], follow_redirects=True)
    assert "It went well" in response.text


@pytest.mark.parametrize(
    "path",
    [
        "report/nothing.png",
        "report/../bundle.json",
        "report/..%2Fbundle.json",
        "report/%2e%2e/model.onnx",
        "report/..%2f..%2f..%2fetc/passwd",
        "report//etc/passwd",
        "report/index.html%00",
        "report/index.html/",
    ],
)
def test_only_the_reports_own_files_are_served(textbook_client, connect, path):
    raw = connect(textbook_client)  # httpx would remove the dots
    raw.send(f"GET /api/v1/models/textbook/{path} HTTP/1.1")
    status, _, body = raw.read_response()
    assert (status, body["code"]) in ((404, "not_in_model"), (404, "not_found"))


def test_a_file_in_the_report_folder_that_the_bundle_does_not_list_is_not_served(
    make_bundle, textbook, serve
):
    pages = {"index.html": b"<h1>1</h1>", "curve.svg": b"<svg/>"}
    folder = make_bundle(name="textbook", graph=textbook, report=pages).folder
    with serve() as client:
        (folder / "report/secret.txt").write_text("hush")
        assert client.get(REPORT + "secret.txt").status_code == 404
        assert client.get(REPORT + "curve.svg").headers["content-type"] == "image/svg+xml"
        assert client.get(REPORT + "index.html").text == "<h1>1</h1>"


def test_a_report_that_was_replaced_after_loading_is_not_served(make_bundle, textbook, serve):
    pages = {"index.html": b"<h1>1</h1>"}
    folder = make_bundle(name="textbook", graph=textbook, report=pages).folder
    with serve() as client:
        (folder / "report/index.html").write_bytes(b"<h1>2</h1>")
        response = client.get(REPORT + "index.html")
        assert (response.status_code, response.json()["code"]) == (503, "model_not_ready")
        (folder / "report/index.html").unlink()
        assert client.get(REPORT + "index.html").status_code == 503


def test_a_bundle_without_a_report_is_a_problem(textbook_client):
    response = textbook_client.get("/api/v1/models/colours/report/")
    assert (response.status_code, response.json()["code"]) == (404, "not_in_model")
    listed = textbook_client.get("/api/v1/models").json()["models"]
    assert {m["name"]: m["report"] for m in listed} == {"textbook": True, "colours": False}


def test_the_report_requires_the_key(make_bundle, textbook, serve):
    make_bundle(name="textbook", graph=textbook, report={"index.html": b"<h1>1</h1>"})
    with serve(api_key="hush") as client:
        assert client.get(REPORT).status_code == 401
        assert client.get(REPORT, headers={"X-API-Key": "hush"}).status_code == 200


def test_a_model_lists_its_layers(textbook_client):
    details = textbook_client.get("/api/v1/models/textbook").json()
    assert details["layers"][1] == {"name": "conv1.conv", "op": "Conv", "shape": [6, 28, 28]}
    assert details["layers"][-1] == {"name": "probabilities", "op": "Softmax", "shape": [3]}
    assert details["first_layer"] == "conv1"
    assert (details["explained_by"], details["embedding"]) == ("occlusion", False)
    assert details["filters"]["shape"] == [6, 3, 5, 5]


def test_filters_are_drawn_on_the_described_grid(textbook_client):
    grid = textbook_client.get("/api/v1/models/textbook").json()["filters"]["grid"]
    response = textbook_client.get("/api/v1/models/textbook/filters.png")
    picture = Image.open(io.BytesIO(response.content)).convert("RGBA")
    assert response.headers["content-type"] == "image/png"
    assert grid["columns"] * grid["rows"] >= 6
    step = grid["tile_width"] + grid["gap"]
    assert picture.size == (
        grid["gap"] + grid["columns"] * step,
        grid["gap"] + grid["rows"] * (grid["tile_height"] + grid["gap"]),
    )
    # the first filter is a mean of red, the second of green
    first, second = (picture.getpixel((grid["gap"] + i * step + 5, 5)) for i in (0, 1))
    assert first[0] > 200 > max(first[1:3])
    assert second[1] > 200 > max(second[0], second[2])


def test_a_model_without_convolutions_has_no_filters(textbook_client):
    response = textbook_client.get("/api/v1/models/colours/filters.png")
    assert (response.status_code, response.json()["code"]) == (404, "not_in_model")
