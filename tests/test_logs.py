"""The log's formats: JSON for machines, text for people."""

import io
import json
import logging
import sys

import pytest

from app import logs

RECORD = {
    "name": "hubel.request",
    "levelname": "INFO",
    "levelno": logging.INFO,
    "msg": "request",
    "fields": {
        "request_id": "a1",
        "method": "POST",
        "path": "/x\x1b[2J",
        "route": "/x",
        "status": 200,
        "ms": 12.5,
        "label": "cat",
    },
}


class Stream(io.StringIO):
    """A standard error that may be a terminal."""

    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.fixture
def written(monkeypatch):
    """Configures the log, and returns what a record becomes."""
    root, uvicorn = logging.getLogger(), logging.getLogger("uvicorn.error")
    before = root.handlers[:], root.level, uvicorn.level
    switches = ("logThreads", "logProcesses", "logMultiprocessing", "_srcfile")
    for name in switches:
        monkeypatch.setattr(logging, name, getattr(logging, name))

    def write(log_format, is_terminal, **fields):
        stream = Stream(is_terminal)
        monkeypatch.setattr(sys, "stderr", stream)
        root.handlers = []
        logs.configure("info", log_format)
        root.handle(logging.makeLogRecord({**RECORD, **fields}))
        return stream.getvalue()

    yield write
    root.handlers, root.level = before[0], before[1]
    uvicorn.setLevel(before[2])


@pytest.mark.parametrize(
    ("log_format", "is_terminal", "is_json"),
    [
        pytest.param("auto", False, True, id="auto-elsewhere"),
        pytest.param("auto", True, False, id="auto-on-a-terminal"),
        pytest.param("json", True, True, id="json-on-a-terminal"),
        pytest.param("text", False, False, id="text-elsewhere"),
    ],
)
def test_the_format_follows_the_setting_and_the_terminal(written, log_format, is_terminal, is_json):
    line = written(log_format, is_terminal)
    assert line.startswith("{") == is_json
    if is_json:
        assert json.loads(line)["label"] == "cat"


def test_only_a_terminal_gets_colours(written, monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[32m" in written("auto", True)
    assert "\x1b" not in written("text", False)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in written("auto", True)


def test_a_request_is_one_readable_line_without_control_characters(written):
    line = written("text", False)
    assert line.endswith("INFO    POST /x\\x1b[2J 200 12.5 ms request_id=a1 label=cat\n")


def test_a_traceback_follows_its_line(written):
    try:
        raise ValueError("broken")
    except ValueError:
        text = written("text", False, exc_info=sys.exc_info(), msg="failed", fields={})
    first, *_, last = text.splitlines()
    assert first.endswith("failed")
    assert last == "ValueError: broken"
