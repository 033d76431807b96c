"""The process of a job: it is started through Hubel's own entry point, and ended as a group.

`python -m hubel job FOLDER` works from a checkout and from the wheel: the folder that holds the
package `hubel` is put on the path. The process's standard input is a pipe that nobody writes to:
its end tells the process that the service is gone.
"""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import app

log = logging.getLogger("hubel")

_SECRETS = ("HUBEL_", "AWS_", "GOOGLE_", "AZURE_", "OTEL_")
"""Variables that begin so are the service's own, or its keys for others; a job needs none."""
_END_S = 10.0


class JobProcess:
    """A running process.

    Args:
        folder: the folder of the job.
        log_file: what receives its standard error.
        temporary: a folder for its temporary files, such as the pixels of all photos.
        threads: the threads that libraries for numbers may start.
    """

    def __init__(self, folder: Path, log_file: Path, temporary: Path, threads: int) -> None:
        with log_file.open("ab") as errors:
            # A process group, so that all of it ends at once. No session: the kernel's autogroups
            # would give the session as much of the processors as the service has, whatever its
            # priority is.
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "hubel", "job", str(folder)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                cwd=folder,
                env=_environment(os.environ, temporary, threads),
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """Its id, which is that of its group as well."""
        return self._process.pid

    def lines(self) -> Iterator[bytes]:
        """Yield the lines of its standard output, until it ends."""
        assert self._process.stdout is not None
        yield from self._process.stdout

    def wait(self) -> int:
        """Wait for its end and return its exit status; negative for a signal."""
        status = self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):
                    pipe.close()
        return status

    def kill(self) -> None:
        """End it and everything that it has started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)


def _environment(own: Mapping[str, str], temporary: Path, threads: int) -> dict[str, str]:
    """Return the variables of the process: the service's, without its settings and keys."""
    kept = {name: value for name, value in own.items() if not name.startswith(_SECRETS)}
    path = [str(_package_folder()), *filter(None, [own.get("PYTHONPATH")])]
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    return {
        **kept,
        **limits,
        "PYTHONPATH": os.pathsep.join(path),
        "MPLBACKEND": "agg",
        "TMPDIR": str(temporary),
    }


def _package_folder() -> Path:
    """Return the folder that holds the package `hubel`: of the checkout, or of the wheel."""
    assert app.__file__ is not None
    code = Path(app.__file__).resolve().parents[1]
    return code.parents[1] if (code.parent / "__main__.py").is_file() else code
