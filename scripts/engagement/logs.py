"""What reaches stderr: lines for people, or one JSON object a line (`--json-logs`, ENGAGEMENT_JSON_LOGS=1).

    {"at": "2026-07-01T05:30:00.000Z", "level": "info", "message": "...", "command": "run", "step": "office", ...}

With JSON nothing else reaches stderr: whatever a library writes there becomes the message of such an object.
"""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

ENVIRONMENT = "ENGAGEMENT_JSON_LOGS"

log = logging.getLogger("engagement")

# What every object says beside its message: command, run_id and step, as far as they are known.
_context: dict[str, Any] = {}


# What a terminal obeys, or what makes a line read as another one: controls, line ends, directions, nothing at all.
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff9-\ufffb]"
)


def printable(text: str) -> str:
    """A line that may hold names of others, with such characters written out."""
    return _UNPRINTABLE.sub(lambda found: found.group().encode("unicode_escape").decode(), text)


def note(**fields: Any) -> None:
    """What holds from now on for every line; None takes a field out."""
    for name, value in fields.items():
        if value is None:
            _context.pop(name, None)
        else:
            _context[name] = value


def as_json() -> bool:
    """Whether stderr gets JSON objects."""
    return any(isinstance(handler.formatter, JsonLines) for handler in log.handlers)


class JsonLines(logging.Formatter):
    """One object a record; the fields of `extra={"fields": {...}}` stand beside the message."""

    def format(self, record: logging.LogRecord) -> str:
        fields: Mapping[str, Any] = getattr(record, "fields", {})
        level = (
            "error"
            if record.levelno >= logging.ERROR
            else "warning"
            if record.levelno >= logging.WARNING
            else "info"
        )
        at = datetime.fromtimestamp(record.created, UTC).replace(tzinfo=None)
        line: dict[str, Any] = {
            "at": at.isoformat(timespec="milliseconds") + "Z",
            "level": level,
            # The level says it already.
            "message": record.getMessage().removeprefix("warning: "),
            **_context,
            **fields,
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class _Lines(logging.Formatter):
    """Lines for people; a traceback has many."""

    def format(self, record: logging.LogRecord) -> str:
        return "\n".join(printable(line) for line in super().format(record).split("\n"))


class _Stderr(logging.StreamHandler[TextIO]):
    """Writes to stderr as it is at that moment: a progress bar takes its place for a while."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


class _Foreign(io.TextIOBase):
    """Takes the place of stderr, and makes a record of every line that somebody else writes there."""

    def __init__(self, real: TextIO) -> None:
        self._real = real
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in filter(str.strip, lines):
            log.getChild("stderr").warning("%s", line)
        return len(text)

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        return False

    def fileno(self) -> int:
        return self._real.fileno()


def set_up(*, verbose: bool = False, json_lines: bool = False) -> None:
    """Lines for people or JSON from now on."""
    _context.clear()
    if json_lines:
        real = sys.stderr._real if isinstance(sys.stderr, _Foreign) else sys.stderr
        handler: logging.StreamHandler[TextIO] = logging.StreamHandler(real)
        handler.setFormatter(JsonLines())
        sys.stderr = _Foreign(real)
        # An error while logging would be written where it came from.
        logging.raiseExceptions = False
    else:
        handler = _Stderr()
        handler.setFormatter(_Lines("%(message)s"))
    log.handlers = [handler]
    log.setLevel(logging.DEBUG if verbose else logging.INFO)
    log.propagate = False
    quiet_loggers()


def quiet_loggers() -> None:
    """httpx writes whole URLs at INFO, addresses in them included."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
