"""`hubel serve`: wrong settings are one line and exit code 2; unknown ones are warnings."""

import json
import socket

import pytest


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"HUBEL_PORT": "many"}, "HUBEL_PORT=many: "),
        ({"HUBEL_DEADLINE_S": "-1"}, "HUBEL_DEADLINE_S=-1: "),
        ({"HUBEL_API_KEY": "a", "HUBEL_API_KEY_FILE": "b"}, "api_key or api_key_file, not both"),
        ({"HUBEL_API_KEY_FILE": "/nowhere/key"}, "The key file /nowhere/key can't be read"),
        ({"HUBEL_TLS_CERT": "a"}, "HUBEL_TLS_CERT and HUBEL_TLS_KEY belong together"),
        (
            {"HUBEL_TLS_CERT": "/nowhere", "HUBEL_TLS_KEY": "/nowhere"},
            "HUBEL_TLS_CERT=/nowhere can't be read",
        ),
        ({"HUBEL_DEVICE": "cuda"}, "CUDA can't be used"),
        ({"HUBEL_MODELS": "/nowhere"}, "HUBEL_MODELS=/nowhere: "),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, dict) else "",
)
def test_serve_with_wrong_settings_exits_with_2(environment, words, assert_error, process):
    if "HUBEL_DEVICE" in environment:
        import onnxruntime

        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            pytest.skip("CUDA is here")
    assert_error(process("serve", **{"HUBEL_PORT": "0", **environment}), 2, words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--replicas", "2"), "need --engine ray"),
        (("--engine", "ray", "--replicas", "3:2"), "needs at least one"),
        (("--engine", "ray", "--replicas", "two"), "is not like 2, nor like 1:8"),
    ],
    ids=["another engine", "bounds", "no number"],
)
def test_wrong_replicas_are_one_sentence(options, words, assert_error, process):
    assert_error(process("serve", *options), 2, words)


def test_serve_on_a_used_address_exits_with_2(assert_error, process):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert_error(process("serve", "--port", port), 2, str(port))


def test_a_variable_that_is_no_setting_is_a_warning_at_the_start(process):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        result = process("serve", "--port", taken.getsockname()[1], HUBEL_APIKEY="x")
    line = json.loads(result.stderr.splitlines()[0])
    assert line["level"] == "warning"
    assert line["message"].endswith("it has no effect. Did you mean HUBEL_API_KEY?")
