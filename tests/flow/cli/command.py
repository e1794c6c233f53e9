"""The command line as the tests call it: in a process of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from subprocess import CompletedProcess

from tests import programs

MAIN = "import sys; from aegis_graph.cli import main; sys.exit(main())"


def aegis(
    *arguments: str,
    cwd: Path,
    environ: Mapping[str, str] | None = None,
    fresh: bool = False,
) -> CompletedProcess[str]:
    """Run a command in a folder, with a bare environment.

    Args:
        arguments: What follows ``aegis``.
        cwd: The folder.
        environ: What the environment says besides.
        fresh: In an interpreter that has imported nothing, as a user does.
    """
    variables = programs.bare(cwd, **(environ or {}))
    return programs.run_text(MAIN, *arguments, cwd=cwd, environ=variables, fresh=fresh)
