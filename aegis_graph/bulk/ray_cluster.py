"""The Ray cluster that a job runs on: that of the application, or one of this host alone."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import ray

OBJECT_STORE_BYTES = 100 * 2**20
"""Of our own cluster: only inputs and outputs above 100 kB go through it."""

# Otherwise Ray asks for the way to the internet to find this host's address, also for 127.0.0.1.
_LOOPBACK = "127.0.0.2" if sys.platform == "linux" else None


def connect(workers: int) -> bool:
    """Join the cluster that the application has joined or ``RAY_ADDRESS`` names, or start one.

    Args:
        workers: For how many actors there has to be room in one of our own.

    Returns:
        Whether it is left again at the job's end, because it was joined or started here.
    """
    if ray.is_initialized():
        return False
    # Ray reports its use to its vendor unless this says otherwise, in the process that starts it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    address = os.environ.get("RAY_ADDRESS")
    if address:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    else:
        ray.init(
            address="local",
            num_cpus=workers,
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _node_ip_address=_LOOPBACK,
        )
    return True


def hosts() -> set[str]:
    """The addresses of the hosts that are in the cluster now."""
    nodes: Any = ray.nodes  # Ray has no type for it.
    return {str(node["NodeManagerAddress"]) for node in nodes() if node["Alive"]}
