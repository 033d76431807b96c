"""Parameters come in the query or as fields of a form; unknown ones are refused by name."""

import pytest

from app.api.request.parameters import PhotoParameters
from app.api.routes.activations import ActivationsParameters
from app.api.routes.classify import ClassifyParameters
from app.api.routes.embed import EmbedParameters
from app.api.routes.explain import ExplainParameters
from app.api.unknown_parameters import unknown_name

API = "/api/v1"
ROUTES = {
    "classify": ClassifyParameters,
    "embed": EmbedParameters,
    "explain": ExplainParameters,
    "activations": ActivationsParameters,
}


@pytest.fixture(scope="module")
def post(textbook_client, photo):
    """Sends a red photo in a form, with fields and with parameters of the query."""

    def send(route, fields, params=None, files=1):
        form = [("file", ("a.jpg", photo("red")))] * files
        return textbook_client.post(f"{API}/{route}", params=params, data=fields, files=form)

    return send


def check_rejected(response, *texts):
    body = response.json()
    assert (response.status_code, body["code"]) == (400, "bad_parameter")
    for text in texts:
        assert text in body["detail"]


@pytest.mark.parametrize(
    ("route", "fields"),
    [
        ("classify", {"model": "colours"}),
        ("classify", {"model": "colours", "version": "1", "top_k": "2", "min_probability": "0.5"}),
        ("classify", {"batch": "true"}),
        ("explain", {"label": "id-blue"}),
        ("explain", {"model": "colours", "label": "2"}),
        ("activations", {"layer": "conv2", "top": "2", "values": "1"}),
        ("activations", {"kernel": "[[1, 0], [0, 1]]"}),
    ],
)
def test_fields_do_what_the_query_does(post, route, fields):
    by_fields, by_query = post(route, fields), post(route, {}, fields)
    assert by_fields.status_code == 200
    assert by_fields.json() == by_query.json()
    assert by_fields.json() != post(route, {}).json()
    assert post(route, fields, fields).json() == by_query.json()


def test_a_field_applies_to_all_files_of_a_form(post):
    results = post("classify", {"model": "colours", "top_k": "1"}, files=3).json()["results"]
    assert [(r["model"], len(r["predictions"])) for r in results] == [("colours", 1)] * 3


@pytest.mark.parametrize(
    ("route", "query", "field"),
    [
        ("classify", {"top_k": "3"}, {"top_k": "2"}),
        ("classify", {"model": "colours"}, {"model": "textbook"}),
        ("classify", {"batch": "false"}, {"batch": "true"}),
        ("explain", {"label": "red"}, {"label": "0"}),
        ("activations", {"kernel": "[[1]]"}, {"kernel": "[[2]]"}),
    ],
)
def test_a_field_that_differs_from_the_query_is_rejected(post, route, query, field):
    (name,) = query
    check_rejected(post(route, field, query), f"{name} is ", "in the query and", "Send it once.")


def test_equal_values_may_be_written_differently(post):
    assert post("classify", {"top_k": "02", "batch": "1"}, {"top_k": 2, "batch": "true"}).is_success


@pytest.mark.parametrize(
    ("route", "fields", "name"),
    [
        ("classify", {"top_k": "0"}, "top_k"),
        ("classify", {"top_k": "1.5"}, "top_k"),
        ("classify", {"min_probability": "nan"}, "min_probability"),
        ("embed", {"version": "latest"}, "version"),
        ("activations", {"top": "-1"}, "top"),
        ("explain", {"version": "0"}, "version"),
    ],
)
def test_a_field_is_validated_as_the_query_is(post, route, fields, name):
    queried = post(route, {}, fields).json()["detail"]
    response = post(route, fields)
    check_rejected(response, f"The form field {name} is invalid: ")
    assert response.json()["detail"] == queried.replace("The query", "The form field")


@pytest.mark.parametrize("route", ROUTES)
def test_every_field_of_the_schema_is_known_and_no_other(post, route):
    for name in ROUTES[route].model_fields:
        assert "There is no form field" not in post(route, {name: "?"}).text
    check_rejected(post(route, {"note": "holiday"}), "There is no form field 'note'.")


