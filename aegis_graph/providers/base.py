"""Every kind of provider opens a chat model for the router, and translates its client's errors.

This is the one boundary at which foreign errors become ours: by status, code or known wording.
"""

from __future__ import annotations

import asyncio
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from langchain_core.messages import AIMessage
from pydantic import ValidationError
from typing_extensions import override

from aegis_graph.concurrency.forks import reset_in_child
from aegis_graph.concurrency.loop_scoped import LoopScoped
from aegis_graph.config.config_model import ConfigModel
from aegis_graph.config.router_config import first_fault
from aegis_graph.config.specs import KEY_ALIASES, ProviderSpec
from aegis_graph.errors import ConfigError, ProviderError, StreamCutError
from aegis_graph.pricing.book import book_price
from aegis_graph.pricing.prices import KnownPrices, Price, price_of
from aegis_graph.providers.answer_check import check_end, check_filled
from aegis_graph.providers.call_arguments import CallArguments
from aegis_graph.providers.finish_reasons import read_finish_reason
from aegis_graph.providers.location import check_location
from aegis_graph.providers.probe import Probe
from aegis_graph.providers.waiting_tier import WaitingTier
from aegis_graph.request.images import UNKNOWN_IMAGE_TOKENS, ImageSize
from aegis_graph.types import FINISH_REASON

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


@dataclass(frozen=True, slots=True)
class OpenModel:
    """A chat model bound to the running event loop, and how to close its connections."""

    model: BaseChatModel
    aclose: Callable[[], Awaitable[None]]


class ProviderOptions(ConfigModel):
    """Base of what a row's ``options`` may say. A kind with settings of its own subclasses it.

    Example:
        >>> class AcmeOptions(ProviderOptions):
        ...     region: str = "eu"
        >>> AcmeOptions().region
        'eu'
    """


