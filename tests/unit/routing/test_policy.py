"""Who may be asked, in which order, and why not the others."""

from __future__ import annotations

from typing import Any

import pytest
from langchain_core.messages import HumanMessage

from aegis_graph.config.specs import ProviderSpec
from aegis_graph.request.request import Request
from aegis_graph.routing.health import Unavailable
from aegis_graph.routing.policy import ProviderState, make_plan, may_receive
from aegis_graph.types import LOCAL_ONLY, SENSITIVITIES, TASKS, Sensitivity, Task

GIF = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"
"""One pixel."""
IMAGE = {"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{GIF}"}}
REMOTE = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}


def asked(*images: dict[str, Any], **more: Any) -> Request:
    message = HumanMessage([{"type": "text", "text": "What is it?"}, *images])
    return Request.from_state({"messages": [message], **more}, {})


def state(name: str, *, location: str = "cloud", **more: Any) -> ProviderState:
    row = {"name": name, "kind": "openai", "model": f"{name}-1", "location": location}
    now = {key: more.pop(key) for key in (set(more) & set(ProviderState._fields))}
    return ProviderState(ProviderSpec.model_validate({**row, **more}), **now)


HERE = state("here", location="local")
THERE = state("there")


def test_the_order_is_that_of_the_configuration() -> None:
    plan = make_plan(asked(), [THERE, HERE])
    assert [(one.spec.name, one.reason) for one in plan.candidates] == [
        ("there", "cloud, candidate 1"),
        ("here", "local, candidate 2"),
    ]
    assert plan.skipped == []
    assert [one.spec.name for one in make_plan(asked(), [HERE, THERE]).candidates] == [
        "here", "there"
    ]  # fmt: skip


def test_candidates_are_numbered_without_those_that_are_skipped() -> None:
    plan = make_plan(asked(), [state("a", missing_key="K"), HERE])
    assert [one.reason for one in plan.candidates] == ["local, candidate 1"]


SKIPS: list[tuple[Request, dict[str, Any], str, str]] = [
    (asked(sensitivity="pii"), {}, "privacy", "pii data stays on local providers"),
    (asked(task="embed"), {"tasks": ["chat", "answer"]}, "task",
     "serves chat, answer only, not embed"),
    (asked(IMAGE), {}, "images", "takes no images"),
    (asked(REMOTE), {"images": True, "fetches_images": False},
     "images", "takes images in the message only, not at an address"),
    (asked(), {"refused_option": "seed"}, "option", "takes no seed"),
    (asked(), {"missing_package": "pip install x"}, "package", "needs: pip install x"),
    (asked(), {"missing_key": "OPENAI_API_KEY"}, "key", "no key: OPENAI_API_KEY is not set"),
    (asked(), {"unavailable": Unavailable("verdict", "bad key")}, "verdict", "bad key"),
    (asked(), {"unavailable": Unavailable("cooldown", "cooling down")}, "cooldown", "cooling down"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("question", "now", "code", "reason"), SKIPS, ids=[row[2] for row in SKIPS]
)
def test_a_provider_that_is_skipped_has_a_reason(
    question: Request, now: dict[str, Any], code: str, reason: str
) -> None:
    plan = make_plan(question, [state("p", **now)])
    assert plan.candidates == []
    assert plan.skipped == [{"provider": "p", "model": "p-1", "code": code, "reason": reason}]


def test_of_several_reasons_the_one_that_no_repair_changes_comes_first() -> None:
    faults: dict[str, dict[str, Any]] = {
        "privacy": {"location": "cloud"},
        "task": {"tasks": ["embed"]},
        "images": {"images": False},
        "package": {"missing_package": "pip install x"},
        "key": {"missing_key": "K"},
        "cooldown": {"unavailable": Unavailable("cooldown", "ill")},
    }
    well: dict[str, Any] = {"location": "local", "images": True}
    question = asked(IMAGE, sensitivity="hipaa")
    for first in range(len(faults)):
        names = list(faults)[first:]
        now = {**well, **{key: value for n in names for key, value in faults[n].items()}}
        assert make_plan(question, [state("p", **now)]).skipped[0]["code"] == names[0]


@pytest.mark.parametrize("sensitivity", SENSITIVITIES)
def test_private_data_stays_here_and_the_rest_may_leave(sensitivity: Sensitivity) -> None:
    private = sensitivity in {"confidential", "pii", "hipaa"}
    assert (sensitivity in LOCAL_ONLY) is private
    assert may_receive(HERE.spec, sensitivity)
    assert may_receive(THERE.spec, sensitivity) is not private
    plan = make_plan(asked(sensitivity=sensitivity), [THERE, HERE])
    names = ["here"] if private else ["there", "here"]
    assert [one.spec.name for one in plan.candidates] == names


@pytest.mark.parametrize("task", TASKS)
def test_a_provider_without_a_list_serves_every_task(task: Task) -> None:
    assert len(make_plan(asked(task=task), [HERE]).candidates) == 1
    assert len(make_plan(asked(task=task), [state("p", tasks=[task])]).candidates) == 1


def test_a_provider_with_an_empty_list_serves_none() -> None:
    assert make_plan(asked(), [state("p", tasks=[])]).candidates == []


def test_nobody_is_lost_between_candidates_and_skipped() -> None:
    chain = [HERE, THERE, state("third", missing_key="K")]
    plan = make_plan(asked(sensitivity="pii"), chain)
    names = [one.spec.name for one in plan.candidates] + [row["provider"] for row in plan.skipped]
    assert sorted(names) == ["here", "there", "third"]
