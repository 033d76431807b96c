"""The log, on standard error: JSON for machines, or readable lines for people.

json  one JSON object per line
text  time, level, message and fields; coloured on a terminal, unless NO_COLOR is set
auto  text on a terminal, else json
"""

import json
import logging
import os
import sys
import time
from typing import Any, Literal

LogFormat = Literal["auto", "json", "text"]

_COLOURS = {"DEBUG": "2", "INFO": "32", "WARNING": "33", "ERROR": "31", "CRITICAL": "31"}
"""Parameters of the terminal's sequence for each level: faint, green, yellow, red."""
_FAINT = "2"
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))}
"""Control characters of a client's path, which could change the terminal."""


def configure(level: str, log_format: LogFormat = "auto") -> None:
    """Write all messages of `level` and above, in the format that `log_format` selects."""
    handler = logging.StreamHandler(sys.stderr)
    is_terminal = sys.stderr.isatty()
    if log_format == "text" or (log_format == "auto" and is_terminal):
        handler.setFormatter(TextFormatter(coloured=is_terminal and not os.getenv("NO_COLOR")))
    else:
        handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # Skip details that no line contains; collecting them takes a fifth of a line's time
    # ("Optimization" in Python's logging HOWTO)
    logging._srcfile = None
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # Hubel's own lines replace those of uvicorn, such as "Started server process"
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)


class JsonFormatter(logging.Formatter):
    """A formatter that writes one JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as JSON; `extra={"fields": {...}}` adds fields."""
        line: dict[str, Any] = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:
        """Return the time in UTC, in the format of RFC 3339."""
        seconds = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        return f"{seconds}.{int(record.msecs):03d}Z"


class TextFormatter(logging.Formatter):
    """A formatter that writes lines for people.

    Args:
        coloured: whether the level and the fields are coloured, for a terminal.
    """

    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as text; `extra={"fields": {...}}` adds fields as name=value."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        level = self._colour(f"{record.levelname:<7}", _COLOURS.get(record.levelname, "0"))
        fields = dict(getattr(record, "fields", {}))
        message = record.getMessage()
        if message == "request" and "method" in fields:  # its usual fields, in a usual order
            usual = [str(fields.pop(name)) for name in ("method", "path", "status", "ms")]
            message = f"{' '.join(usual)} ms"
            fields.pop("route", None)
        parts = [self._colour(clock, _FAINT), level, message.translate(_CONTROL)]
        if fields:
            listed = " ".join(f"{name}={value}" for name, value in fields.items())
            parts.append(self._colour(listed.translate(_CONTROL), _FAINT))
        line = " ".join(parts)
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line

    def _colour(self, text: str, parameters: str) -> str:
        return f"\x1b[{parameters}m{text}\x1b[0m" if self._coloured else text
