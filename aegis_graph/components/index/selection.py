"""From what was found to what is shown: not too many of one document, with what stands around."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from aegis_graph.components.index.rows import FoundPassage
from aegis_graph.components.index.search import Hit


def select(hits: Sequence[Hit], *, limit: int, per_document: int | None) -> list[FoundPassage]:
    """The first of the hits, each joined with the passages around it.

    A passage is shown once: a hit that stands beside a better one is shown with that one.

    Args:
        hits: What was found, best first.
        limit: Passages, at most.
        per_document: Of one document, at most.
    """
    shown: set[int] = set()
    counts: Counter[int] = Counter()
    selected: list[FoundPassage] = []
    for hit in hits:
        document = hit.found.document
        is_full = per_document is not None and counts[document] >= per_document
        if is_full or hit.found.id in shown:
            continue
        selected.append(_joined(hit, shown))
        counts[document] += 1
        if len(selected) == limit:
            break
    return selected


def _joined(hit: Hit, shown: set[int]) -> FoundPassage:
    """A hit between its neighbours, as far as these are not shown already."""
    run = [hit.found]
    for one in reversed(hit.before):
        if one.id in shown:
            break
        run.insert(0, one)
    for one in hit.after:
        if one.id in shown:
            break
        run.append(one)
    shown |= {one.id for one in run}
    whole = run[0]
    for one in run[1:]:
        whole = whole.followed_by(one)
    return whole
