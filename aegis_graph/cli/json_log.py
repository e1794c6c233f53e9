"""The package's log as one JSON object a line, for what collects the logs of programs."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TextIO

_PLAIN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What every record has; the rest is what ``extra`` gave it."""


class JsonFormatter(logging.Formatter):
    """Writes a record as JSON: its time in UTC, level, logger and message, and its own fields."""

    # Without ``@override``: its import would hold up the help.
    def format(  # type: ignore[explicit-override]  # a slow import
        self, record: logging.LogRecord
    ) -> str:
        """One line, of which a record's text can make no second."""
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {key: value for key, value in vars(record).items() if key not in _PLAIN}
        if record.exc_info and record.exc_info[0]:
            # Without its words, which may be a prompt's.
            line["exception"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False, default=str)


def start_json_log(stream: TextIO | None = None) -> None:
    """Write what the package logs, each request and what goes wrong, one JSON object a line.

    Once for a process: a second call changes nothing.

    Args:
        stream: Where to, by default standard error.
    """
    logger = logging.getLogger("aegis_graph")
    if any(isinstance(one.formatter, JsonFormatter) for one in logger.handlers):
        return
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
