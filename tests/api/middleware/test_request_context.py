"""The JSON log line of each request."""

import json
import logging
import re

import pytest

from app.logs import JsonFormatter

CLASSIFY = "/api/v1/classify"


@pytest.fixture
def lines(caplog, client):
    """Return the log lines of a request id, as they would be written."""
    caplog.set_level(logging.INFO, "hubel.request")

    def read(request_id):
        written = [JsonFormatter().format(r) for r in caplog.records if r.name == "hubel.request"]
        assert all("\n" not in line for line in written)
        return [line for line in map(json.loads, written) if line.get("request_id") == request_id]

    return read


def test_a_classified_photo_is_logged_in_one_line(client, lines, photo, until):
    data = photo("red")
    client.post(CLASSIFY, content=data, headers={"X-Request-ID": "one"})
    until(lambda: lines("one"))
    (line,) = lines("one")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    times = {name: line.pop(name) for name in list(line) if name == "ms" or name.endswith("_ms")}
    assert list(times) == ["ms", "queue_ms", "decode_ms", "resize_ms", "run_ms"]
    assert times["ms"] >= times["decode_ms"] + times["run_ms"] - 0.02
    assert line == {
        "level": "info",
        "logger": "hubel.request",
        "message": "request",
        "request_id": "one",
        "method": "POST",
        "path": CLASSIFY,
        "route": CLASSIFY,
        "status": 200,
        "bytes": len(data),
        "client": "127.0.0.1",
        "model": "colours",
        "version": 1,
        "images": 1,
    }


def test_a_rejected_photo_is_logged_with_its_error_code(client, lines, until):
    client.post(CLASSIFY, content=b"text", headers={"X-Request-ID": "two"})
    until(lambda: lines("two"))
    (line,) = lines("two")
    assert (line["status"], line["code"], line["bytes"]) == (400, "not_an_image", 4)


def test_the_log_line_has_the_route_pattern_and_the_actual_path(client, lines, until):
    client.get("/api/v1/models/wasps", headers={"X-Request-ID": "three"})
    until(lambda: lines("three"))
    (line,) = lines("three")
    assert (line["route"], line["path"]) == ("/api/v1/models/{name}", "/api/v1/models/wasps")
    assert (line["status"], line["code"]) == (404, "unknown_model")


def test_no_log_line_contains_a_key_or_a_query(client, lines, until):
    headers = {"X-Request-ID": "four", "X-API-Key": "hush", "Authorization": "Bearer hush"}
    client.get("/api/v1/models?secret=hush", headers=headers)
    until(lambda: lines("four"))
    assert "hush" not in json.dumps(lines("four"))


def test_a_traceback_is_logged_in_one_line():
    try:
        raise ValueError("broken\nin two")
    except ValueError as err:
        record = logging.LogRecord("x", logging.ERROR, "", 0, "it %s", ("failed",), None)
        record.exc_info = (type(err), err, err.__traceback__)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert (line["level"], line["message"]) == ("error", "it failed")
    assert "ValueError: broken" in line["traceback"]


def test_predictions_are_logged_by_a_setting(make_bundle, serve, photo, lines, until):
    make_bundle()
    with serve(log_predictions=True) as logging_client:
        red = photo("red")
        files = [("file", ("a", red)), ("file", ("b", b"text")), ("file", ("c", photo("blue")))]
        logging_client.post(CLASSIFY, content=red, headers={"X-Request-ID": "single"})
        logging_client.post(CLASSIFY, files=files, headers={"X-Request-ID": "several"})
        until(lambda: lines("single") and lines("several"))
    (single,), (several,) = lines("single"), lines("several")
    assert single["label"] == "red"
    assert 0.5 < single["probability"] <= 1
    assert several["label"] == ["red", "blue"]
    assert len(several["probability"]) == 2
