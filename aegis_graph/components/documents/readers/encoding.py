"""The text in a file, whatever encoding it was written in."""

from __future__ import annotations

import codecs
import re

from aegis_graph.components.documents.readers.content import unfit
from aegis_graph.text.foreign import CONTROL_SEQUENCE

# The longer mark first: UTF-32 little endian begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_DECLARED = re.compile(
    rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']?\s*([\w.:-]+)|<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]+)""",
    re.IGNORECASE,
)
_DECLARED_WITHIN = 4096
"""Bytes in which a document declares its encoding."""
_LEAST_WIDE = 8
"""Bytes below which UTF-16 without a mark cannot be told from chance."""
_WIDE = ("utf-32-le", "utf-32-be", "utf-16-le", "utf-16-be")
_LIVING = re.compile(
    "[\\n\\r\\t -~\u00a0-\u024f\u0370-\u06ff\u0900-\u097f\u0e00-\u0e5b\u2010-\u2030\u20a0-\u20bf"
    "\u3000-\u30ff\u4e00-\u9fff\uac00-\ud7a3\uff01-\uff5e]"
)
"""Characters that text of today is written in."""
_MOST_LIVING = 0.95
_MOST_STRAY = 0.002
"""Share of zeros that text may have, as of a log whose writer was stopped."""
_SAMPLE = 64_000
"""Bytes by which an encoding is guessed."""
_CONTROL = re.compile(r"[\x00-\x07\x0e-\x19\x1c-\x1f\ufffd]")
_MOST_CONTROLS = 0.01
"""Share of control characters above which a file is no text."""
_WESTERN = frozenset("äöüßÄÖÜéèêëáàâãåæçíìîïñóòôõøœúùûÉÈÊÁÀÂÅÆÇÍÎÑÓÔØŒÚÛ")
_SIGNS = frozenset(
    b"\x80\x82\x84\x85\x86\x87\x89\x8b\x91\x92\x93\x94\x95\x96\x97\x99\x9b"
    b"\xa0\xa1\xa3\xa5\xa7\xa9\xaa\xab\xae\xb0\xb1\xb2\xb3\xb5\xb7\xb9\xba\xbb\xbc\xbd\xbe\xbf"
    b"\xd7".decode("cp1252")
)
_FOREIGN = re.compile(r"[^\x00-\x7f]")
_LETTER = re.compile(r"[^\W\d_]")
_SIGN_IN_WORD = re.compile(r"[^\W\d_][^\w\s\u2018\u2019\u2013\u2014\x00-\x7f][^\W\d_]")
_MAC_SIGNS = frozenset("\u201e\u201c\u201d\u2018\u2019\u2013\u2014\u2026\u2022\u00a7\u20ac")
# Latin-1 is a part of the first.
_SIMPLE = ("cp1252", "cp850", "mac_roman")
_COMMON = [
    *("cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257", "cp1258", "iso8859_2"),
    *("koi8_r", "cp866", "shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "tis_620", "cp1252"),
]
"""What text is most often in: left to all it knows, a guess finds encodings of the past."""


def decode(data: bytes, *, declared: bool = False) -> str:
    """A file's text with line feeds at the ends of its lines, without a byte order mark.

    UTF-8 is tried first; what another encoding is, is told from a sample of the bytes.

    Args:
        data: All of the file.
        declared: Whether it may say its encoding itself, as HTML and XML do.

    Raises:
        DocumentError: It is no text.
    """
    text = _decoded(data, declared=declared)
    if _is_binary(text):
        raise unfit("binary", "not a text file")
    # What colours a terminal says nothing in a document.
    text = CONTROL_SEQUENCE.sub("", text) if "\x1b" in text else text
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _decoded(data: bytes, *, declared: bool) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    named = _declared(data) if declared else None
    # What is all ASCII or UTF-8 may yet be something else only by its own word.
    if named is not None and not named.startswith(("utf", "iso8859", "cp125", "ascii")):
        return data.decode(named, "replace")
    # Japanese of mails is ASCII to the eye, with an escape where it begins.
    if b"\x1b$" in data[:_SAMPLE] and _strictly(data, "iso2022_jp") is not None:
        return data.decode("iso2022_jp")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        return _not_utf8(data, named, error)
    if "\0" in text:
        stray = text.rstrip("\0").count("\0") <= _MOST_STRAY * len(text.rstrip("\0"))
        return text.replace("\0", "") if stray else _wide(data)
    return text


def _not_utf8(data: bytes, named: str | None, error: UnicodeDecodeError) -> str:
    if named is not None and not named.startswith("utf"):
        return data.decode(named, "replace")
    if b"\0" in data:
        return _wide(data)
    # A file that is cut, or a stray byte, in what is UTF-8 otherwise.
    if error.start > 1000 or error.start >= len(data) - 4:
        loose = data.decode("utf-8", "replace")
        wrong, right = loose.count("\ufffd"), sum(ord(c) > 127 for c in loose[:100_000])
        if wrong <= 3 and right > 3 * wrong:
            return loose
    # The sample begins a little before the first byte that matters, after the end of a line.
    start = data.rfind(b"\n", 0, error.start) + 1
    sample = data[start : start + _SAMPLE]
    encoding = next((one for one in _SIMPLE if _is_western(sample, one)), None) or _guessed(sample)
    return data.decode(encoding, "replace")


def _wide(data: bytes) -> str:
    """UTF-16 or UTF-32 without a mark, of whichever reading is text with spaces or line ends.

    With its bytes swapped, Latin reads as Chinese, but a space as none.
    """
    sample = data[: _SAMPLE // 4 * 4]
    readings = {
        encoding: text
        for encoding in _WIDE
        if len(data) >= _LEAST_WIDE and (text := _strictly(sample, encoding)) and _is_living(text)
    }
    best = max(readings, key=lambda one: sum(map(str.isascii, readings[one])), default=None)
    if best is None or not any(map(str.isascii, readings[best])):
        raise unfit("binary", "not a text file")
    return data.decode(best, "replace")


def _strictly(data: bytes, encoding: str) -> str | None:
    """The text in the bytes, but for a character at their end that is cut."""
    try:
        return codecs.getincrementaldecoder(encoding)().decode(data)
    except UnicodeDecodeError:
        return None


def _is_living(text: str) -> bool:
    return not _CONTROL.search(text) and len(_LIVING.findall(text)) >= _MOST_LIVING * len(text)


def _declared(data: bytes) -> str | None:
    found = _DECLARED.search(data, 0, _DECLARED_WITHIN)
    if found is None:
        return None
    try:
        info = codecs.lookup((found[1] or found[2]).decode("ascii"))
    except (LookupError, UnicodeDecodeError):
        return None
    # Python has codecs that are no encodings of text. What was found by single bytes is not UTF-16,
    # whatever it says, and browsers read Latin-1 as the encoding of Windows.
    if not info._is_text_encoding or info.name.startswith(("utf-16", "utf-32", "utf-7", "idna")):
        return None
    return "cp1252" if info.name in {"iso8859-1", "ascii"} else info.name


def _is_western(sample: bytes, encoding: str) -> bool:
    """Whether the bytes make sense in one of the encodings of Western Europe.

    Asked first: of a few words, a guess by statistics is often wrong.
    """
    text = sample.decode(encoding, "replace")
    foreign = _FOREIGN.findall(text)
    # Of DOS only the letters, and of old Macs few signs: others look like letters of all others.
    signs = _SIGNS if encoding == "cp1252" else _MAC_SIGNS if encoding == "mac_roman" else ()
    if any(c not in _WESTERN and c not in signs for c in foreign):
        return False
    letters = len(_LETTER.findall(text))
    # Greek and Cyrillic read so are words of accented letters only.
    if sum(c in _WESTERN for c in foreign) > 0.34 * max(letters, 3):
        return False
    # A sign inside of a word is a letter of another encoding.
    return not _SIGN_IN_WORD.search(text)


def _guessed(sample: bytes) -> str:
    from charset_normalizer import from_bytes  # noqa: PLC0415 - only what is not UTF-8 waits

    best = from_bytes(sample, cp_isolation=_COMMON).best() or from_bytes(sample).best()
    if best is None:
        raise unfit("binary", "not a text file, or in an unknown encoding; save it as UTF-8")
    return str(best.encoding)


def _is_binary(text: str) -> bool:
    sample = text[:_SAMPLE]
    return "\0" in sample or len(_CONTROL.findall(sample)) > 4 + _MOST_CONTROLS * len(sample)
