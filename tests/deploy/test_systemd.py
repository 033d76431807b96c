"""The systemd unit is valid, hardened, and gives the service the time to drain."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from app.cli.ineffective_variables import unknown_variables
from app.server import draining
from app.settings import Settings

UNIT = Path(__file__).resolve().parents[2] / "deploy" / "systemd" / "hubel.service"
TEXT = UNIT.read_text(encoding="utf-8")

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd is missing"
)


@needs_systemd
@pytest.mark.parametrize(
    "command",
    [["verify"], ["security", "--offline=true", "--threshold=20"]],
    ids=["valid", "exposure of at most 2.0"],
)
def test_systemd_accepts_the_unit(command, tmp_path):
    program = shutil.which("true")
    assert program
    unit = tmp_path / UNIT.name
    unit.write_text(TEXT.replace("/opt/hubel/bin/hubel", program))
    done = subprocess.run(
        ["systemd-analyze", *command, str(unit)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_its_settings_exist():
    environment = dict(line.split("=", 1) for line in re.findall(r"^Environment=(.*)$", TEXT, re.M))
    assert environment
    assert unknown_variables(environment) == []


def test_the_service_is_given_the_time_to_drain():
    (limit,) = re.findall(r"^TimeoutStopSec=(\d+)$", TEXT, re.M)
    times = draining._LINGER_S + draining._GRACE_S + draining._DROP_S
    assert int(limit) > Settings().drain_s + times
