"""What an insert will cost, before it starts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from importlib import import_module

from aegis_graph.components.lightrag.documents import compared
from aegis_graph.components.lightrag.settings import Documents, LightRAGSettings, texts_by_name
from aegis_graph.components.lightrag.spending import Operation
from aegis_graph.components.lightrag.workspace import Workspace
from aegis_graph.errors import ConfigError
from aegis_graph.pricing.prices import Price, most_usd
from aegis_graph.pricing.rates import TokenUsage
from aegis_graph.providers.base import Provider
from aegis_graph.request.token_bounds import PER_MESSAGE, PER_REQUEST
from aegis_graph.routing.policy import may_receive
from aegis_graph.types import Sensitivity

EXTRACT_PROMPT_TOKENS = 1781
GLEAN_PROMPT_TOKENS = 400
SUMMARY_PROMPT_TOKENS = 421
"""What LightRAG 1.5.7 writes around a chunk, in addition to that for gleaning, and around the
descriptions of an entity: measured with the vocabulary o200k."""

EXTRACT_PROMPT_BYTES = 10_000
GLEAN_PROMPT_BYTES = 2_500
SUMMARY_PROMPT_BYTES = 3_000
"""Bounds of the same in bytes, for the most that it can cost. A test measures the real prompts."""

USUAL_OUTPUT_TOKENS: Mapping[Operation, float] = {
    "extract": 900.0,
    "glean": 100.0,
    "summary": 250.0,
}
"""What is expected where the workspace has no answers to learn from yet: about twenty entities with
their relations, nothing new, and a paragraph."""

ROWS_PER_ANSWER = 100
"""Most entities and relations that LightRAG asks for in one answer."""

DESCRIPTIONS_PER_SUMMARY = 8
"""Descriptions of one entity or relation that LightRAG has summarised."""

BYTES_PER_TOKEN = 8
"""Of an answer that is read again: more than the average of any language's tokens."""

TOKENS_PER_ROW = 45
"""What an entity or a relation with its description takes, for the vectors of both."""


@dataclass(frozen=True, slots=True)
class OperationForecast:
    """One operation of an insert."""

    calls: int
    input_tokens: int
    """Expected."""
    output_tokens: int
    """Expected."""
    expected_usd: Decimal
    """At the provider that is asked first."""
    most_usd: Decimal
    """When the dearest provider answers each call, at full length."""


@dataclass(frozen=True, slots=True)
class Forecast:
    """What an insert will cost. It bought nothing to find out.

    ``most_usd`` bounds the calls for extraction, gleaning and the vectors of chunks. The number of
    summaries depends on what the documents say: they are bounded for a workspace in which no entity
    is near its eighth description. Attempts that fail and are billed all the same come on top.
    """

    documents: int
    """That are not in the workspace yet, or with another text."""
    known: int
    """That are, and cost nothing."""
    chunks: int
    operations: Mapping[str, OperationForecast]

    @property
    def expected_usd(self) -> Decimal:
        """All operations together."""
        return sum((line.expected_usd for line in self.operations.values()), Decimal(0))

    @property
    def most_usd(self) -> Decimal:
        """All operations together."""
        return sum((line.most_usd for line in self.operations.values()), Decimal(0))


