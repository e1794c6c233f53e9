"""A server on 127.0.0.1 that speaks the protocols of Ollama, OpenAI and DashScope."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from types import TracebackType

from aiohttp import web

from aegis_graph.testing.loopback.batch_desk import BatchDesk
from aegis_graph.testing.loopback.handler import Handler
from aegis_graph.testing.loopback.journal import Journal, ProtocolName, Received
from aegis_graph.testing.loopback.replies import Step
from aegis_graph.testing.loopback.script import Script
from aegis_graph.testing.wires.batches import COMPATIBLE_ROOT

DEFAULT_MODELS = ("llama3.2:3b", "gpt-4o", "qwen-plus")
BACKLOG = 4096
"""Connections that may wait to be accepted: a thousand clients connect in one moment."""
MAX_BODY_BYTES = 64 * 1024**2
"""Large enough for a few images."""
STOP_WAIT_S = 60.0
"""How long the thread may take to start or to end, in seconds."""


class LoopbackServer:
    """Plays scripted answers to real clients over real HTTP.

    It runs an event loop on a thread of its own, so it serves async and sync clients alike. Every
    answer must be scripted: a call that was not is answered with status 501, and
    ``assert_all_used`` reports it. Embedding calls need no script: they are answered with vectors
    of hashed words; only steps for their very model are theirs, to play faults.

    Batches of OpenAI's form are taken at ``openai_url`` and ``compatible_url``: each line of a file
    is a call in the journal, and answered by the script when the batch is first asked for.

    Args:
        models: The models that ``/api/tags`` and ``/v1/models`` list.

    Example:
        >>> from aegis_graph.testing import Fault, LoopbackServer, Reply
        >>> with LoopbackServer() as server:
        ...     server.script("openai", Fault.status(429, retry_after_s=1), Reply("Hello"))
        ...     # ask server.openai_url with any OpenAI client, twice
        ...     len(server.calls("openai"))
        0
    """

    def __init__(self, *, models: Sequence[str] = DEFAULT_MODELS) -> None:
        self.models: Sequence[str] = tuple(models)
        self._script = Script()
        self._journal = Journal()
        self._batches = BatchDesk(self._journal, self._script)
        self._address: tuple[str, int] = ("127.0.0.1", 0)
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()

    def __enter__(self) -> LoopbackServer:
        return self if self._thread is not None else self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> LoopbackServer:
        """Listen. A server that was stopped comes back on the same port."""
        if self._thread is not None:
            raise RuntimeError("the loopback server is already running")
        # On the caller's thread, so that the address is known and a taken port is the caller's
        # error.
        listener = socket.create_server(self._address, backlog=BACKLOG)
        self._address = listener.getsockname()[:2]
        # The event of an earlier run is set, and belongs to a loop that has ended.
        ready: Future[None] = Future()
        self._stopping = asyncio.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(listener, ready)),
            name="aegis-loopback-server",
            # A test that forgets to stop the server must not keep its process alive.
            daemon=True,
        )
        self._thread.start()
        ready.result(STOP_WAIT_S)
        return self

    def stop(self) -> None:
        """Close every connection and end the thread. What was received stays readable."""
        if self._thread is None or self._loop is None:
            return
        self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join(STOP_WAIT_S)
        if self._thread.is_alive():
            raise RuntimeError(f"the loopback server did not stop within {STOP_WAIT_S:g} s")
        self._thread = self._loop = None

    @property
    def ollama_url(self) -> str:
        """Base address for Ollama clients."""
        if not self._address[1]:
            raise RuntimeError("the loopback server has no address before it is started")
        return f"http://127.0.0.1:{self._address[1]}"

    @property
    def openai_url(self) -> str:
        """Base address for OpenAI clients."""
        return f"{self.ollama_url}/v1"

    @property
    def dashscope_url(self) -> str:
        """Base address for clients of the native DashScope protocol."""
        return f"{self.ollama_url}/api/v1"

    @property
    def compatible_url(self) -> str:
        """Base address for OpenAI clients of DashScope."""
        return f"{self.ollama_url}{COMPATIBLE_ROOT}"

    def script(self, protocol: ProtocolName, *steps: Step, model: str | None = None) -> None:
        """Answer the next calls with these steps, one each, in order.

        Args:
            protocol: ``ollama``, ``openai`` or ``dashscope``.
            steps: Replies and faults, or functions from the call to one of them, which run on
                the server's thread. They come after those of earlier calls of this method.
            model: Only for calls to this model; these come before the others.
        """
        self._script.add(protocol, model, steps)

    def always(self, protocol: ProtocolName, step: Step, *, model: str | None = None) -> None:
        """Answer every call with this step once the script is used up."""
        self._script.add_always(protocol, model, step)

    @property
    def journal(self) -> tuple[Received, ...]:
        """Every request so far, calls for models included."""
        return self._journal.entries

    def calls(self, protocol: ProtocolName | None = None) -> tuple[Received, ...]:
        """The calls for an answer so far, of one protocol or of all."""
        return tuple(
            entry
            for entry in self._journal.entries
            if entry.generation and protocol in (None, entry.protocol)
        )

    @property
    def in_flight(self) -> int:
        """Calls for an answer being served right now."""
        return self._journal.in_flight

    @property
    def peak_in_flight(self) -> int:
        """The most calls for an answer that were served at the same time."""
        return self._journal.peak_in_flight

    def wait_for_calls(self, count: int, *, timeout_s: float = 60.0) -> None:
        """Block until so many calls for an answer have arrived.

        This and the other ``wait_`` methods block the thread: ``await asyncio.to_thread(...)``
        them where the clients run on the same event loop.

        Raises:
            TimeoutError: They did not arrive in time.
        """
        self._journal.wait_for(
            lambda: self._journal.arrived >= count, timeout_s=timeout_s, goal=f"{count} calls"
        )

    def wait_until(self, condition: Callable[[], bool], *, timeout_s: float = 60.0) -> None:
        """Block until a condition on the calls holds; it is asked whenever something goes out.

        Raises:
            TimeoutError: It did not hold in time.
        """
        self._journal.wait_for(condition, timeout_s=timeout_s, goal="the condition")

    def wait_until_idle(self, *, timeout_s: float = 60.0) -> None:
        """Block until no call is being served, so that what they produced is final.

        Raises:
            TimeoutError: A call was still being served.
        """
        self._journal.wait_for(
            lambda: not self._journal.in_flight, timeout_s=timeout_s, goal="no call in flight"
        )

    def hold_batches(self, *, hold: bool = True) -> None:
        """Let lines of batches wait for ``run_batches``, or wait no longer."""
        self._batches.waits = hold

    def run_batches(self, lines: int | None = None, *, expire: bool = False) -> None:
        """Answer lines of the batches that are under way.

        Args:
            lines: So many of each; all of them when absent.
            expire: Whether their time is over then: the lines that are left were never answered.
        """
        self._batches.run(lines, expire=expire)

    def lose_answer(self, method: str, path: str) -> None:
        """Do what the next such request asks for, and close its connection without a word."""
        self._batches.lost.append((method, path))

    @property
    def batches(self) -> dict[str, str]:
        """The status of each batch by its id, in the order of their creation."""
        return {name: batch.status for name, batch in self._batches.batches.items()}

    @property
    def batch_files(self) -> tuple[str, ...]:
        """The ids of the files that are kept: uploaded or written, and not deleted."""
        return tuple(self._batches.files)

    def assert_all_used(self) -> None:
        """Fail when a scripted step was never used, or a call had no step."""
        self._script.assert_all_used()

    async def _serve(self, listener: socket.socket, ready: Future[None]) -> None:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        handler = Handler(self._journal, self._script, self._batches, models=lambda: self.models)
        app.router.add_route("*", "/{path:.*}", handler.handle)
        # Without cancellation a call would be served to its end after its client has gone.
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1
        )
        await runner.setup()
        await web.SockSite(runner, listener, backlog=BACKLOG).start()
        # Before ``ready``: ``stop`` does nothing on a server without a loop.
        self._loop = asyncio.get_running_loop()
        ready.set_result(None)
        await self._stopping.wait()
        # Before the clean-up, so that the handlers know that the server ends and no client went
        # away.
        handler.cancel_all()
        await runner.cleanup()
