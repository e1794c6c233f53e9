"""What was not read, and why: said at the end, so that nothing is left out in silence."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

SkipReason = Literal[
    "binary",
    "broken",
    "empty",
    "needs_extra",
    "other_kind",
    "outside_link",
    "partly",
    "password",
    "too_large",
    "unreadable",
]
_WORDS = {
    "binary": "no text",
    "needs_extra": "need an extra",
    "outside_link": "lead out of the folder",
    "password": "need a password",
    "too_large": "too large",
}
_MAX_LISTED = 10
_MAX_MESSAGE_CHARS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedDocument:
    """A file that was not read, or not all of it."""

    source: str
    """Its name, as passages would have it; ``*.heic`` for all files of a kind."""
    reason: SkipReason
    """The case it is; ``partly`` when the rest of it was read."""
    message: str
    """Why, for people, in one line and without the name."""
    count: int = 1
    """How many files it stands for."""


def as_reason(reason: str) -> SkipReason:
    """A reason of an error as one of those that are reported."""
    return next((one for one in get_args(SkipReason) if one == reason), "unreadable")


def one_line(message: str) -> str:
    """A message that stands in one short line."""
    text = " ".join(message.split())
    return text if len(text) <= _MAX_MESSAGE_CHARS else f"{text[: _MAX_MESSAGE_CHARS - 1]}\u2026"


def skipped_lines(skipped: Sequence[SkippedDocument]) -> Iterator[str]:
    r"""What was not read, in at most about twenty lines.

    Example:
        >>> one = SkippedDocument(source="a.pdf", reason="broken", message="not a readable PDF")
        >>> print("\n".join(skipped_lines([one])))
        1 file was not read:
          a.pdf: not a readable PDF
    """
    others = [one for one in skipped if one.reason == "other_kind" and one.source.startswith("*")]
    partly = [one for one in skipped if one.reason == "partly"]
    unread = [one for one in skipped if one not in others and one not in partly]
    yield from _listed(unread, "was not read", "were not read")
    yield from _listed(partly, "was read in part", "were read in part")
    if others:
        kinds = ", ".join(f"{one.source[1:] or 'without an ending'} {one.count}" for one in others)
        yield f"{_files(others)} of other kinds {_were(others)} not read ({kinds})"


def summary(skipped: Sequence[SkippedDocument]) -> str:
    """The same in one line."""
    return "; ".join(line.strip() for line in skipped_lines(skipped)).replace(":;", ":")


def _listed(some: Sequence[SkippedDocument], one: str, many: str) -> Iterator[str]:
    if not some:
        return
    count = sum(each.count for each in some)
    yield f"{_files(some)} {one if count == 1 else many}:"
    for each in some[:_MAX_LISTED]:
        yield f"  {each.source}: {each.message}"
    rest = some[_MAX_LISTED:]
    if rest:
        reasons = Counter(each.reason for each in rest).most_common()
        counted = ", ".join(f"{number} {_WORDS.get(why, why)}" for why, number in reasons)
        yield f"  and {len(rest)} more: {counted}"


def _files(some: Sequence[SkippedDocument]) -> str:
    count = sum(one.count for one in some)
    return f"{count:,} file{'' if count == 1 else 's'}"


def _were(some: Sequence[SkippedDocument]) -> str:
    return "was" if sum(one.count for one in some) == 1 else "were"
