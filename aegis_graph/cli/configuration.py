"""The configuration of a command: ``--config``, the environment, and the ``.env`` beside either."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Callable
from pathlib import Path

from typing_extensions import override

from aegis_graph.config.env_file import NAME as ENV_FILE
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.config.sources import config_path, environment, warn_of_broken_lines


def load_config(
    options: argparse.Namespace,
    load: Callable[..., RouterConfig] = RouterConfig.load,
) -> RouterConfig:
    """Read the configuration that a command line names.

    Where no file is named, ``.env`` in the working folder is read; beside a file, the one there.

    Args:
        options: Of the command line.
        load: ``RouterConfig.load``, or ``RouterConfig.load_vision``.

    Raises:
        ConfigError: One line that names the key and the file.
    """
    _show_warnings()
    path = config_path(options.config)
    if path is not None:
        return load(path)
    env_file = Path.cwd() / ENV_FILE
    warn_of_broken_lines(env_file)
    config = load(environ=environment(env_file))
    # For the keys, which are looked up when a call is made.
    return config.model_copy(update={"env_file": env_file})


class _Lines(logging.Handler):
    """Each warning in a line of standard error, once: two chains may be read of one file."""

    def __init__(self) -> None:
        super().__init__()
        self._shown: set[str] = set()

    @override
    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        if line not in self._shown:
            self._shown.add(line)
            print(f"aegis: {line}", file=sys.stderr)


def _show_warnings() -> None:
    log = logging.getLogger("aegis_graph.config")
    if not any(isinstance(handler, _Lines) for handler in log.handlers):
        log.addHandler(_Lines())
