"""One tree of errors, as the module's own drawing has it."""

from __future__ import annotations

import inspect
import pickle
import re
from copy import copy as shallow_copy

import pytest
from langgraph.types import RetryPolicy

from aegis_graph import errors
from aegis_graph.errors import (
    AegisError,
    BudgetExceededError,
    LimitExceededError,
    ProviderError,
    RoutingError,
)

CLASSES = {
    name: kind
    for name, kind in vars(errors).items()
    if inspect.isclass(kind) and kind.__module__ == errors.__name__
}
_LINE = re.compile(
    r"^(?P<indent>(?:│   |    )*)(?:├── |└── )?(?P<name>[A-Z]\w+)(?: \((?P<mixin>\w+)\))?"
)


def drawn() -> dict[str, tuple[str | None, str | None]]:
    """Each name of the drawing, with its parent's name and the builtin in brackets."""
    assert errors.__doc__ is not None
    tree: dict[str, tuple[str | None, str | None]] = {}
    path: list[str] = []
    for line in errors.__doc__.split("```")[1].strip().splitlines():
        found = _LINE.match(line)
        assert found, line
        depth = 0 if line == found["name"] else len(found["indent"]) // 4 + 1
        path = [*path[:depth], found["name"]]
        tree[found["name"]] = (path[-2] if depth else None, found["mixin"])
    return tree


def test_the_drawing_shows_every_error_and_no_other() -> None:
    assert set(drawn()) == set(CLASSES)


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_error_derives_as_drawn(name: str) -> None:
    parent, mixin = drawn()[name]
    bases = [base.__name__ for base in CLASSES[name].__bases__]
    assert bases == [base for base in (parent or "Exception", mixin) if base]


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_an_error_is_ours_named_so_and_described(name: str) -> None:
    assert name.endswith("Error")
    assert issubclass(CLASSES[name], AegisError)
    assert CLASSES[name].__doc__


def made(kind: type[AegisError]) -> AegisError:
    if issubclass(kind, RoutingError):
        return kind("why", route_id="r", attempts=[{"attempt": 1}], skipped=[{"provider": "p"}])
    return kind("why")


@pytest.mark.parametrize(
    "kind",
    [k for k in CLASSES.values() if k is not AegisError and not issubclass(k, ProviderError)],
    ids=lambda kind: kind.__name__,
)
def test_the_default_retry_policy_leaves_what_a_caller_can_meet_alone(
    kind: type[AegisError],
) -> None:
    retry_on = RetryPolicy().retry_on
    assert callable(retry_on)
    assert retry_on(made(kind)) is False


@pytest.mark.parametrize("kind", [ValueError, RuntimeError])
def test_callers_who_know_nothing_of_us_catch_them_as_usual(kind: type[Exception]) -> None:
    mixed = [name for name, (_, mixin) in drawn().items() if mixin == kind.__name__]
    assert mixed
    assert all(issubclass(CLASSES[name], kind) for name in mixed)


def test_a_routing_error_carries_copies_of_its_records() -> None:
    record = {"attempt": 1}
    error = RoutingError("why", route_id="r", attempts=[record])
    record["attempt"] = 2
    assert (str(error), error.route_id, error.attempts, error.skipped) == (
        "why", "r", [{"attempt": 1}], []
    )  # fmt: skip


def test_a_routing_error_survives_a_process_pool() -> None:
    error = BudgetExceededError("no room", route_id="r1", attempts=[{"provider": "a"}])
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), str(copy), copy.route_id) == (BudgetExceededError, "no room", "r1")
    assert copy.attempts == [{"provider": "a"}]


def test_what_a_kind_of_routing_error_has_of_its_own_survives_it_too() -> None:
    error = LimitExceededError("no room", route_id="r1", retry_after_s=1.5)
    error.add_note("asked for Ada")
    for copied in (pickle.loads(pickle.dumps(error)), shallow_copy(error)):
        assert (type(copied), str(copied)) == (LimitExceededError, "no room")
        assert (copied.route_id, copied.retry_after_s) == ("r1", 1.5)
        assert copied.__notes__ == ["asked for Ada"]
