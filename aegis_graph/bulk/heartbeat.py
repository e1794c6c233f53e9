"""Keeps the leases of a worker, also while its event loop is busy."""

from __future__ import annotations

import logging
import threading

from aegis_graph.bulk.queue import LEASE_S, WorkQueue
from aegis_graph.errors import StoreError

logger = logging.getLogger(__name__)


class Heartbeat:
    """A thread that renews a worker's leases until it is stopped.

    Args:
        queue: Of the job.
        worker: Its name.
    """

    def __init__(self, queue: WorkQueue, worker: str) -> None:
        self._queue = queue
        self._worker = worker
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="aegis-bulk-heart", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the thread, and wait for it."""
        self._stop.set()
        self._thread.join()

    def _beat(self) -> None:
        while not self._stop.wait(LEASE_S / 6):
            try:
                self._queue.renew(self._worker)
            except StoreError as error:
                # The next one may succeed; the worker itself meets what lasts.
                logger.warning("the leases could not be renewed: %s", error)
