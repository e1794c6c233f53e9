"""Prompts to the router from a terminal: streamed, each answer with one line of what it cost."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from langchain_core.messages import AIMessage, AnyMessage, HumanMessage

from aegis_graph.chat.chat_model import RoutedChatModel
from aegis_graph.cli.budget_prompt import on_budget_here
from aegis_graph.components.router_node import cost_usd
from aegis_graph.config.router_config import RouterConfig
from aegis_graph.errors import BudgetExceededError, RequestRejectedError, RoutingError
from aegis_graph.ledger.factory import create_ledger
from aegis_graph.ledger.records import BudgetStatus
from aegis_graph.pricing.money import usd_text
from aegis_graph.providers.extractive.notices import MODEL_NAME as EXTRACTIVE
from aegis_graph.routing.router import create_router
from aegis_graph.types import DEFAULT_TASK, DEFAULT_USER

NO_MODEL_HINT = (
    "aegis: to get a model, install Ollama and pull one, or set a key such as OPENAI_API_KEY;"
    " `aegis doctor` says what each provider lacks"
)
_PER = {"day": "a day", "week": "a week", "month": "a month", "total": "in total"}


@dataclass(frozen=True, slots=True)
class PromptAnswer:
    """An answer, and what is known of it."""

    text: str
    facts: Mapping[str, Any]
    """The answer's ``response_metadata``."""
    budget: BudgetStatus | None
    """Of the limits that the call counted for, the one with the least left."""

    def cost_line(self) -> str:
        """The provider, the cost, the time and what is left, in a line."""
        attempts = self.facts["attempts"]
        bound = {"estimated", "held"} & {row["cost_basis"] for row in attempts}
        seconds = sum(row["latency_ms"] for row in attempts) / 1000
        parts = [
            f"{self.facts['provider']} {self.facts['model']}",
            f"{'at most ' if bound else ''}${cost_usd(attempts).normalize():f}",
            f"{seconds:.1f} s",
        ]
        if self.budget is not None:
            left, limit = map(usd_text, (self.budget.left_nano_usd, self.budget.limit_nano_usd))
            parts.append(f"${left} left of ${limit} {_PER[self.budget.window]}")
        return " \u00b7 ".join(parts)

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        last = self.facts["attempts"][-1]
        return {
            "answer": self.text,
            "provider": self.facts["provider"],
            "model": self.facts["model"],
            "cost_usd": f"{cost_usd(self.facts['attempts']).normalize():f}",
            "cost_basis": last["cost_basis"],
            "route_id": self.facts["route_id"],
            "attempts": self.facts["attempts"],
            "skipped": self.facts["skipped"],
        }


class Conversation:
    """What was said so far, and the router that is asked.

    Args:
        options: Of the command line.
        config: The chain, the budgets and the ledger.
    """

    def __init__(self, options: argparse.Namespace, config: RouterConfig) -> None:
        self._json: bool = options.json
        self._ledger = create_ledger(config)
        self._tags = dict(options.tags or ())
        self._user = options.user_id or config.defaults.user_id or DEFAULT_USER
        self._task = options.task or config.defaults.task or DEFAULT_TASK
        # One envelope for the whole conversation.
        envelope = options.max_cost_usd and {"run_id": uuid4().hex}
        self._model = RoutedChatModel(
            router=create_router(config, ledger=self._ledger, on_budget=on_budget_here(config)),
            task=options.task,
            model=options.model,
            sensitivity=options.sensitivity,
            user_id=options.user_id,
            request_tags=self._tags or None,
            max_output_tokens=options.max_output_tokens,
            max_cost_usd=options.max_cost_usd,
            on_interrupt="restart",
            **(envelope or {}),
        )
        self._said: list[AnyMessage] = []

    def close(self) -> None:
        """Write down what an answer that was broken off has cost."""
        self._ledger.close()

    async def ask(self, text: str) -> None:
        """Print the answer to what comes next, and its cost.

        On a terminal as it arrives; elsewhere when it is complete, because what was printed cannot
        be taken back there. Only what was answered is remembered.

        Raises:
            AegisError: What the router raises.
        """
        asked = HumanMessage(text)
        live = _LiveText(shown=sys.stdout.isatty() and not self._json)
        facts: dict[str, Any] = {}
        try:
            async for chunk in self._model.astream([*self._said, asked]):
                if discarded := chunk.response_metadata.get("attempt_discarded"):
                    live.discard(discarded[-1])
                else:
                    live.add(chunk.text)
                    facts.update(chunk.response_metadata)
        finally:
            live.end()
        answer = PromptAnswer(live.text, facts, _tightest(await self._budgets(facts)))
        self._said += [asked, AIMessage(live.text)]
        self._print(answer, shown=live.shown)

    async def _budgets(self, facts: Mapping[str, Any]) -> list[BudgetStatus]:
        """The limits that a call counted for."""
        touched = {
            "total",
            f"provider:{facts['provider']}",
            f"model:{facts['model']}",
            f"task:{self._task}",
            f"user:{self._user}",
            *(f"tag:{key}={value}" for key, value in self._tags.items()),
        }
        return [one for one in await self._ledger.budgets() if one.scope in touched]

    def _print(self, answer: PromptAnswer, *, shown: bool) -> None:
        if self._json:
            print(json.dumps(answer.as_json(), ensure_ascii=False), flush=True)
            return
        if not shown:
            print(answer.text, flush=True)
        print(answer.cost_line(), file=sys.stderr)
        if answer.facts["model"] == EXTRACTIVE:
            print(NO_MODEL_HINT, file=sys.stderr)


def failure_json(error: RoutingError) -> str:
    """A request without an answer, for ``--json``."""
    fields = {"error": type(error).__name__, "message": str(error), "route_id": error.route_id}
    tried = {"attempts": error.attempts, "skipped": error.skipped}
    return json.dumps({**fields, **tried}, ensure_ascii=False)


def lacks_a_model(error: RoutingError) -> bool:
    """Whether nothing answered because there is no model, as far as the error says."""
    return not isinstance(error, BudgetExceededError | RequestRejectedError)


def _tightest(budgets: Sequence[BudgetStatus]) -> BudgetStatus | None:
    return min(budgets, key=lambda one: one.left_nano_usd, default=None)


class _LiveText:
    """The text of an answer as it comes."""

    def __init__(self, *, shown: bool) -> None:
        self.shown = shown
        self.text = ""

    def add(self, piece: str) -> None:
        """One more piece."""
        self.text += piece
        if self.shown and piece:
            print(piece, end="", flush=True)

    def discard(self, event: Mapping[str, Any]) -> None:
        """What came so far does not count."""
        if self.shown and self.text:
            self.end()
            why = f"{event['provider']} stopped ({event['reason']})"
            print(f"-- {why}; the answer starts anew --", file=sys.stderr, flush=True)
        self.text = ""

    def end(self) -> None:
        """End the line that is being printed."""
        if self.shown and self.text and not self.text.endswith("\n"):
            print(flush=True)