@pytest.mark.parametrize(
    ("route", "sent", "nearest"),
    [
        ("classify", "topk", "top_k"),
        ("classify", "topK", "top_k"),
        ("classify", "Top-K", "top_k"),
        ("classify", "min_prob", "min_probability"),
        ("embed", "normalise", "normalize"),
        ("embed", "models", "model"),
        ("explain", "labels", "label"),
        ("activations", "kernal", "kernel"),
    ],
)
def test_an_unknown_name_is_rejected_with_the_nearest_one(post, route, sent, nearest):
    check_rejected(post(route, {}, {sent: "3"}), f"There is no query parameter {sent!r}", nearest)
    check_rejected(post(route, {sent: "3"}), f"There is no form field {sent!r}", nearest)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "models"),
        ("GET", "models/textbook"),
        ("GET", "models/textbook/filters.png"),
        ("GET", "models/textbook/report/"),
        ("GET", "models/textbook/report/index.html"),
        ("POST", "models/textbook/reload"),
        ("POST", "models/textbook/unload"),
    ],
)
def test_every_route_of_the_own_api_rejects_unknown_parameters(textbook_client, method, path):
    response = textbook_client.request(method, f"{API}/{path}", params={"verzion": 1})
    check_rejected(response, "There is no query parameter 'verzion'")
    assert ("Did you mean version?" in response.text) is not path.endswith("models")


def test_the_key_is_checked_before_the_parameters(make_bundle, serve):
    make_bundle()
    with serve(api_key="right") as client:
        for path in ("models", "classify"):
            method = "GET" if path == "models" else "POST"
            response = client.request(method, f"{API}/{path}", params={"topk": 3})
            assert response.status_code == 401


@pytest.mark.parametrize(
    "path", ["/livez", "/readyz", "/metrics", "/ping", "/v2", "/v1/models/textbook"]
)
def test_probes_and_other_protocols_ignore_unknown_parameters(textbook_client, path):
    assert textbook_client.get(path, params={"verbose": 1}).status_code == 200


def test_other_protocols_ignore_unknown_parameters_of_photos(textbook_client, photo):
    for path in ("/hf/textbook", "/predictions/textbook"):
        response = textbook_client.post(path, params={"wait": 1}, content=photo("red"))
        assert response.status_code == 200
    form = {"data": {"note": "holiday"}, "files": {"data": ("a.jpg", photo("red"))}}
    assert textbook_client.post("/predictions/textbook", **form).status_code == 200


def test_a_parameter_sent_twice_is_rejected_if_its_values_differ(textbook_client, photo):
    url = f"{API}/classify?top_k=1&top_k="
    check_rejected(textbook_client.post(f"{url}2", content=photo("red")), "'top_k' was sent twice")
    assert textbook_client.post(f"{url}1", content=photo("red")).status_code == 200


@pytest.mark.parametrize(
    ("form", "message"),
    [
        ({"file": "photo.jpg"}, "'file' is a field with text"),
        ({"image": "data:image/png;base64,iVBO", "top_k": "1"}, "'image' is a field with text"),
    ],
)
def test_a_form_with_the_name_of_a_file_says_how_to_send_it(textbook_client, form, message):
    """`curl -F file=photo.jpg`, without the @."""
    files = {name: (None, value) for name, value in form.items()}
    response = textbook_client.post(f"{API}/classify", files=files)
    check_rejected(response, message, "-F file=@photo.jpg")


def test_a_form_may_name_the_only_model_that_is_ready(make_bundle, serve, photo):
    make_bundle()
    make_bundle(name="french", labels=("rouge", "vert", "bleu"))
    with serve(default_model="colours", admin_key="admin") as client:
        headers = {"X-API-Key": "admin"}
        assert client.post(f"{API}/models/colours/unload", headers=headers).is_success
        form = {"files": {"file": ("a.jpg", photo("red"))}}
        assert client.post(f"{API}/classify", **form).status_code == 503
        response = client.post(f"{API}/classify", data={"model": "french"}, **form)
        assert response.json()["predictions"][0]["label"] == "rouge"


def test_an_unknown_model_in_the_query_is_rejected_before_the_form_arrives(client, connect):
    raw = connect(client)
    raw.send(
        f"POST {API}/classify?model=wasps HTTP/1.1",
        "Content-Type: multipart/form-data; boundary=x",
        "Content-Length: 5000",
    )
    status, _, body = raw.read_response()
    assert (status, body["code"]) == (404, "unknown_model")


def test_a_full_queue_rejects_a_form_before_it_arrives(make_bundle, serve, connect, block):
    make_bundle()
    with serve() as client, block(client) as held:
        held.fill()
        raw = connect(client)
        raw.send(
            f"POST {API}/classify HTTP/1.1",
            "Content-Type: multipart/form-data; boundary=x",
            "Content-Length: 5000",
        )
        status, _, body = raw.read_response()
        assert (status, body["code"]) == (429, "queue_full")


def test_parameters_without_fields_are_the_same_object():
    query = PhotoParameters(model="a")
    assert query.with_fields({}) is query
    assert query.with_fields({"version": " "}) is query


def test_an_unknown_name_lists_the_known_ones_if_none_is_near():
    assert (
        str(unknown_name("field", "x", ["b", "a"])) == "There is no field 'x'. Known names: a, b."
    )
    assert str(unknown_name("field", "x", [])) == "There is no field 'x'. This route has none."
    assert len(str(unknown_name("field", "x" * 10_000, ["a"]))) < 200
