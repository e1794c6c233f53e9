"""From what was found to what is shown: not too much that is alike, with what stands around."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from aegis_graph.components.index.rows import FoundPassage
from aegis_graph.components.index.search import Hit
from aegis_graph.text.words import topic_words


def diverse(hits: Sequence[Hit], diversity: float) -> list[Hit]:
    """The hits in an order in which each says something that those before it do not.

    Maximal marginal relevance over words, so that it needs no vectors: a hit's place counts against
    the share of its words that it has in common with one before it.

    Source: Carbonell and Goldstein, 1998, https://doi.org/10.1145/290941.291025

    Args:
        hits: What was found, best first.
        diversity: 0 leaves their order, 1 counts nothing but what is new.
    """
    if not diversity:
        return list(hits)
    said = [set(topic_words(one.found.passage.text)) for one in hits]
    alike = [0.0] * len(hits)
    left = list(range(len(hits)))
    order: list[Hit] = []
    while left:
        best = max(left, key=lambda at: (diversity - 1) * at / len(hits) - diversity * alike[at])
        left.remove(best)
        order.append(hits[best])
        for at in left:
            alike[at] = max(alike[at], _alike(said[at], said[best]))
    return order


def _alike(one: set[str], other: set[str]) -> float:
    both = one | other
    return len(one & other) / len(both) if both else 1.0


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
