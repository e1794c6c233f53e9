"""The body of an answer, unpacked and counted while it comes: no server fills the memory."""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import Any

from aegis_graph.errors import MalformedAnswerError
from aegis_graph.providers.http.event_streams import BodyReader

MAX_BODY_BYTES = 16 * 1024**2
"""Of a whole answer, and of one event: a million tokens of text are 5 MB, a generated image 4 MB.
Parsed, JSON can take forty times its bytes."""
MAX_STREAM_BYTES = 64 * 1024**2
"""Of a stream: 190,000 chunks of one token, at the 350 bytes that servers take for one."""
STREAM_BYTES_PER_TOKEN = 512
"""What a stream may take where the row's own cap asks for more than that."""
MAX_ERROR_BYTES = 64 * 1024
"""Read of an error's body: its message and its code. What follows is cut off."""

_STEP = 256 * 1024
"""Most bytes that are unpacked at once."""

_GZIP_OR_ZLIB = zlib.MAX_WBITS | 32
_FRAME_BYTES = 2
"""After so many bytes zlib knows whether there is a frame."""


class Body:
    """Reads the body of one response, as often as the client begins to: it goes on where it was.

    Args:
        status: The status of the response.
        headers: Its headers; they no longer speak of an encoding afterwards.
        most_bytes: Most bytes of a whole answer.
        most_stream_bytes: Most bytes of a stream.

    Raises:
        MalformedAnswerError: The encoding was not offered, or it is larger than it may be.
    """

    def __init__(
        self, status: int, headers: Any, *, most_bytes: int, most_stream_bytes: int
    ) -> None:
        content_type = headers.get("content-type", "").lower()
        events = "event-stream" in content_type
        self._is_error = status >= 400
        self._most = most_stream_bytes if events or "ndjson" in content_type else most_bytes
        self._received = 0
        self._unpacked = 0
        self._inflater = _inflater(headers)
        self._reader = BodyReader(declared_events=events, most_event_bytes=most_bytes)
        length = headers.pop("content-length", "")
        if not self._is_error and length.isdecimal() and int(length[:20]) > self._most:
            raise self._too_large()

    async def read(self, pieces: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """The pieces as the client gets them.

        Raises:
            MalformedAnswerError: There are more bytes than there may be.
        """
        async for piece in pieces:
            self._received += len(piece)
            if self._is_error:
                for part in self._beginning_of(self._unpacked_parts(piece)):
                    yield part
                if self._unpacked >= MAX_ERROR_BYTES:
                    return
                continue
            # What stands behind the packed bytes comes to nothing, and still has to be read.
            if self._received > self._most:
                raise self._too_large()
            for part in self._unpacked_parts(piece):
                self._unpacked += len(part)
                if self._unpacked > self._most:
                    raise self._too_large()
                if ready := self._reader.feed(part):
                    yield ready
        if not self._is_error and (rest := self._reader.end()):
            yield rest

    def _unpacked_parts(self, piece: bytes) -> Iterable[bytes]:
        return (piece,) if self._inflater is None else self._inflater.parts(piece)

    def _beginning_of(self, parts: Iterable[bytes]) -> Iterator[bytes]:
        for part in parts:
            yield part[: MAX_ERROR_BYTES - self._unpacked]
            self._unpacked += len(part)
            if self._unpacked >= MAX_ERROR_BYTES:
                return

    def _too_large(self) -> MalformedAnswerError:
        return MalformedAnswerError(
            f"the answer is larger than {self._most:,} bytes", outcome_unknown=True
        )


class _Inflater:
    """Unpacks gzip and deflate in steps, where httpx would unpack a piece as a whole."""

    def __init__(self) -> None:
        self._zlib = zlib.decompressobj(_GZIP_OR_ZLIB)
        self._frame = bytearray()
        """The beginning, as long as it may turn out to be no frame."""
        self._framed = False

    def parts(self, packed: bytes) -> Iterator[bytes]:
        while packed:
            part = self._step(packed)
            packed = self._zlib.unconsumed_tail
            if part:
                yield part

    def _step(self, packed: bytes) -> bytes:
        try:
            part = self._zlib.decompress(packed, _STEP)
        except zlib.error as error:
            if self._framed:
                raise MalformedAnswerError(
                    "the body is not what its Content-Encoding says", outcome_unknown=True
                ) from error
            # Some servers send deflate without the frame that the standard asks for.
            self._framed = True
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
            return self._step(bytes(self._frame) + packed)
        if not self._framed:
            self._frame += packed
            self._framed = len(self._frame) >= _FRAME_BYTES
        return part


def _inflater(headers: Any) -> _Inflater | None:
    names = headers.pop("content-encoding", "").lower().replace(" ", "").split(",")
    codings = [name for name in names if name not in {"", "identity"}]
    if not codings:
        return None
    if codings in (["gzip"], ["x-gzip"], ["deflate"]):
        return _Inflater()
    raise MalformedAnswerError(
        "the answer is packed in a way that was not offered", outcome_unknown=True
    )
