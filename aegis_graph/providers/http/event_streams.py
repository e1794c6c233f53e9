"""Bodies as clients can read them, made so byte by byte and without a look into their JSON.

Servers and the gateways before them send what the standards allow and clients trip over: events
without data as heartbeats, a byte order mark, other ends of lines, a last event without its blank
line. A piece of a stream that has none of it passes as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from aegis_graph.errors import MalformedAnswerError

BOM = b"\xef\xbb\xbf"
DONE = b"[DONE]"
_FIELDS = (b"data", b"event", b"id", b"retry", b":")
"""How the first line of an event stream can begin; no JSON does."""

_LINE_ENDS = re.compile(rb"[\r\n][ \t\r\n]*")
_NOT_LINE_ENDS = re.compile(rb"\xc2\x85|\xe2\x80[\xa8\xa9]")
"""Characters at which Python splits a text into lines, and JSON does not."""


class BodyReader:
    """Passes a body on, cleaned as the event stream or the lines of JSON that it is.

    Args:
        declared_events: Whether the answer is declared as an event stream.
        most_event_bytes: The most that is kept until an event is complete.
    """

    def __init__(self, *, declared_events: bool, most_event_bytes: int) -> None:
        self._declared_events = declared_events
        self._most = most_event_bytes
        self._held = b""
        self._reader: EventReader | LineReader | None = None

    def feed(self, piece: bytes) -> bytes:
        """What of the body is ready once this piece is there.

        Raises:
            MalformedAnswerError: An event is too long to be kept.
        """
        if self._reader is None:
            # Blank lines may stand before either form, and mean nothing there.
            head = (self._held + piece).lstrip().removeprefix(BOM).lstrip()
            if any(start.startswith(head) for start in (BOM, *_FIELDS)):
                self._held = head
                return b""
            piece, self._held = head, b""
            self._reader = self._reader_for(head)
        return self._reader.feed(piece)

    def end(self) -> bytes:
        """What is left when the body is complete."""
        return self._held if self._reader is None else self._reader.end()

    def _reader_for(self, head: bytes) -> EventReader | LineReader:
        if head.startswith(_FIELDS) or (self._declared_events and not head.startswith(b"{")):
            return EventReader(self._most)
        return LineReader()


class EventReader:
    """Passes on the events of a stream that carry data, up to ``[DONE]``.

    Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
    """

    def __init__(self, most_bytes: int) -> None:
        self._most = most_bytes
        self._line: list[bytes] = []
        self._event: list[bytes] = []
        self._kept = 0
        self._after_cr = False
        self._done = False

    def feed(self, piece: bytes) -> bytes:
        """The events that this piece completes."""
        if not self._kept and not self._after_cr and _is_plain(piece) and not self._done:
            self._done = piece.endswith(b"data: [DONE]\n\n")
            return piece
        return b"".join(self._events(piece))

    def end(self) -> bytes:
        """The last event, where nothing but its blank line is missing."""
        if self._line:
            self._take(b"".join(self._line))
        last = _data_of(self._event[-1]) if self._event else b""
        # Part of an event is what a broken connection leaves.
        return self._dispatch() if last.endswith((b"}", DONE)) else b""

    def _events(self, piece: bytes) -> Iterator[bytes]:
        if self._after_cr and piece.startswith(b"\n"):
            piece = piece[1:]
            self._after_cr = False
        for part in piece.splitlines(keepends=True):
            line = part.rstrip(b"\r\n")
            self._kept += len(line)
            if self._kept > self._most:
                raise MalformedAnswerError(
                    f"one event of the stream is longer than {self._most:,} bytes",
                    outcome_unknown=True,
                )
            self._line.append(line)
            if len(line) == len(part):
                break
            whole = b"".join(self._line)
            self._line.clear()
            if whole:
                self._take(whole)
            else:
                yield self._dispatch()
        if piece:
            self._after_cr = piece.endswith(b"\r")

    def _take(self, line: bytes) -> None:
        if line.startswith((b"data:", b"event:")) or line == b"data":
            self._event.append(line)

    def _dispatch(self) -> bytes:
        lines, self._event, self._kept = self._event, [], 0
        data = [_data_of(line) for line in lines]
        if self._done or not any(data):
            return b""
        self._done = DONE in data
        return b"\n".join(lines) + b"\n\n"


class LineReader:
    """Passes on JSON without blank lines, whether it is one value or one for each line."""

    def __init__(self) -> None:
        self._at_start = True
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        """The piece, cleaned; a byte or two may be held back until the next one."""
        piece = self._held + piece
        self._held = b""
        if piece.endswith((b"\xc2", b"\xe2", b"\xe2\x80")):
            cut = -2 if piece.endswith(b"\x80") else -1
            piece, self._held = piece[:cut], piece[cut:]
        if b"\xc2\x85" in piece or b"\xe2\x80" in piece:
            piece = _NOT_LINE_ENDS.sub(_escaped, piece)
        if b"\n\n" in piece or b"\r" in piece or b"\n " in piece:
            piece = _LINE_ENDS.sub(b"\n", piece)
        if self._at_start:
            piece = piece.lstrip(b" \t\r\n")
        if piece:
            self._at_start = piece.endswith(b"\n")
        return piece

    def end(self) -> bytes:
        """What was held back."""
        return self._held


def _is_plain(piece: bytes) -> bool:
    """Whether a piece is whole events, each of one line of data that is not empty."""
    ends = piece.count(b"\n\n")
    return (
        piece.startswith(b"data:")
        and piece.endswith(b"\n\n")
        and piece.count(b"\n") == 2 * ends
        and piece.count(b"\ndata:") == ends - 1
        and b"data:\n" not in piece
        and b"data: \n" not in piece
        and b"data:  " not in piece
        and b"\r" not in piece
    )


def _data_of(line: bytes) -> bytes:
    """The data of a line, without the spaces around it; nothing for a line of another field."""
    return line[len(b"data:") :].strip() if line.startswith(b"data:") else b""


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())
