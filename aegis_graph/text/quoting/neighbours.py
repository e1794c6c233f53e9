"""What stands around a piece and belongs to it: what leads to it, its list, table or code."""

from __future__ import annotations

import re
from collections.abc import Sequence

from aegis_graph.text.quoting.pieces import RELEASE, Quotable

_LONGEST_LIST = 12
_REFERS_BACK = re.compile(
    r"(this|these|that|those|it|its|they|their|he|she|such|dies\w*|es|sie|er|ihr\w*|sein\w*)\b",
    re.IGNORECASE,
)


class Neighbours:
    """Finds what belongs to the piece at a place of a list."""

    def __init__(self, pieces: Sequence[Quotable]) -> None:
        self._pieces = pieces

    def before(self, at: int) -> int | None:
        """The sentence that this one refers back to, where it begins with such a word."""
        if at == 0 or not _REFERS_BACK.match(self._pieces[at].text):
            return None
        this, before = self._pieces[at], self._pieces[at - 1]
        # Under another heading the word refers to something else.
        same = before.n == this.n and before.headings == this.headings
        return at - 1 if same and before.kind != "heading" else None

    def lead(self, at: int) -> int | None:
        """The sentence that leads to a block of code."""
        if at == 0 or self._pieces[at].kind != "code":
            return None
        this, before = self._pieces[at], self._pieces[at - 1]
        same = before.n == this.n and before.headings == this.headings
        return at - 1 if same and before.kind in {"prose", "bullet"} else None

    def code_below(self, at: int) -> int | None:
        """The block of code that a sentence leads to."""
        after = at + 1
        return after if after < len(self._pieces) and self.lead(after) == at else None

    def below(self, at: int) -> list[int]:
        """The list, the table or the code that a line leads into."""
        this = self._pieces[at]
        code = self.code_below(at)
        if code is not None:
            return [code]
        if not this.leads:
            return []
        found: list[int] = []
        for after in range(at + 1, min(len(self._pieces), at + 1 + _LONGEST_LIST)):
            piece = self._pieces[after]
            kinds = {"bullet"} if this.kind == "bullet" else {"bullet", "row"}
            if piece.n != this.n or piece.headings != this.headings or piece.kind not in kinds:
                break
            if found and piece.kind != self._pieces[found[0]].kind:
                break
            found.append(after)
        return found

    def release(self, at: int) -> int | None:
        """The heading of the release that a line of release notes belongs to."""
        this = self._pieces[at]
        if not this.in_release_notes or this.kind == "heading":
            return None
        for above in range(at - 1, -1, -1):
            piece = self._pieces[above]
            if piece.n != this.n:
                return None
            if piece.kind == "heading" and RELEASE.match(piece.text):
                return above
        return None
