"""Every model and embedding call of LightRAG, on its way through the routing subgraph."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, cast

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from aegis_graph.components.lightrag.keywords import Keywords
from aegis_graph.components.lightrag.paid_answers import PaidAnswer, PaidAnswers
from aegis_graph.components.lightrag.run import (
    CURRENT_DOCUMENT,
    CURRENT_RUN,
    MAY_WAIT,
    NoKeywordsError,
    Run,
    RunEndedError,
)
from aegis_graph.components.lightrag.spending import Operation
from aegis_graph.components.model_chain import model_chain
from aegis_graph.components.private_store import result_key
from aegis_graph.embeddings import RoutedEmbeddings
from aegis_graph.errors import AegisError, BudgetExceededError, RoutingError
from aegis_graph.providers.embedding_model import TextType
from aegis_graph.routing.hosts.message_streams import hidden_from_streams
from aegis_graph.routing.observer import RunObserver, with_observer
from aegis_graph.routing.router import Router
from aegis_graph.routing.state import RouterInput
from aegis_graph.text.reasoning import spoken_part
from aegis_graph.types import CUT_OFF, FINISH_REASON, SENSITIVITIES, AttemptRecord, Sensitivity

if TYPE_CHECKING:
    import numpy as np

T = TypeVar("T")

_CACHED: frozenset[Operation] = frozenset({"extract", "glean", "summary"})
"""Answers that are needed again when an insert is resumed; a question is asked anew each time."""


def operation_of(role: str, system_prompt: str | None, history: Sequence[Any]) -> Operation:
    """What LightRAG is doing when it calls a role's function in this way."""
    if role == "query":
        return "answer"
    if role == "keyword":
        return "keywords"
    if history:
        return "glean"
    return "extract" if system_prompt else "summary"


@dataclass(frozen=True, slots=True)
class RoutedCalls:
    """The functions that LightRAG is given.

    Args:
        router: Compiled without a checkpointer: an insert makes thousands of calls.
        embeddings: Routed as well.
        answers: What was bought before.
        default_run: For calls that no run of ours began.
        output_tokens: Caps of the answers by operation.
    """

    router: Router
    embeddings: RoutedEmbeddings
    answers: PaidAnswers
    default_run: Run
    output_tokens: Mapping[Operation, int]
    _locks: weakref.WeakValueDictionary[str, asyncio.Lock] = field(
        # A lock lives while a call holds it: thousands of requests leave none behind.
        default_factory=weakref.WeakValueDictionary
    )

    def chat_function(self, role: str) -> Callable[..., Awaitable[str]]:
        """A role's function. A plain closure, because LightRAG copies what it is given deeply."""

        async def model(
            prompt: str,
            system_prompt: str | None = None,
            history_messages: Sequence[Mapping[str, str]] | None = None,
            **_: Any,
        ) -> str:
            history = history_messages or []
            operation = operation_of(role, system_prompt, history)
            return await self._answer(operation, _messages(prompt, system_prompt, history))

        return model

    def embedding_function(self) -> Callable[..., Awaitable[np.ndarray]]:
        """The embedding function."""

        async def embed(texts: list[str], context: TextType = "document", **_: Any) -> np.ndarray:
            import numpy as np  # noqa: PLC0415  heavy, and LightRAG has loaded it

            return np.asarray(await self._embed(texts, context), dtype=np.float32)

        return embed

    def sensitivity_of(self, run: Run) -> Sensitivity:
        """How private a call is: as its request, and as everything in the workspace."""
        asked = run.options.get("sensitivity") or self.default_run.options["sensitivity"]
        return max(asked, self.answers.sensitivity, key=SENSITIVITIES.index)

    def models(self, operation: Operation, level: Sensitivity) -> list[str]:
        """What identifies the models that may answer, in order."""
        return model_chain(self.router, task=operation, sensitivity=level)

    async def _answer(self, operation: Operation, messages: Sequence[BaseMessage]) -> str:
        run = CURRENT_RUN.get() or self.default_run
        level = self.sensitivity_of(run)
        texts = [(message.type, message.text) for message in messages]
        cap = self.output_tokens[operation]
        models = self.models(operation, level)
        # With the cap: an answer that it cut is asked for again once there is a larger one. With
        # the models: a better one is asked for what another could not do.
        key = result_key(operation, level, cap, models, texts)
        lock = self._locks.setdefault(key, asyncio.Lock())
        # Two chunks with the same text are one request, also when they are asked at once.
        async with lock:
            found = self.answers.answer(key) if operation in _CACHED else None
            if found is None:
                request = {
                    "messages": list(messages),
                    "task": operation,
                    "sensitivity": level,
                    "max_output_tokens": cap,
                    **run.request(operation),
                }
                found = await _through_queue(
                    run, operation, lambda: self._buy(run, operation, key, request)
                )
        if operation == "answer":
            run.answer = found.text
        if operation == "keywords":
            run.keywords = Keywords.read(found.text)
            if not any(run.keywords):
                raise NoKeywordsError("the model's answer has no keywords that can be read")
            return run.keywords.as_json
        return _as_lightrag_reads(found)

    async def _buy(
        self, run: Run, operation: Operation, key: str, request: Mapping[str, Any]
    ) -> PaidAnswer:
        answers: list[PaidAnswer] = []

        def keep(message: AIMessage) -> None:
            answers.append(_as_paid_answer(message))
            if operation in _CACHED:
                self.answers.keep_answer(key, operation, answers[-1])

        # A host that streams messages shows answers, not what was read on the way to them.
        visible = operation == "answer"
        with nullcontext() if visible else hidden_from_streams() as config:
            observed = with_observer(RunObserver(keep=keep), config)
            asked = self.router.ainvoke(cast(RouterInput, request), observed)
            result = await _recording_errors(run, operation, asked)
        run.spending.add(operation, CURRENT_DOCUMENT.get(), result["attempts"])
        return answers[-1]

    async def _embed(self, texts: Sequence[str], context: TextType) -> list[list[float]]:
        run = CURRENT_RUN.get() or self.default_run
        level = self.sensitivity_of(run)
        space = self.embeddings.spec.vector_space
        keys = {text: result_key("embed", level, space, context, text) for text in texts}
        # Of a question nothing is kept, not even its vector.
        found = self.answers.vectors(list(keys.values())) if context == "document" else {}
        missing = [text for text, key in keys.items() if key not in found]

        def keep(batch: Sequence[str], vectors: Sequence[Sequence[float]]) -> None:
            bought = {keys[text]: vector for text, vector in zip(batch, vectors, strict=True)}
            # Batch by batch: what was bought before an error is not bought again.
            found.update({key: list(vector) for key, vector in bought.items()})
            if context == "document":
                self.answers.keep_vectors(bought)

        async def buy() -> None:
            chosen = self.embeddings.with_options(sensitivity=level, **run.request("embed"))
            embedded = await _recording_errors(
                run, "embed", chosen.aembed(missing, text_type=context, keep=keep)
            )
            run.spending.add("embed", None, embedded.attempts)

        if missing:
            await _through_queue(run, "embed", buy)
        return [found[keys[text]] for text in texts]


