"""Which process a worker is, so that another one on the same host can see that it has died."""

from __future__ import annotations

import os
import socket
from pathlib import Path


def this_host() -> str:
    """Names what process numbers are unique in: the host, and on Linux the container."""
    try:
        # Containers may share a host's name and a folder, and number their processes alike.
        space = os.readlink("/proc/self/ns/pid")
    except OSError:
        space = ""
    return f"{socket.gethostname()} {space}"


def this_process() -> str:
    """The number of this process, and when it began where that is known."""
    return _process(os.getpid())


def is_gone(host: str, process: str) -> bool:
    """Whether a process is known to have ended; ``False`` where that cannot be seen.

    Args:
        host: As its own ``this_host`` said.
        process: As its own ``this_process`` said.
    """
    if host != this_host():
        return False
    number = int(process.partition(" ")[0])
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    # The number may have gone to another process since.
    return _process(number) != process


def _process(number: int) -> str:
    try:
        stat = Path(f"/proc/{number}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return str(number)
    # Behind the name, which is in brackets and may have any letters: the 20th field is the start.
    fields = stat.rpartition(")")[2].split()
    # A zombie has ended, and waits for its parent only.
    return f"{number} {'ended' if fields[0] == 'Z' else fields[19]}"
