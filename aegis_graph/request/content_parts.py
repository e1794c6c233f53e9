"""What the messages of a request are made of: text and images, each checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from langchain_core.messages import BaseMessage

from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.images import (
    ImageSize,
    base64_field,
    base64_of_address,
    decode_base64,
    image_addresses,
    is_image,
    read_image_header,
)
from aegis_graph.request.prompt_text import utf8_size

MAX_PROMPT_BYTES = 8_000_000
"""Above the largest context of any provider (1 M tokens of several bytes): surely a mistake."""


class RequestImage(NamedTuple):
    """An image among the messages."""

    remote: bool
    """Whether the message has its address only."""
    size: ImageSize | None
    """``None`` where only the provider will know it."""


def check_parts(messages: Sequence[BaseMessage]) -> list[RequestImage]:
    """Check every content part, and say which images are among them.

    Raises:
        InvalidRequestError: One line that says what is wrong.
    """
    if not messages:
        raise InvalidRequestError("messages: empty; give at least one message")
    size = 0
    images: list[RequestImage] = []
    for number, message in enumerate(messages):
        if not isinstance(message, BaseMessage):
            raise InvalidRequestError(f"messages[{number}]: not a LangChain message")
        parts = [message.content] if isinstance(message.content, str) else message.content
        for place, part in enumerate(parts):
            where = f"messages[{number}].content[{place}]"
            if not isinstance(part, str) and is_image(part):
                images.append(request_image(part, where))
                continue
            text = part if isinstance(part, str) else part.get("text")
            more = utf8_size(text) if isinstance(text, str) else 0
            if more is None:
                raise InvalidRequestError(f"{where}: not valid Unicode text")
            size += more
    if size > MAX_PROMPT_BYTES:
        raise InvalidRequestError(
            f"messages: {size:,} bytes of text; at most {MAX_PROMPT_BYTES:,} can be asked"
        )
    return images


def request_image(part: Mapping[str, Any], where: str) -> RequestImage:
    """An image is an https address or base64 data; never a path, which a client might read.

    Args:
        part: The part of a message that is one.
        where: What an error calls it.

    Raises:
        InvalidRequestError: It is neither.
    """
    # All of them, because it is unknown which one a provider's client prefers.
    texts = [base64_of_address(address) for address in image_addresses(part)]
    data = base64_field(part)
    given = [*texts, data] if data is not None else texts
    if not given or not all(isinstance(text, str) for text in given):
        raise InvalidRequestError(
            f"{where}: an image must be an https:// address or data:image/...;base64, data"
        )
    try:
        facts = [read_image_header(decode_base64(text)) for text in given if text]
    except InvalidRequestError as error:
        raise InvalidRequestError(f"{where}: {error}") from error
    known = [one.size for one in facts if one is not None]
    remote = "" in given
    # The largest, for the same reason.
    sure = not remote and len(known) == len(given)
    return RequestImage(remote, max(known, key=lambda size: size[0] * size[1]) if sure else None)
