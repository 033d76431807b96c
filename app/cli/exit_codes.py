"""The exit codes 1, 2 and 143, and the errors that lead to them.

BundleError, ModelOutputInvalid      -> CheckFailed, 1
photos without a result, a gate      -> CheckFailed, 1, raised by the commands themselves
any other HubelError, or an error of the system or of a database -> WrongUsage, 2
a missing extra                      -> WrongUsage, 2
SIGTERM, in commands with temporary files -> SystemExit, 143
"""

import errno
import os
import signal
import sqlite3
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import NoReturn

import click

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_CLEANUP_S = 20.0
"""Below the 30 s after which Kubernetes kills a process."""
_MAKE_ROOM = "Make room, or name an --output on a larger disk."


class CheckFailed(click.ClickException):
    """A failed check, or photos without a result."""

    exit_code = 1


class WrongUsage(click.ClickException):
    """Wrong usage or input."""

    exit_code = 2


@contextmanager
def expected_errors() -> Generator[None, None, None]:
    """Turn expected errors into one line and an exit code."""
    from app.errors import BundleError, HubelError, ModelOutputInvalid

    try:
        yield
    except (BundleError, ModelOutputInvalid) as err:
        raise CheckFailed(str(err)) from err
    except BrokenPipeError:
        raise  # a reader such as `head` has closed our output: click exits silently
    except OSError as err:
        advice = f". {_MAKE_ROOM}" if err.errno in _FULL else ""
        raise WrongUsage(f"{err}{advice}") from err
    except sqlite3.Error as err:
        raise WrongUsage(f"The database can't be used ({err}). Try again later.") from err
    except HubelError as err:
        raise WrongUsage(str(err)) from err


@contextmanager
def cleanup_on_sigterm() -> Generator[None, None, None]:
    """Let SIGTERM remove temporary files, as Ctrl-C does, and exit with 143; also a decorator.

    After `_CLEANUP_S` seconds the process ends in any case.
    """
    code = 128 + signal.SIGTERM
    end = threading.Timer(_CLEANUP_S, os._exit, (code,))
    end.daemon = True

    def stop(*_: object) -> NoReturn:
        if not end.is_alive():
            end.start()
        raise SystemExit(code)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
        end.cancel()
