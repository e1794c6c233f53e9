"""What a forked process must forget: threads that it does not have, and locks that they held.

A process that was forked (gunicorn with a preloaded application, Celery, multiprocessing) has a
copy of every object and of one thread only. A loop whose thread is gone runs no work, and a
lock that another thread held at that moment is never released.
"""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Any

_resets: weakref.WeakKeyDictionary[Any, Callable[[Any], None]] = weakref.WeakKeyDictionary()


def reset_in_child(owner: object, reset: Callable[[Any], None]) -> None:
    """Have an object put in order in every process that is forked from now on.

    Args:
        owner: The object; it is not kept alive.
        reset: Called with it in the child, before anything else runs there. It takes no lock.
    """
    _resets[owner] = reset


def _reset_all() -> None:
    for owner, reset in list(_resets.items()):
        reset(owner)


# Not there on Windows, where no process is forked.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_reset_all)
