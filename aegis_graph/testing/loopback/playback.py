"""Plays one reply or fault to one client, and keeps count of what really went out."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from aegis_graph.testing.loopback.journal import Received, Usage
from aegis_graph.testing.loopback.replies import Fault, RawReply, Reply
from aegis_graph.testing.wires.wire import Wire, WireChunk, characters, to_json


@dataclass(frozen=True, slots=True)
class Exchange:
    """One call on its way to being answered."""

    wire: Wire
    call: Received
    request: web.Request
    on_write: Callable[[], None]
    """Called whenever the call has produced something."""

    async def play(self, step: Reply | Fault | RawReply) -> web.StreamResponse:
        """Answer the call.

        Raises:
            ConnectionResetError: The client went away.
        """
        if isinstance(step, Reply):
            return await self._answer(step)
        if isinstance(step, RawReply):
            return await self._send_raw(step)
        return await _FAULTS[step.kind](self, step)

    async def send_json(
        self, status: int, body: object, headers: Mapping[str, str] | None = None
    ) -> web.StreamResponse:
        """Answer with a body that is no answer of a model: an error, or a list of models."""
        response = web.Response(
            status=status, body=to_json(body), content_type="application/json", headers=headers
        )
        await self._start(response)
        await response.write_eof()
        return response

    async def send_bytes(self, body: bytes) -> web.StreamResponse:
        """Answer with a file."""
        response = web.Response(body=body, content_type="application/octet-stream")
        await self._start(response)
        await response.write_eof()
        return response

    async def drop(self) -> web.StreamResponse:
        """Close the connection without an answer."""
        self._close()
        return web.Response()

    async def _send_raw(self, reply: RawReply) -> web.StreamResponse:
        writer, produced = self.request.writer, self.call.produced
        self._check_open()
        produced.status = reply.status
        self.on_write()
        # Before any response is prepared the writer passes bytes on as they are.
        pieces = reply.framed()
        if not pieces:
            await writer.write(reply.head())
        for index, piece in enumerate(pieces):
            if index and reply.chunk_interval_s:
                await asyncio.sleep(reply.chunk_interval_s)
            self._check_open()
            produced.chunks_sent = index + 1
            produced.completed = reply.ending == "clean" and index + 1 == len(pieces)
            self.on_write()
            # The headers never come alone: a client that reads them has something to read.
            await writer.write(piece if index else reply.head() + piece)
        if reply.ending == "hang":
            await asyncio.Event().wait()
        if reply.ending == "reset":
            self._reset()
        else:
            self._close()
        return web.Response()

    def _reset(self) -> None:
        transport = self.request.transport
        if transport is not None:
            # Without a time to linger, closing a socket is a reset.
            connection = transport.get_extra_info("socket")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.close()

    async def _answer(self, reply: Reply) -> web.StreamResponse:
        if not self.call.streamed:
            body = to_json(self.wire.whole(reply, self.call))
            return await self._send_body(body, reply, self.wire.usage(reply), completed=True)
        response = await self._send_pieces(reply, None)
        # Before the last bytes: a client that has them finds the call completed.
        self.call.produced.completed = True
        await self._write(response, self.wire.ending(reply, self.call), pieces=0)
        await response.write_eof()
        return response

    async def _send_body(
        self, body: bytes, reply: Reply, usage: Usage | None, *, completed: bool
    ) -> web.StreamResponse:
        # As long as the stream would take: what is not streamed comes when all of it is there.
        await asyncio.sleep(_generation_s(reply))
        response = web.Response(body=body, content_type="application/json")
        self._check_open()
        produced = self.call.produced
        produced.chunks_sent, produced.characters_sent = 1, characters(reply)
        produced.usage, produced.completed = usage, completed
        await self._start(response)
        await response.write_eof()
        return response

    async def _send_pieces(self, reply: Reply, count: int | None) -> web.StreamResponse:
        await asyncio.sleep(reply.wait_s())
        response = web.StreamResponse(
            headers={"Content-Type": self.wire.stream_type, "Cache-Control": "no-cache"}
        )
        await self._start(response)
        for index, chunk in enumerate(self.wire.chunks(reply, self.call)[:count]):
            if index and reply.chunk_interval_s:
                await asyncio.sleep(reply.chunk_interval_s)
            await self._write(response, chunk)
        return response

    async def _start(self, response: web.StreamResponse) -> None:
        self._check_open()
        self.call.produced.status = response.status
        await response.prepare(self.request)
        self.on_write()

    async def _write(
        self, response: web.StreamResponse, chunk: WireChunk, *, pieces: int = 1
    ) -> None:
        # Counted first: a client that has read the bytes finds them in the journal.
        self._check_open()
        produced = self.call.produced
        produced.chunks_sent += pieces
        produced.characters_sent += chunk.characters
        produced.usage = chunk.usage or produced.usage
        self.on_write()
        await response.write(chunk.data)

    def _check_open(self) -> None:
        # Looked at before each count: what a client that has gone cannot read is not counted.
        transport = self.request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client went away")

    def _close(self) -> None:
        if self.request.transport is not None:
            self.request.transport.close()

    async def _status(self, fault: Fault) -> web.StreamResponse:
        headers = {}
        if fault.retry_after_s is not None:
            headers["Retry-After"] = f"{fault.retry_after_s:g}"
        body = self.wire.error(fault.status_code, fault.error_code, fault.message)
        return await self.send_json(fault.status_code, body, headers)

    async def _hang(self, fault: Fault) -> web.StreamResponse:
        # Until the client goes away or the server stops: both cancel this.
        await asyncio.Event().wait()
        raise AssertionError("nobody sets this event")

    async def _drop(self, fault: Fault) -> web.StreamResponse:
        return await self.drop()

    async def _reply(self, fault: Fault) -> web.StreamResponse:
        return await self._answer(fault.reply)

    async def _cut(self, fault: Fault) -> web.StreamResponse:
        if self.call.streamed:
            response = await self._send_pieces(fault.reply, fault.after_chunks)
        else:
            await asyncio.sleep(_generation_s(fault.reply))
            body = to_json(self.wire.whole(fault.reply, self.call))
            response = web.StreamResponse()
            response.content_type = "application/json"
            # The whole length is announced, so that the client can notice that half is missing.
            response.content_length = len(body)
            await self._start(response)
            await response.write(body[: len(body) // 2])
        self._close()
        return response

    async def _end_early(self, fault: Fault) -> web.StreamResponse:
        if self.call.streamed:
            response = await self._send_pieces(fault.reply, fault.after_chunks)
            await response.write_eof()
            return response
        part = fault.reply.first(fault.after_chunks)
        body = to_json(self.wire.whole(part, self.call, finished=False))
        return await self._send_body(body, part, None, completed=False)

    async def _malformed(self, fault: Fault) -> web.StreamResponse:
        if self.call.streamed:
            response = await self._send_pieces(fault.reply, fault.after_chunks)
            await response.write(self.wire.broken_event(fault.after_chunks + 1))
            await response.write_eof()
            return response
        body = to_json(self.wire.whole(fault.reply, self.call))
        return await self._send_body(body[: len(body) // 2], Reply(), None, completed=False)

    async def _stream_error(self, fault: Fault) -> web.StreamResponse:
        if not self.call.streamed:
            return await self.send_json(500, self.wire.error(500, fault.error_code, None))
        response = await self._send_pieces(fault.reply, fault.after_chunks)
        # DashScope numbers its events, from 1.
        number = self.call.produced.chunks_sent + 1
        await response.write(self.wire.stream_error(fault.error_code, number))
        await response.write_eof()
        return response


_FAULTS: Mapping[str, Callable[[Exchange, Fault], Awaitable[web.StreamResponse]]] = {
    "cut": Exchange._cut,
    "drop": Exchange._drop,
    "end_early": Exchange._end_early,
    "hang": Exchange._hang,
    "malformed": Exchange._malformed,
    "no_usage": Exchange._reply,
    "slow_stream": Exchange._reply,
    "status": Exchange._status,
    "stream_error": Exchange._stream_error,
}


def _generation_s(reply: Reply) -> float:
    # A pause stands between two pieces; an answer without any has none, and not minus one.
    pauses = len(reply.reasoning_pieces()) + len(reply.pieces()) - 1
    return reply.wait_s() + reply.chunk_interval_s * max(pauses, 0)
