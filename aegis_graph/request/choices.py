"""What a caller chooses for a request, joined from every place that may say it. Pure.

A choice that protects the user (the sensitivity, the envelope, the limits of price and time) can be
made stricter anywhere, and looser nowhere; tags are joined, and of the others the nearest to the
request counts. A model or a list of providers that is bound to a router is narrowed by that, and
never replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache, partial
from typing import Any

from typing_extensions import TypedDict

from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.limits import amount_usd, time_limit_s
from aegis_graph.request.selection import NARROWING
from aegis_graph.request.tags import joined_tags
from aegis_graph.types import SENSITIVITIES, HedgeAfter, Order, Sensitivity, Task


class RouterContext(TypedDict, total=False):
    """What a run's ``context`` may choose; as a graph's ``context_schema`` it is Studio's form.

    Example:
        >>> from langgraph.graph import MessagesState, StateGraph
        >>> builder = StateGraph(MessagesState, context_schema=RouterContext)
    """

    task: Task
    sensitivity: Sensitivity
    user_id: str
    max_output_tokens: int
    run_id: str
    """Names what this request is a part of: one answer, one job. Costs are counted for it."""
    max_cost_usd: str
    """What all requests of the run may cost together, as decimal text; needs ``run_id``."""
    tags: dict[str, str]
    """What the request is counted by as well, such as ``{"team": "search"}``: at most 8."""
    model: str
    """Which providers may be asked: a model, a provider's name, an alias, or ``auto`` for all."""
    providers: list[str]
    """Which providers may be asked, and in which order."""
    timeout_s: float
    """How long the request may take with all its attempts, waits and retries, in seconds."""
    max_price_usd: str
    """The most that one call may cost, as decimal text."""
    order: Order
    """By what the providers are put in order: ``listed``, ``price``, ``latency``, ``weighted``."""
    max_wait_s: float
    """How long the request may wait to be served at half the price, in seconds."""
    hedge_after_s: HedgeAfter
    """When a second attempt is sent beside one that has no answer yet: seconds, ``p95`` or ``off``.
    """


CHOICES = tuple(RouterContext.__annotations__)
"""The keys of a request that may be given elsewhere than beside its messages."""

REQUIRED = "required"
"""In place of a default sensitivity: every request has to say its own."""

PROTECTING = ("sensitivity", "max_cost_usd", "max_price_usd", "timeout_s")
"""Those whose loss would send private data to a cloud, or spend money or time over a limit."""

_LIKENESS = 0.8
"""How alike two names must be for one to be taken for a misspelt other; 1 is the same name."""

_OTHER_WORDS = frozenset(
    {"border", "coder", "mode", "models", "modes", "older", "ordered", "orders"}
)
"""Like one of ours, and names of hosts' own."""


def joined_choices(sources: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The choices that count for a request.

    Args:
        sources: What each place says, the nearest to the request first. Other keys are left out.

    Raises:
        InvalidRequestError: A sensitivity or an amount is not one, or tags are no mapping.

    Example:
        >>> joined_choices([{"task": "answer", "sensitivity": "public"}, {"sensitivity": "pii"}])
        {'task': 'answer', 'sensitivity': 'pii'}
    """
    joined: dict[str, Any] = {}
    for source in filter(None, sources):
        for key in CHOICES:
            if key in source and (value := source[key]) is not None:
                joined[key] = _joined(key, joined[key], value) if key in joined else value
    narrowing = [one for source in sources for one in source.get(NARROWING) or ()]
    return {**joined, NARROWING: narrowing} if narrowing else joined


def _joined(key: str, nearer: Any, farther: Any) -> Any:
    if key == "sensitivity":
        return max(nearer, farther, key=_level)
    if key == "tags":
        return joined_tags(nearer, farther)
    if key in ("max_cost_usd", "max_price_usd"):
        return min(nearer, farther, key=partial(amount_usd, key))
    if key == "timeout_s":
        return min(nearer, farther, key=partial(time_limit_s, key))
    return nearer


def strictest(levels: Sequence[object], *, default: str) -> str:
    """The level of privacy that counts for a request.

    Args:
        levels: What each place says.
        default: What counts where none says one; ``REQUIRED`` counts for nothing.

    Raises:
        InvalidRequestError: None says one where one is required, or one is unknown.

    Example:
        >>> strictest(["public", "pii"], default="internal"), strictest([], default="hipaa")
        ('pii', 'hipaa')
    """
    if levels:
        return SENSITIVITIES[max(map(_level, levels))]
    if default == REQUIRED:
        raise missing_sensitivity()
    return default


def missing_sensitivity() -> InvalidRequestError:
    """Says that a request must say how private it is."""
    return InvalidRequestError(
        "sensitivity: the configuration requires one for every request; give it in the"
        " state, in the context, or by router.with_options(sensitivity=...)"
    )


def _level(sensitivity: object) -> int:
    if sensitivity not in SENSITIVITIES:
        known = ", ".join(SENSITIVITIES)
        raise InvalidRequestError(f"sensitivity: {sensitivity!r} is unknown; use one of {known}")
    return SENSITIVITIES.index(sensitivity)


def refuse_misspelt(where: str, keys: Iterable[object], known: tuple[str, ...]) -> None:
    """Refuse a key that looks like one of ours, and is none: what it says would be lost.

    Args:
        where: What a message calls the place.
        keys: The keys that are there.
        known: The keys that mean something there.

    Raises:
        InvalidRequestError: One line that names the key, and the one that it looks like.

    Example:
        >>> try:
        ...     refuse_misspelt("the request", ["sensitivty"], CHOICES)
        ... except InvalidRequestError as error:
        ...     print(error)
        the request: 'sensitivty' is unknown; is it 'sensitivity'?
    """
    for key, ours in _misspelt(tuple(keys), known):
        raise InvalidRequestError(f"{where}: {key!r} is unknown; is it {ours!r}?")


@lru_cache(maxsize=1024)
def _misspelt(keys: tuple[object, ...], known: tuple[str, ...]) -> list[tuple[str, str]]:
    # Kept: LangGraph's own keys come with every node of every run.
    foreign = [key for key in keys if isinstance(key, str) and key not in (*known, *_OTHER_WORDS)]
    return [(key, ours) for key in foreign if (ours := _alike(key, known))]


@lru_cache(maxsize=1024)
def _alike(key: str, known: tuple[str, ...]) -> str | None:
    # Kept: a comparison takes 15 us.
    plain = key.lower().replace("-", "_")
    return next(iter(get_close_matches(plain, known, n=1, cutoff=_LIKENESS)), None)