@dataclass(frozen=True, slots=True)
class ChunkSize:
    """A piece that is read by the model on its own."""

    tokens: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Estimator:
    """Turns chunks into money.

    Args:
        chat: The providers of answers.
        vectors: The providers of embeddings.
        output_tokens: The caps that are sent.
        usual: Expected length of an answer by operation, in tokens.
        gleaning: Rounds of gleaning.
    """

    chat: Sequence[Provider]
    vectors: Sequence[Provider]
    output_tokens: Mapping[Operation, int]
    usual: Mapping[Operation, float]
    gleaning: int

    def operations(
        self, chunks: Sequence[ChunkSize], level: Sensitivity
    ) -> dict[str, OperationForecast]:
        """What inserting these chunks will cost, by operation.

        Raises:
            ConfigError: No configured provider may be asked for it.
        """
        expected, most = self._expected(chunks), self._upper_bounds(chunks)
        return {
            operation: self._operation(operation, level, expected[operation], most[operation])
            for operation in expected
        }

    def _expected(self, chunks: Sequence[ChunkSize]) -> dict[Operation, _TokenLoad]:
        count, tokens = len(chunks), sum(chunk.tokens for chunk in chunks)
        written = round(count * self.usual["extract"])
        rows = written // TOKENS_PER_ROW
        # Of the rows, a quarter is about something that many chunks describe.
        summaries = rows // DESCRIPTIONS_PER_SUMMARY // 4
        described = summaries * (SUMMARY_PROMPT_TOKENS + DESCRIPTIONS_PER_SUMMARY * TOKENS_PER_ROW)
        extract = EXTRACT_PROMPT_TOKENS * count + tokens
        loads: dict[Operation, _TokenLoad] = {"extract": _TokenLoad(count, extract, written)}
        if self.gleaning:
            # The second reading sends the first one again, with its answer.
            glean = extract + GLEAN_PROMPT_TOKENS * count + written
            loads["glean"] = _TokenLoad(count, glean, round(count * self.usual["glean"]))
        loads["summary"] = _TokenLoad(
            summaries, described, round(summaries * self.usual["summary"])
        )
        # Ten texts a call: see ``embedding_batch_num`` in the settings.
        loads["embed"] = _TokenLoad(-(-(count + rows) // 10), tokens + written, 0)
        return loads

    def _upper_bounds(self, chunks: Sequence[ChunkSize]) -> dict[Operation, _TokenLoad]:
        """Bounds: bytes for tokens read, caps for tokens written."""
        count, size = len(chunks), sum(chunk.bytes for chunk in chunks)
        cap, glean_cap = self.output_tokens["extract"], self.output_tokens["glean"]
        written = BYTES_PER_TOKEN * (cap + (glean_cap if self.gleaning else 0)) * count
        summaries = ROWS_PER_ANSWER * (1 + self.gleaning) * count // DESCRIPTIONS_PER_SUMMARY
        extract = EXTRACT_PROMPT_BYTES * count + size
        glean = extract + (GLEAN_PROMPT_BYTES + BYTES_PER_TOKEN * cap) * count
        return {
            "extract": _TokenLoad(count, extract, cap * count),
            "glean": _TokenLoad(count, glean, glean_cap * count),
            "summary": _TokenLoad(
                summaries,
                SUMMARY_PROMPT_BYTES * summaries + written,
                self.output_tokens["summary"] * summaries,
            ),
            # A relation's vector is of its ends' names and its keywords as well.
            "embed": _TokenLoad(-(-size // 1000) + count, size + 2 * written, 0),
        }

    def _operation(
        self, operation: Operation, level: Sensitivity, expected: _TokenLoad, most: _TokenLoad
    ) -> OperationForecast:
        providers = self._eligible_providers(operation, level)
        return OperationForecast(
            expected.calls,
            expected.input_tokens,
            expected.output_tokens,
            expected.usd(providers[0].price),
            max(most.bound_usd(provider) for provider in providers),
        )

    def _eligible_providers(self, operation: Operation, level: Sensitivity) -> Sequence[Provider]:
        found = [
            provider
            for provider in (self.vectors if operation == "embed" else self.chat)
            if may_receive(provider.spec, level)
            and (provider.spec.tasks is None or operation in provider.spec.tasks)
            # As the router would pass it over: a forecast with a provider that is never asked is
            # wrong.
            and not (provider.key_env and not provider.api_key())
            and provider.missing_package() is None
        ]
        if not found:
            raise ConfigError(
                f"no configured provider may be asked for {operation} of {level} data"
            )
        return found


async def forecast_insert(
    workspace: Workspace,
    documents: Documents,
    level: Sensitivity,
    settings: LightRAGSettings,
    *,
    chat: Sequence[Provider],
    vectors: Sequence[Provider],
) -> Forecast:
    """What inserting these documents will cost.

    Args:
        workspace: Open.
        documents: Texts by name, or texts alone.
        level: How private the calls will be.
        settings: How the workspace works.
        chat: The providers of answers.
        vectors: The providers of embeddings.

    Raises:
        ConfigError: No configured provider may be asked.
        InvalidRequestError: A document is empty, or two have names that LightRAG confuses.
    """
    texts = texts_by_name(documents)
    found = await compared(workspace, texts)
    new = {**found.added, **found.updated}
    # On another thread: cutting up long texts takes a while, and inserts share the loop.
    chunks = await asyncio.to_thread(_chunk_sizes, list(new.values()), settings)
    usual: dict[Operation, float] = {
        operation: workspace.answers.mean_output_tokens(operation) or known
        for operation, known in USUAL_OUTPUT_TOKENS.items()
    }
    estimator = Estimator(chat, vectors, settings.caps(), usual, settings.gleaning)
    operations = estimator.operations(chunks, level)
    return Forecast(len(new), len(texts) - len(new), len(chunks), operations)


def _chunk_sizes(texts: Sequence[str], settings: LightRAGSettings) -> list[ChunkSize]:
    """The chunks as LightRAG will cut them."""
    chunker, utils = import_module("lightrag.chunker"), import_module("lightrag.utils")
    tokenizer = utils.Tokenizer(settings.tokenizer.name, settings.tokenizer)
    sizes = (settings.chunk_overlap_tokens, settings.chunk_tokens)
    return [
        ChunkSize(piece["tokens"], len(piece["content"].encode("utf-8", errors="replace")))
        for text in texts
        for piece in chunker.chunking_by_token_size(
            tokenizer, utils.sanitize_text_for_encoding(text), None, False, *sizes
        )
    ]


@dataclass(frozen=True, slots=True)
class _TokenLoad:
    """Calls, and the tokens of all of them."""

    calls: int
    input_tokens: int
    output_tokens: int

    def usd(self, price: Price) -> Decimal:
        """Priced call by call: some prices depend on a call's length."""
        if not self.calls:
            return Decimal(0)
        usage = TokenUsage(
            -(-self.input_tokens // self.calls), -(-self.output_tokens // self.calls)
        )
        return price(usage) * self.calls

    def bound_usd(self, provider: Provider) -> Decimal:
        """The most that the provider can bill for it."""
        if not self.calls:
            return Decimal(0)
        read = -(-self.input_tokens // self.calls) + PER_REQUEST + 4 * PER_MESSAGE
        written = provider.output_bound(-(-self.output_tokens // self.calls))
        return most_usd(provider.price, read, written) * self.calls
