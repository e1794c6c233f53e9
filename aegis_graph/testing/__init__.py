"""A loopback server and scripted replies, for tests of applications that use this package."""

from aegis_graph.testing.loopback.journal import Produced, Received, Usage
from aegis_graph.testing.loopback.replies import Fault, RawReply, Reply
from aegis_graph.testing.loopback.server import LoopbackServer

__all__ = ["Fault", "LoopbackServer", "Produced", "RawReply", "Received", "Reply", "Usage"]
