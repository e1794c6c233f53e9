"""A loopback server and scripted replies, for tests of applications that use this package."""

from aegis_graph.testing.journal import Produced, Received, Usage
from aegis_graph.testing.replies import Fault, Reply
from aegis_graph.testing.server import LoopbackServer

__all__ = ["Fault", "LoopbackServer", "Produced", "Received", "Reply", "Usage"]
