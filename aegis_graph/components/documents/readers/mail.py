"""E-mails, one in a file or many in a mailbox: headers, and the text or the HTML.

What is attached is named and not read.
"""

from __future__ import annotations

import codecs
import email
import email.policy
import itertools
import re
from collections.abc import Iterator
from email.message import EmailMessage

from aegis_graph.components.documents.readers.content import (
    Content,
    RawDocument,
    Section,
    unfit,
)
from aegis_graph.components.documents.readers.encoding import decode
from aegis_graph.components.documents.readers.html import html_text

MAX_MESSAGES = 20_000
_HEADERS = ("From", "To", "Cc", "Date", "Subject")
_BOUNDARY = re.compile(rb"(?:\A|(?<=\n))From [^\r\n]*\r?\n")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_MAX_HEADER_CHARS = 500


def read(raw: RawDocument) -> Content:
    """Each message a section."""
    notes: list[str] = []
    if raw.suffix == ".mbox" or raw.data.startswith(b"From "):
        return Content(list(_mailbox(raw.data, notes)), notes=notes)
    section = _message(raw.data)
    if section is None:
        raise unfit("broken", "not an e-mail")
    return Content([section], section.heading)


def _mailbox(data: bytes, notes: list[str]) -> Iterator[Section]:
    starts = [*(found.span() for found in _BOUNDARY.finditer(data)), (len(data), len(data))]
    for number, ((_, begin), (end, _)) in enumerate(itertools.pairwise(starts)):
        if number >= MAX_MESSAGES:
            notes.append(f"only its first {MAX_MESSAGES:,} messages were read")
            return
        # A mailbox quotes lines that look like the beginning of a message.
        section = _message(_QUOTED_FROM.sub(rb"\1", data[begin:end]))
        if section is not None:
            yield section


def _message(data: bytes) -> Section | None:
    data = data.removeprefix(codecs.BOM_UTF8).lstrip(b"\r\n")
    message = email.message_from_bytes(data, policy=email.policy.default)
    headers = [(name, _header(message, name)) for name in _HEADERS]
    if not message.keys():
        return None
    subject = _header(message, "Subject")
    lines = [f"{name}: {value}" for name, value in headers if value]
    attached = [str(one.get_filename() or one.get_content_type()) for one in _attachments(message)]
    if attached:
        lines.append(f"Attachments, which were not read: {', '.join(attached)}")
    text = "\n".join(lines)
    return Section(text=f"{text}\n\n{_body(message)}".strip(), heading=subject)


def _header(message: EmailMessage, name: str) -> str:
    return " ".join(str(message.get(name) or "").split())[:_MAX_HEADER_CHARS]


def _attachments(message: EmailMessage) -> Iterator[EmailMessage]:
    for part in message.walk():
        # A message that is forwarded as a whole is read.
        if _is_attached(part) and part.get_content_type() != "message/rfc822":
            yield part


def _is_attached(part: EmailMessage) -> bool:
    return part.get_content_disposition() == "attachment" or bool(part.get_filename())


def _body(message: EmailMessage) -> str:
    texts = [text for part in _parts(message) if (text := _text(part).strip())]
    return "\n\n".join(texts)


def _parts(message: EmailMessage) -> Iterator[EmailMessage]:
    """What a reader sees, one part below the other; of two forms of one text, the plain one."""
    ahead = [message]
    while ahead:
        part = ahead.pop()
        if part.get_content_type() == "multipart/alternative":
            forms = [one for one in part.iter_parts() if isinstance(one, EmailMessage)]
            filled = [one for one in forms if one.is_multipart() or _text(one).strip()]
            filled.sort(key=lambda one: one.get_content_type() != "text/plain")
            ahead += filled[:1]
        elif part.is_multipart():
            inner = part.get_payload()
            parts = inner if isinstance(inner, list) else []
            ahead += [one for one in reversed(parts) if isinstance(one, EmailMessage)]
        elif part.get_content_maintype() == "text" and not _is_attached(part):
            yield part


def _text(part: EmailMessage) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    charset = part.get_content_charset()
    try:
        text = data.decode(charset or "", "strict").replace("\r\n", "\n")
    except (LookupError, UnicodeDecodeError):
        # It names no encoding, or a wrong one.
        text = decode(data)
    return html_text(text)[0] if part.get_content_subtype() == "html" else text