class Provider(CallArguments, WaitingTier, ABC):
    """One configured provider. A kind is a subclass, usually of one of the package's own kinds.

    Args:
        spec: Its row of the configuration.
        source: The configuration's file, for errors.
        environ: Where keys are looked up by name, by default the process's environment.

    Raises:
        ConfigError: An option is wrong, its address is not ``local`` though it says so, or the
            price of its model is unknown.

    Example:
        >>> from aegis_graph.providers.openai import OpenAIProvider
        >>> class AcmeProvider(OpenAIProvider):
        ...     def output_bound(self, max_output_tokens: int) -> int:
        ...         return 2 * max_output_tokens  # This one bills its reasoning beside the answer.
    """

    options_type: ClassVar[type[ProviderOptions]] = ProviderOptions
    """What the row's ``options`` may say; nothing, where the kind names no class of its own."""

    fetches_images: ClassVar[bool] = True
    """Whether it gets an image from an https address by itself."""

    stands_in: ClassVar[bool] = False
    """Whether it answers where no model does, and so after all models, whatever the order is."""

    streams_whole_answers: bool = False
    """Whether an answer that is asked for whole arrives in pieces too, each of them reported to
    LangChain's callbacks. Only then do the limits on pieces count for it."""

    waiting: Provider | None = None
    """The same in its tier at half the price, where the row says ``half_price``."""

    def __init__(
        self,
        spec: ProviderSpec,
        *,
        source: str = "the configuration",
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self.spec = spec
        self.source = source
        try:
            self.options = self.options_type.model_validate(spec.options)
        except ValidationError as error:
            raise ConfigError(
                f"{source}: providers.{spec.name}.options: {first_fault(error)}"
            ) from error
        self.price = price_of(self.priced_spec(), self.own_price, source=source)
        self._prices = KnownPrices(self.model_price)
        self.refused: set[str] = set()
        check_location(spec, self.address, source=source)
        self._environ = os.environ if environ is None else environ
        self._models: dict[str | None, LoopScoped[OpenModel]] = {}
        self._loaded = False
        self._lock = threading.Lock()
        reset_in_child(self, Provider._forget_calls)
        self._calls = 0
        self._retired = False
        if spec.half_price:
            self.waiting = self.open_waiting(source=source, environ=environ)

    def _forget_calls(self) -> None:
        """In a forked process: the calls that are under way are the parent's."""
        self._lock, self._calls = threading.Lock(), 0

    @property
    def address(self) -> str | None:
        """Where its calls go; ``None`` where none leaves the process, or only the kind knows."""
        return self.spec.base_url

    @property
    def key_env(self) -> str | None:
        """Name of the environment variable with the key; ``None`` where no key is needed."""
        return self.spec.api_key_env

    def api_key(self) -> str | None:
        """The key as the environment has it now; never store it."""
        name = self.key_env
        if name is None:
            return None
        found = self._environ.get(name) or self._environ.get(KEY_ALIASES.get(name, name))
        return found.strip() or None if found else None

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Keep the connections open for one call, also when the provider is retired meanwhile."""
        with self._lock:
            self._calls += 1
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                unused = self._take_unused()
            _close_all(unused)

    def retire(self) -> None:
        """Close the connections as soon as no call uses them; the configuration has dropped it.

        A request that started before may still call it: then they are opened, and closed again.
        """
        with self._lock:
            self._retired = True
            unused = self._take_unused()
        _close_all(unused)
        if self.waiting is not None:
            self.waiting.retire()

    def _take_unused(self) -> list[LoopScoped[OpenModel]]:
        """Take out what is to be closed; the next call opens new connections."""
        if not self._retired or self._calls:
            return []
        unused, self._models = list(self._models.values()), {}
        return unused

    async def model(self) -> BaseChatModel:
        """The chat model of the running event loop, with the key as it is now.

        Connections of a retired provider stay open ``in_use`` only.
        """
        if not self._loaded:
            # In a thread: a client takes up to two seconds to import.
            await asyncio.to_thread(self.load)
            self._loaded = True
        # Read for each call: a key may be replaced while the program runs.
        key = self.api_key()
        with self._lock:
            if key not in self._models:
                # One key at a time: a changed key leaves the old client to its loop's shutdown.
                self._models = {key: LoopScoped(lambda: self.open_model(key), _close)}
            models = self._models[key]
        return (await models.get()).model

    def priced_spec(self) -> ProviderSpec:
        """The row under which the price book knows the model."""
        return self.spec

    def own_price(self) -> Price | None:
        """The price of the kind's own table, by default the price book's; ``None`` if unknown."""
        return self.model_price(self.priced_spec().model)

    def model_price(self, model: str) -> Price | None:
        """The same of any model, were it the row's."""
        return book_price(self.priced_spec().model_copy(update={"model": model}))

    def served_price(self, model: str) -> Price | None:
        """The price of the model that has answered, where it is another one than the row's.

        ``None`` where it is not known, and where the row says what its calls cost.
        """
        if self.spec.price is not None or model == self.priced_spec().model:
            return None
        return self._prices.of(model)

    def load(self) -> None:
        """Import what takes a while; called once, in a thread, before the first model."""
        return

    def missing_package(self) -> str | None:
        """The line that installs what this kind needs, or ``None`` when all is there."""
        return None

    def output_bound(self, max_output_tokens: int) -> int:
        """The most output tokens that a call with this cap can be billed for."""
        return max_output_tokens

    @property
    def context_length(self) -> int | None:
        """Tokens that the row asks for as the length of the context; ``None`` where it does not."""
        return None

    def image_bound(self, size: ImageSize | None) -> int:
        """The most input tokens of an image, given its size where that is known."""
        return UNKNOWN_IMAGE_TOKENS

    @abstractmethod
    def open_model(self, api_key: str | None) -> OpenModel:
        """Build the chat model for the running event loop, its own retries off."""

    @abstractmethod
    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        """Arguments of one model call that make the provider honour the output cap."""

    @abstractmethod
    def translate(self, error: Exception) -> ProviderError:
        """The error of ours that a client library's error means."""

    @final
    def accept(self, answer: AIMessage) -> None:
        """Put the finish reason in the router's word, and make sure that the answer is one.

        No kind overrides it, so that no kind's answers can lack that word.

        Raises:
            ProviderError: The answer broke off, was refused or withheld, or has nothing in it.
        """
        check_end(answer, read_finish_reason(answer))
        self.check_complete(answer)
        self.check_content(answer)

    def check_complete(self, answer: AIMessage) -> None:
        """Make sure that the answer came to its end: by default, that it names a reason.

        Raises:
            StreamCutError: The answer broke off.
        """
        if not answer.response_metadata.get(FINISH_REASON):
            raise StreamCutError("the answer ended without a finish reason")

    def check_content(self, answer: AIMessage) -> None:
        """Make sure that the answer has something in it.

        Raises:
            ProviderError: It has not.
        """
        check_filled(answer)

    @abstractmethod
    async def probe(self) -> Probe:
        """Find out, for free, whether the provider is there and has the model."""


async def nothing_to_close() -> None:
    """For ``OpenModel``: a model without connections of its own."""


async def _close(opened: OpenModel) -> None:
    await opened.aclose()


def _close_all(models: list[LoopScoped[OpenModel]]) -> None:
    for model in models:
        model.close_soon()
