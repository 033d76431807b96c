"""Send what the OpenAPI document allows and forbids, with and without keys; report what is wrong.

    python -m benchmarks.hardening.openapi_cases [--examples 100] [--seed 0] [--as SENDER …]

    a server with keys, for each sender: without a key | with the API key | with the admin key
      -> schemathesis: examples, edge cases and generated ones of every operation, then chains of
         operations in which a request takes its arguments from earlier responses
      -> the checks of `CHECKS` on each response -> the report

Bodies are photos, whole or damaged, and noise; most names and versions are those of a model. The
exit status is 1 if a check failed. The failures, each with a curl command, are printed.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from benchmarks.hardening.slow_client_load import PHOTO
from benchmarks.hardening.slow_clients import CLASSIFY, ROOT, SERVE
from benchmarks.processor import describe
from benchmarks.serving.process import ServerProcess, free_port

API_KEY, ADMIN_KEY = "of-a-client", "of-an-administrator"
SENDERS: Mapping[str, str | None] = {"nobody": None, "client": API_KEY, "admin": ADMIN_KEY}
"""The senders of requests, by name, and their keys."""
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
    "allow_header_conformance",
    "missing_required_header",
    "ignored_auth",
)
_CONFIG = f"""
hooks = {json.dumps(str(Path(__file__).with_name("openapi_hooks.py")))}

[checks.not_a_server_error]
# A model that an administrator has unloaded gives 503.
expected-statuses = ["2xx", "3xx", "4xx", "503"]

[dictionaries]
names = {{ values = ["imagenet"] }}
versions = {{ values = [1] }}

[parameters]
"path.name" = {{ dictionary = "names", probability = 0.7 }}
"path.model" = {{ dictionary = "names", probability = 0.7 }}
"query.model" = {{ dictionary = "names", probability = 0.7 }}
"path.version" = {{ dictionary = "versions", probability = 0.7 }}
"query.version" = {{ dictionary = "versions", probability = 0.7 }}
"""


@dataclass(frozen=True)
class Cases:
    """The report of schemathesis about the requests of one sender."""

    sender: str
    operations: int
    generated: int
    failures: Sequence[str]
    stateful: str
    text: str
    """Its report for people."""


def run(sender: str, examples: int, seed: int, phases: str) -> Cases:
    """Start a server, send the cases of `sender`, and return what was found.

    Args:
        sender: one of `SENDERS`.
        examples: the cases for each operation and kind of generation.
        seed: of the generated cases.
        phases: those of schemathesis, separated by commas.
    """
    port = free_port()
    process = ServerProcess(
        [sys.executable, "-c", SERVE, "serve", "--port", str(port)],
        {
            "PYTHONPATH": str(ROOT),
            "HUBEL_API_KEY": API_KEY,
            "HUBEL_ADMIN_KEY": ADMIN_KEY,
            "HUBEL_DRAIN_S": "0",
            "HUBEL_QUEUE_WAIT_S": "30",
        },
        lambda: _responds(port),
    )
    try:
        with TemporaryDirectory() as folder:
            return _cases(sender, Path(folder), port, examples, seed, phases)
    finally:
        process.stop()


def _responds(port: int) -> bool:
    from urllib.error import URLError
    from urllib.request import Request, urlopen

    headers = {"Authorization": f"Bearer {API_KEY}"}
    request = Request(f"http://127.0.0.1:{port}{CLASSIFY}", PHOTO, headers)
    try:
        with urlopen(request, timeout=5) as response:
            return bool(response.status == 200)  # noqa: PLR2004
    except (URLError, ConnectionError):
        return False


def _cases(sender: str, folder: Path, port: int, examples: int, seed: int, phases: str) -> Cases:
    config, report = folder / "schemathesis.toml", folder / "report.json"
    config.write_text(_CONFIG, encoding="utf-8")
    key = SENDERS[sender]
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(config), "run"),
        f"http://127.0.0.1:{port}/openapi.json",
        *("--phases", phases, "--checks", ",".join(CHECKS), "--max-examples", str(examples)),
        *("--seed", str(seed), "--generation-deterministic"),
        *("--suppress-health-check", "all", "--continue-on-failure", "--no-color"),
        *("--request-timeout", "60", "--report-json-path", str(report)),
        *(() if key is None else ("--header", f"Authorization: Bearer {key}")),
    ]
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": f"{ROOT}:{os.environ.get('PYTHONPATH', '')}"},
        check=False,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if not report.exists():
        raise SystemExit(done.stdout)
    return _read(sender, json.loads(report.read_text(encoding="utf-8")), done.stdout)


def _read(sender: str, found: Mapping[str, Any], text: str) -> Cases:
    failures = [
        f"{failure['title']}: {', '.join(failure['operations'])}" for failure in found["failures"]
    ]
    failures += [f"{error['title']} ({error['count']})" for error in found["errors"]]
    if found["exit_code"] and not failures:
        failures = [f"schemathesis ends with {found['exit_code']}"]
    return Cases(
        sender,
        found["operations"]["tested"],
        found["test_cases"]["generated"],
        failures,
        (found["phases"] or {}).get("stateful", {}).get("status", "none"),
        text,
    )


@click.command()
@click.option("--examples", default=100, show_default=True, type=click.IntRange(1))
@click.option("--seed", default=0, show_default=True)
@click.option("--phases", default="examples,coverage,fuzzing,stateful", show_default=True)
@click.option(
    "--as", "senders", multiple=True, type=click.Choice(list(SENDERS)), help="Default: all."
)
def main(examples: int, seed: int, phases: str, senders: Sequence[str]) -> None:
    """Send generated requests as each sender, and print what was found."""
    print(describe())
    has_failed = False
    for sender in senders or SENDERS:
        cases = run(sender, examples, seed, phases)
        has_failed |= bool(cases.failures)
        if cases.failures:
            print(cases.text)
        print(
            f"{sender}: {cases.generated} cases of {cases.operations} operations, stateful "
            f"{cases.stateful}; failures: {'; '.join(cases.failures) or 'none'}",
            flush=True,
        )
    sys.exit(has_failed)


if __name__ == "__main__":
    main()
