"""Keeps onnxruntime, which text recognition runs on, from reporting to its vendor."""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import sys
import threading
from functools import cache
from pathlib import Path
from types import ModuleType

from aegis_graph.errors import ConfigError

NO_TELEMETRY = "ORT_DISABLE_TELEMETRY"
"""The variable that keeps onnxruntime from reporting to its vendor."""

_ON = frozenset({"1", "true", "yes", "on", "y"})
"""What onnxruntime takes for a set variable, in any case."""

_FIRST_WITH_TELEMETRY = (1, 29)
"""The first release that reports over the network by itself."""

_looking = threading.Lock()


def switch_telemetry_off() -> None:
    """Keep onnxruntime from reporting to its vendor what it is used for.

    Raises:
        ConfigError: The application imported it with its telemetry on. That lasts as long as the
            process, and an image that must stay on this machine must not start a report.
    """
    with _looking:
        silent = _telemetry_is_off()
    if not silent:
        raise ConfigError(
            f"{NO_TELEMETRY}: onnxruntime was imported before text recognition was opened, and its"
            " telemetry is on until the process ends; set this variable to 1 before the import"
        )
    # Releases before 1.29 trace to Windows, which may pass it on; they heed this call alone.
    importlib.import_module("onnxruntime").disable_telemetry_events()


@cache
def _telemetry_is_off() -> bool:
    """Whether it is off from here on; asked once, because the library reads the variable once."""
    before = os.environ.get(NO_TELEMETRY, "")
    # Before the look, so that an import in another thread is either seen or silent. The variable
    # stays, also for processes that this one starts.
    os.environ[NO_TELEMETRY] = "1"
    library = sys.modules.get("onnxruntime")
    if library is None or not _has_telemetry(library):
        return True
    return before.strip().lower() in _ON and not _report_file_is_open()


def _has_telemetry(library: ModuleType) -> bool:
    """Whether this release can report; one that does not say its version is taken to."""
    numbers = re.match(r"(\d+)\.(\d+)", getattr(library, "__version__", ""))
    return numbers is None or tuple(map(int, numbers.groups())) >= _FIRST_WITH_TELEMETRY


def _report_file_is_open() -> bool:
    """Whether its file of reports is open, and so the variable was set too late.

    Only Linux lists a process's open files; elsewhere the variable is taken at its word.
    """
    for file in Path("/proc/self/fd").glob("*"):
        try:
            if ".onnxruntime" in os.readlink(file):
                return True
        except OSError:
            continue  # closed by another thread meanwhile
    return False
