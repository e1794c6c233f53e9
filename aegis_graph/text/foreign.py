"""What a provider wrote, made fit for a row, a log and a terminal: short, printable, and discreet.

An error's code and message are foreign text. They may steer a terminal, hold what no database
takes, or repeat what the provider was sent: the key, or the prompt.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Container, Iterator, Sequence
from typing import Any
from urllib.parse import quote

from aegis_graph.errors import ProviderError

MAX_LENGTH = 200
"""Characters that are kept of a foreign text."""

HIDDEN = "***"
"""Stands where a key was."""

_MAX_READ = 4000
CONTROL_SEQUENCE = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|\x1b."
)
_MESSAGE_PIECE = 24
_CODE_PIECE = 8
"""So many characters in a row, spaces left out, that are in the prompt as well are no chance."""


def clean_error(
    error: ProviderError, *, key: str | None, prompt: Sequence[str], known: Container[str] = ()
) -> None:
    """Clean what an error says, in place: every error of a provider leaves through here.

    Args:
        error: Its message and its code are replaced.
        key: The provider's key.
        prompt: The texts that were sent.
        known: Codes in lower case that are words of a protocol, also where the prompt has them.
    """
    message, code = str(error)[:_MAX_READ], error.code
    sent = [squeezed for squeezed in map(_squeeze, prompt) if squeezed]
    if code is not None and code.casefold() not in known:
        cleaned = clean_text(code, key=key)
        own = _squeeze(code)
        if cleaned != code or any(own in one for one in sent) or _echoes(own, sent, _CODE_PIECE):
            message = message.replace(f" ({code})", "").replace(code, HIDDEN)
            code = None
    own = _squeeze(message if code is None else message.replace(code, ""))
    if _echoes(own, sent, _MESSAGE_PIECE):
        message = "its words repeat the prompt" if error.status is None else f"HTTP {error.status}"
    error.args = (clean_text(message, key=key),)
    error.code = code


def clean_text(text: str, *, key: str | None = None) -> str:
    """A foreign text in one short, printable line, without the key.

    Example:
        >>> clean_text(f"no{chr(27)}[2J such {chr(10)} key: sk-1", key="sk-1")
        'no such key: ***'
    """
    text = CONTROL_SEQUENCE.sub("", text[:_MAX_READ])
    # Neither controls nor marks of direction nor half a character are printable.
    text = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    for secret in _forms(key):
        text = re.sub(re.escape(secret), HIDDEN, text, flags=re.IGNORECASE)
        if _squeeze(secret) in _squeeze(text):
            return HIDDEN
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def whole_characters(text: str) -> str:
    r"""A text in which halves of characters, which no database or wire takes, are U+FFFD.

    Example:
        >>> whole_characters("ok \ud83d"), whole_characters("\ud83d\ude00") == "\U0001f600"
        ('ok \ufffd', True)
    """
    # Nearly every text has none, and is left as it is; encoding it finds that out fastest.
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def with_whole_characters(value: Any) -> Any:
    """A JSON value whose texts and keys are ``whole_characters``.

    It is the same object where it has no half of one.
    """
    if isinstance(value, str):
        return whole_characters(value)
    if isinstance(value, list):
        made: Any = [with_whole_characters(one) for one in value]
    elif isinstance(value, dict):
        made = {with_whole_characters(k): with_whole_characters(v) for k, v in value.items()}
    else:
        return value
    return value if made == value else made


def _forms(key: str | None) -> Iterator[str]:
    """A key as a server may repeat it: as it was sent, in an address, in a header's encoding."""
    if not key or not key.strip():
        return
    raw = key.encode("utf-8", "replace")
    yield from {
        key,
        quote(raw, safe=""),
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    }


def _squeeze(text: str) -> str:
    return "".join(text.split()).casefold()


def _echoes(own: str, sent: Sequence[str], length: int) -> bool:
    """Whether a text has a piece of one that was sent, or all of a short one."""
    starts = range(0, len(own[:_MAX_READ]) - length + 1, length // 2)
    pieces = [own[start : start + length] for start in starts]
    return any(
        any(piece in one for piece in pieces) or (len(one) >= length // 3 and one in own)
        for one in sent
    )
