"""Bodies as clients can read them, made so byte by byte and without a look into their JSON.

Servers and the gateways before them send what the standards allow and clients trip over: events
without data as heartbeats, a byte order mark, other ends of lines, a last event without its blank
line. A piece of a stream that has none of it passes as it is.
"""

from __future__ import annotations

import re

from aegis_graph.errors import MalformedAnswerError

BOM = b"\xef\xbb\xbf"
DONE = b"[DONE]"
_FIELDS = (b"data", b"event", b"id", b"retry", b":")
"""How the first line of an event stream can begin; no JSON does."""

_PLAIN = re.compile(rb"(?>data: ?+[^ \r\n][^\r\n]*+\n\n)++")
"""Whole events, each of one line of data that is not empty. Nothing in it goes back."""
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
        self._begun: list[bytes] = []
        """Pieces of an event whose end is not there yet."""
        self._kept = 0
        self._after_cr = False
        self._done = False

    def feed(self, piece: bytes) -> bytes:
        """The events that this piece completes."""
        if not self._kept and not self._after_cr and not self._done and _PLAIN.fullmatch(piece):
            self._done = piece.endswith(b"data: [DONE]\n\n")
            return piece
        piece = self._with_line_feeds(piece)
        if not piece:
            return b""
        before = self._begun[-1][-1:] if self._begun else b""
        self._begun.append(piece)
        self._kept += len(piece)
        # Looked for in the new piece alone: a long event comes in thousands of them.
        if b"\n\n" in before + piece:
            *events, rest = b"".join(self._begun).split(b"\n\n")
            self._begun, self._kept = [rest] if rest else [], len(rest)
            return b"".join(map(self._cleaned, events))
        if self._kept > self._most:
            raise MalformedAnswerError(
                f"one event of the stream is larger than {self._most:,} bytes",
                outcome_unknown=True,
            )
        return b""

    def end(self) -> bytes:
        """The last event, where nothing but its blank line is missing."""
        rest = b"".join(self._begun).rstrip()
        # Part of an event is what a broken connection leaves.
        return self._cleaned(rest) if rest.endswith((b"}", DONE)) else b""

    def _with_line_feeds(self, piece: bytes) -> bytes:
        if self._after_cr and piece:
            piece = piece.removeprefix(b"\n")
            self._after_cr = False
        if b"\r" in piece:
            self._after_cr = piece.endswith(b"\r")
            piece = piece.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        return piece

    def _cleaned(self, event: bytes) -> bytes:
        """An event with the lines that clients read; nothing for one without data."""
        lines = [line for line in event.split(b"\n") if line.startswith((b"data", b"event:"))]
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


def _data_of(line: bytes) -> bytes:
    """The data of a line, without the spaces around it; nothing for a line of another field."""
    return line[len(b"data:") :].strip() if line.startswith(b"data:") else b""


def _escaped(match: re.Match[bytes]) -> bytes:
    return b"\\u%04x" % ord(match[0].decode())