async def _recording_errors(run: Run, operation: Operation, asked: Awaitable[T]) -> T:
    """Remember the error that LightRAG will not pass on, and what it cost."""
    try:
        return await asked
    except RoutingError as error:
        attempts: list[AttemptRecord] = error.attempts  # type: ignore[assignment]  # as in the state
        run.spending.add(operation, CURRENT_DOCUMENT.get(), attempts)
        run.error = error
        raise
    except AegisError as error:
        run.error = error
        raise


async def _through_queue(run: Run, operation: Operation, buy: Callable[[], Awaitable[T]]) -> T:
    async def ask() -> T:
        if not run.active:
            raise RunEndedError(f"{operation}: the run that asks has ended")
        return await buy()

    if run.queue is None:
        return await ask()
    if operation in MAY_WAIT:
        return await run.queue.run_when_there_is_room(ask)
    try:
        return await run.queue.run_now(ask)
    except BudgetExceededError as refusal:
        # A merge cannot wait: its document fails, cleanly, and is taken up by the next insert.
        run.queue.refusal = refusal
        run.queue.close(refusal)
        raise


def _messages(
    prompt: str, system_prompt: str | None, history: Sequence[Mapping[str, str]]
) -> list[BaseMessage]:
    system = [SystemMessage(system_prompt)] if system_prompt else []
    turns = [
        AIMessage(turn["content"]) if turn["role"] == "assistant" else HumanMessage(turn["content"])
        for turn in history
    ]
    return [*system, *turns, HumanMessage(prompt)]


def _as_paid_answer(message: AIMessage) -> PaidAnswer:
    usage = message.usage_metadata
    return PaidAnswer(
        spoken_part(message.text),
        truncated=message.response_metadata.get(FINISH_REASON) == CUT_OFF,
        output_tokens=usage["output_tokens"] if usage is not None else None,
    )


def _as_lightrag_reads(answer: PaidAnswer) -> str:
    if not answer.truncated:
        return answer.text
    from lightrag.utils import TruncatedResponse  # type: ignore[import-untyped]  # noqa: PLC0415  heavy, and loaded by now

    return cast(str, TruncatedResponse(answer.text))
