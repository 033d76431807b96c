"""Settings: the environment, keys from files, and rejected values."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.cli.ineffective_variables import unknown_variables, variables_without_effect
from app.settings import Settings


@pytest.fixture(autouse=True)
def empty_environment(monkeypatch):
    import os

    for name in list(os.environ):
        if name.upper().startswith("HUBEL_"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("host", "0.0.0.0", "0.0.0.0"),
        ("port", "0", 0),
        ("models", "/", Path("/")),
        ("default_model", "birds", "birds"),
        ("device", "cpu", "cpu"),
        ("max_image_bytes", "1000", 1000),
        ("deadline_s", "2.5", 2.5),
        ("drain_s", "0", 0.0),
        ("log_level", "debug", "debug"),
    ],
)
def test_the_environment_sets_a_value(monkeypatch, name, text, value):
    assert getattr(Settings(), name) != value
    monkeypatch.setenv(f"HUBEL_{name.upper()}", text)
    assert getattr(Settings(), name) == value


def test_an_option_overrides_the_environment(monkeypatch):
    monkeypatch.setenv("HUBEL_PORT", "9000")
    assert Settings(port=9001).port == 9001


def test_an_empty_variable_counts_as_unset(monkeypatch):
    monkeypatch.setenv("HUBEL_PORT", "")
    monkeypatch.setenv("HUBEL_API_KEY", "")
    assert Settings().port == 8000
    assert Settings().api_key_value is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("models", "/nowhere/at/all"),
        ("port", 65536),
        ("port", -1),
        ("device", "tpu"),
        ("max_image_bytes", 0),
        ("max_files", 0),
        ("deadline_s", 0),
        ("drain_s", -1),
        ("log_level", "loud"),
    ],
)
def test_a_wrong_value_is_rejected(name, value):
    with pytest.raises(ValidationError, match=name):
        Settings(**{name: value})


@pytest.mark.parametrize("kind", ["api", "admin"])
def test_a_key_comes_from_its_variable_or_its_file(tmp_path, kind):
    assert getattr(Settings(**{f"{kind}_key": "abc"}), f"{kind}_key_value") == "abc"
    file = tmp_path / "key"
    file.write_text("from a file\n")
    assert getattr(Settings(**{f"{kind}_key_file": file}), f"{kind}_key_value") == "from a file"
    assert getattr(Settings(), f"{kind}_key_value") is None


@pytest.mark.parametrize("kind", ["api", "admin"])
def test_a_key_and_a_key_file_together_are_rejected(tmp_path, kind):
    with pytest.raises(ValidationError, match=f"set {kind}_key or {kind}_key_file, not both"):
        Settings(**{f"{kind}_key": "abc", f"{kind}_key_file": tmp_path / "key"})


@pytest.mark.parametrize("content", ["", " \n"])
def test_an_empty_key_file_is_rejected(tmp_path, content):
    file = tmp_path / "key"
    file.write_text(content)
    with pytest.raises(ValueError, match=r"is empty. Write the key into it"):
        _ = Settings(api_key_file=file).api_key_value


def test_a_missing_key_file_is_rejected(tmp_path):
    with pytest.raises(ValueError, match="can't be read"):
        _ = Settings(admin_key_file=tmp_path / "none").admin_key_value


def test_a_key_is_not_shown():
    assert "hush" not in repr(Settings(api_key="hush"))


def test_settings_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1


@pytest.mark.parametrize("name", ["DEADLINE_S", "BODY_TIMEOUT_S", "DRAIN_S"])
@pytest.mark.parametrize("value", ["inf", "nan", "1e9"])
def test_times_are_finite(monkeypatch, name, value):
    monkeypatch.setenv(f"HUBEL_{name}", value)
    with pytest.raises(ValidationError):
        Settings()


def test_a_key_that_is_not_ascii_is_rejected(monkeypatch):
    monkeypatch.setenv("HUBEL_API_KEY", "schlüssel")
    with pytest.raises(ValidationError, match="ASCII"):
        Settings()


@pytest.mark.parametrize(
    ("variable", "advice"),
    [
        ("HUBEL_APIKEY", "Did you mean HUBEL_API_KEY?"),
        ("HUBEL_KEY", "Did you mean HUBEL_"),
        ("hubel_max_file", "Did you mean HUBEL_MAX_FILES?"),
        ("HUBEL_MODEL", "Did you mean HUBEL_MODELS?"),
        ("HUBEL_COLOUR", "docs/settings.md lists them all."),
    ],
)
def test_an_unknown_variable_is_reported_with_the_nearest_name(variable, advice):
    (sentence,) = unknown_variables({variable: "x", "HUBEL_API_KEY": "y"})
    assert sentence.startswith(f"{variable} is not a setting, so it has no effect. {advice}")


@pytest.mark.parametrize(
    "variable",
    [
        "HUBEL_API_KEY",
        "hubel_port",
        "HUBEL_PHOTOS",
        "HUBEL_SERVICE_HOST",
        "HUBEL_PORT_8000_TCP_ADDR",
        "HUBELS",
        "PATH",
    ],
)
def test_settings_and_variables_of_others_are_not_reported(variable):
    assert unknown_variables({variable: "x", "HUBEL_APIKEY": ""}) == []


KEYS = (
    "API_KEY",
    "API_KEY_FILE",
    "ADMIN_KEY",
    "ADMIN_KEY_FILE",
    "KEYS_FILE",
    "TLS_CERT",
    "TLS_KEY",
)


def test_the_keys_of_the_shell_are_passed_on_by_compose_and_count_last(monkeypatch):
    compose = (Path(__file__).parents[1] / "docker-compose.yml").read_text(encoding="utf-8")
    assert all(f"HUBEL_SHELL_{key}: ${{HUBEL_{key}:-}}\n" in compose for key in KEYS)
    assert {key.lower() for key in KEYS} == {
        name for name in Settings.model_fields if "key" in name or "tls" in name
    }
    for key in KEYS:
        monkeypatch.setenv(f"HUBEL_SHELL_{key}", "")
    assert Settings().api_key_value is None
    monkeypatch.setenv("HUBEL_SHELL_API_KEY", "shell")
    assert Settings().api_key_value == "shell"
    monkeypatch.setenv("HUBEL_API_KEY", "file")
    assert Settings().api_key_value == "file"


def test_a_key_of_the_shell_that_has_no_effect_is_reported():
    same = {"HUBEL_SHELL_API_KEY": "a", "HUBEL_API_KEY": "a", "HUBEL_SHELL_KEYS_FILE": "k"}
    assert variables_without_effect(same) == unknown_variables(same) == []
    (sentence,) = variables_without_effect({**same, "HUBEL_API_KEY": "b"})
    assert sentence.startswith("HUBEL_API_KEY of the shell has no effect: hubel.env has another.")
