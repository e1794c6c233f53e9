"""How good a cascade is over graded answers: a cheap model, a gate, and a dearer one.

A real router asks over HTTP; the provider replays what each model said, with the tokens that it
took. The gate sees the question and the answer, and was learned on the other half of the questions.

    python benchmarks/routing_quality.py --data RouterArena    # your copy of it
    python benchmarks/routing_quality.py                       # a made-up set of the same form
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from langchain_core.messages import AIMessage, HumanMessage
from rich.console import Console
from rich.table import Table
from scoring.answer_gate import AnswerGate, Example, features, halves
from scoring.formats import BadFileError
from scoring.graded_answers import GradedModel, read_models, write_made_up

from aegis_graph import Rejection, RouterConfig, create_router
from aegis_graph.testing import LoopbackServer, Received, Reply

IN_FLIGHT = 16
QUESTIONS, QUICK_QUESTIONS = 809, 60
"""Of the made-up set; RouterArena's has as many as the first."""

TARGET = 0.95
"""Share of the oracle's score, at no more than the dearer model's cost."""


@dataclass(frozen=True)
class Outcome:
    """What a way to choose came to, over all questions."""

    name: str
    score: float
    usd: float
    asked_dearer: float
    """Share of the questions at which the dearer model was asked."""


def alone(name: str, model: GradedModel, *, is_dearer: bool) -> Outcome:
    """One model for every question."""
    return Outcome(f"{name}: {model.name} alone", model.score, model.usd, float(is_dearer))


def oracle(cheap: GradedModel, dear: GradedModel) -> Outcome:
    """Of each question the better answer, bought alone; of equals the cheaper one."""
    score = usd = asked = 0.0
    for name, own in cheap.answers.items():
        other = dear.answers[name]
        best = other if other.score > own.score else own
        score, usd, asked = score + best.score, usd + best.usd, asked + (best is other)
    count = len(cheap.answers)
    return Outcome("oracle: the better answer of each", score / count, usd, asked / count)


def at_random(cheap: GradedModel, dear: GradedModel) -> Outcome:
    """Each question to either model by the toss of a coin, as it is on average."""
    score, usd = (cheap.score + dear.score) / 2, (cheap.usd + dear.usd) / 2
    return Outcome("either at random", score, usd, 0.5)


def learned_gate(cheap: GradedModel, dear: GradedModel, names: Sequence[str]) -> AnswerGate:
    """What these questions teach of the cheap model's answers."""
    pairs = [(cheap.answers[name], dear.answers[name]) for name in names]
    return AnswerGate.learned(
        [
            Example(features(one.question, one.text), two.score - one.score, one.usd, two.usd)
            for one, two in pairs
        ]
    )


async def cascade(cheap: GradedModel, dear: GradedModel, folder: Path) -> Outcome:
    """The router's own cascade over all questions, each half by the gate of the other one."""
    one, other = halves(sorted(cheap.answers))
    score = usd = 0.0
    asked = 0
    with LoopbackServer() as server:
        for model in (cheap, dear):
            server.always("openai", _replay(model), model=model.name)
        for number, (known, unknown) in enumerate([(one, other), (other, one)]):
            gate = learned_gate(cheap, dear, known)
            router = _router(server, cheap, dear, gate, folder / f"{number}.db")
            for name, result in zip(unknown, await _ask(router, cheap, unknown), strict=True):
                attempts = result["attempts"]
                answering = {model.name: model for model in (cheap, dear)}[attempts[-1]["model"]]
                score += answering.answers[name].score
                usd += sum(float(row["cost_usd"]) for row in attempts)
                asked += answering is dear
    count = len(cheap.answers)
    return Outcome("cascade: cheap, gate, dear", score / count, usd, asked / count)


def _replay(model: GradedModel) -> Callable[[Received], Reply]:
    by_question = {one.question: one for one in model.answers.values()}

    def step(call: Received) -> Reply:
        found = by_question[call.body["messages"][-1]["content"]]
        return Reply(found.text, input_tokens=found.input_tokens, output_tokens=found.output_tokens)

    return step


