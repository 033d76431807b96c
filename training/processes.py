"""The processes that train one network together, started by `hubel train` or by torchrun.

--processes N -> the process itself is the leader; N - 1 followers run the same command
torchrun      -> sets RANK and the like in every process, on one machine or several
              -> `of_environment`: which of the processes this one is
"""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import app

_END_S = 10.0


@dataclass(frozen=True)
class Processes:
    """The place of this process among those that train one network."""

    rank: int = 0
    """From 0; the process 0 leads: it alone reports, saves checkpoints and makes the bundle."""
    count: int = 1
    local_rank: int = 0
    """From 0 among the processes of this machine: the number of its GPU."""
    local_count: int = 1
    """The processes of this machine; every machine has as many."""

    @property
    def reads_photos(self) -> bool:
        """Whether it reads the photos for all processes of its machine."""
        return self.local_rank == 0

    @property
    def gpu(self) -> int | None:
        """The number of its GPU on this machine; None: the first, for a process alone."""
        return None if self.count == 1 else self.local_rank

    def __str__(self) -> str:
        """Return ", N processes" if there are several."""
        return "" if self.count == 1 else f", {self.count} processes"


def of_environment(environment: Mapping[str, str] = os.environ) -> Processes:
    """Return the place of this process, by the variables that torchrun sets."""
    count = int(environment.get("WORLD_SIZE", "1"))
    return Processes(
        rank=int(environment.get("RANK", "0")),
        count=count,
        local_rank=int(environment.get("LOCAL_RANK", "0")),
        local_count=int(environment.get("LOCAL_WORLD_SIZE", str(count))),
    )


@contextmanager
def followers(count: int, arguments: Sequence[str]) -> Iterator[None]:
    """Start `count` - 1 followers on this machine; end those that still run afterwards.

    Args:
        count: the processes in all, with this one.
        arguments: those of this command, such as ["train", "photos", …].
    """
    if count == 1:
        yield
        return
    variables = {
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
    }
    before = dict(os.environ)
    os.environ.update({**variables, "RANK": "0", "LOCAL_RANK": "0"})
    path = [str(_package_folder()), *filter(None, [before.get("PYTHONPATH")])]
    started = []
    try:
        for rank in range(1, count):
            own = {"RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": os.pathsep.join(path)}
            command = [sys.executable, "-m", "hubel", *arguments]
            started.append(
                subprocess.Popen(
                    command,
                    env={**before, **variables, **own},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                )
            )
        yield
    finally:
        for process in started:
            process.terminate()
        for process in started:
            try:
                process.wait(_END_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for name in (*variables, "RANK", "LOCAL_RANK"):
            os.environ.pop(name, None)
            if name in before:
                os.environ[name] = before[name]


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _package_folder() -> Path:
    """Return the folder that holds the package `hubel`: of the checkout, or of the wheel."""
    assert app.__file__ is not None
    code = Path(app.__file__).resolve().parents[1]
    return code.parents[1] if (code.parent / "__main__.py").is_file() else code