def _router(
    server: LoopbackServer, cheap: GradedModel, dear: GradedModel, gate: AnswerGate, db: Path
) -> Any:
    def check(request: Any, answer: AIMessage) -> Rejection | None:
        # The last model's answer is taken as it is: there is no other after it.
        if answer.response_metadata["model"] != cheap.name:
            return None
        is_refused = gate.refuses(request.messages[-1].text, answer.text)
        return Rejection("the other model may know it better") if is_refused else None

    rows = [
        {
            "name": place,
            "kind": "openai",
            "model": model.name,
            "base_url": server.openai_url,
            "location": "cloud",
            "price": model.price,
            "max_output_tokens": max(one.output_tokens for one in model.answers.values()),
        }
        for place, model in (("cheap", cheap), ("dear", dear))
    ]
    config = RouterConfig.model_validate(
        {"providers": rows, "budgets": [], "ledger": {"url": f"sqlite:///{db}"}}
    )
    return create_router(config, accept={"*": check})


async def _ask(router: Any, model: GradedModel, names: Sequence[str]) -> list[Any]:
    free = asyncio.Semaphore(IN_FLIGHT)

    async def ask(name: str) -> Any:
        async with free:
            return await router.ainvoke({"messages": [HumanMessage(model.answers[name].question)]})

    return await asyncio.gather(*map(ask, names))


def show(title: str, outcomes: Sequence[Outcome], best: Outcome, dearer: Outcome) -> Table:
    """Each way beside the oracle's score and the dearer model's cost."""
    table = Table(title=title, title_justify="left")
    table.add_column("chosen by")
    for heading in ("score", "of the oracle's", "USD", "of the dearer's", "asked dearer"):
        table.add_column(heading, justify="right")
    for one in outcomes:
        table.add_row(
            one.name,
            f"{one.score:.4f}",
            f"{one.score / best.score:.1%}",
            f"{one.usd:.4f}",
            f"{one.usd / dearer.usd:.2f}",
            f"{one.asked_dearer:.1%}",
        )
    return table


def verdict(found: Outcome, best: Outcome, dearer: Outcome) -> str:
    """Whether the target is met, or how far it is."""
    share, cost = found.score / best.score, found.usd / dearer.usd
    met = "met" if share >= TARGET and cost <= 1 else "not met"
    missing = f", {TARGET - share:.1%} of it short" if share < TARGET else ""
    return (
        f"Target: {TARGET:.0%} of the oracle's score at no more than the dearer model's cost:"
        f" {met} ({share:.1%}{missing}; {cost:.2f} times the cost)"
    )


def measure(cheap: GradedModel, dear: GradedModel, title: str) -> Mapping[str, Any]:
    """Run everything, print the table, and give its figures."""
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(cascade(cheap, dear, Path(folder)))
    best, dearer = oracle(cheap, dear), alone("dear", dear, is_dearer=True)
    outcomes = [
        alone("cheap", cheap, is_dearer=False), dearer, at_random(cheap, dear), found, best,
    ]  # fmt: skip
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(show(title, outcomes, best, dearer))
    console.print(verdict(found, best, dearer))
    return {"title": title, "rows": [asdict(one) for one in outcomes]}


def main() -> int:
    """Measure over the set that is named, or over a made-up one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="your copy of RouterArena")
    parser.add_argument("--models", nargs=2, metavar="NAME", help="two of its models")
    parser.add_argument("--quick", action="store_true", help="few questions, to see that it runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as made_up:
        folder, origin = options.data, "answers of the data set"
        if folder is None:
            folder, origin = Path(made_up), "answers that are made up"
            write_made_up(folder, QUICK_QUESTIONS if options.quick else QUESTIONS)
        try:
            models = read_models(folder, options.models or ())
        except BadFileError as error:
            print(f"routing_quality: {error}", file=sys.stderr)
            return 2
    if len(models) != 2:
        names = ", ".join(model.name for model in models)
        print(f"routing_quality: choose two of {names} with --models", file=sys.stderr)
        return 2
    cheap, dear = models
    figures = measure(cheap, dear, f"{len(cheap.answers)} questions, {origin}")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
