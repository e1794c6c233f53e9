"""Kind ``openai``: OpenAI and every endpoint that speaks its protocol, through langchain-openai."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar

from typing_extensions import override

from aegis_graph.config.price_specs import PriceSpec
from aegis_graph.config.specs import ProviderSpec, SchemaMethod
from aegis_graph.errors import ProviderError
from aegis_graph.pricing.prices import of_first_tier
from aegis_graph.pricing.rates import TokenUsage
from aegis_graph.providers.base import OpenModel, Provider, ProviderOptions
from aegis_graph.providers.call_arguments import OPENAI_SAMPLING
from aegis_graph.providers.client_errors import client_error
from aegis_graph.providers.http import (
    no_sync_client,
    openai_http_client,
    probe_models,
    recorded_http_client,
)
from aegis_graph.providers.model_lists import context_length, listed
from aegis_graph.providers.openai.images import openai_image_tokens
from aegis_graph.providers.openai.options import CapName, OpenAIOptions
from aegis_graph.providers.probe import Probe
from aegis_graph.providers.unsupported_parameter import RESPONSE_FORMAT
from aegis_graph.providers.waiting_tier import BATCH, BatchFiles
from aegis_graph.request.images import ImageSize
from aegis_graph.types import CallOptions

DEFAULT_URL = "https://api.openai.com/v1"

FLEX = "flex"
"""OpenAI's tier at its batch prices: https://developers.openai.com/api/docs/guides/flex-processing.
It may be served in another one, and is then billed as that."""

BATCH_BYTES = 200 * 10**6
"""Most bytes of a file of calls, which has 50,000 at most and is served within 24 hours:
https://developers.openai.com/api/reference/resources/batches/methods/create."""


class OpenAIProvider(Provider):
    """A model of OpenAI, or of a compatible endpoint when ``base_url`` is set."""

    options_type: ClassVar[type[ProviderOptions]] = OpenAIOptions
    adaptable = frozenset(
        {"max_completion_tokens", "max_tokens", RESPONSE_FORMAT, "stream_options", "temperature"}
    )

    open_http: Callable[[ProviderSpec, str | None], Any] = staticmethod(openai_http_client)
    """Opens what carries its calls."""

    @property
    @override
    def takes_default_temperature(self) -> bool:  # type: ignore[override]  # decided by the row
        """Where the row does not ask the model to reason."""
        return self.settings.reasoning_effort in {None, "none"}

    @property
    @override
    def sampling(self) -> frozenset[str]:  # type: ignore[override]  # decided by the row
        """Servers of their own take ``top_k`` too, and OpenAI's does not."""
        return OPENAI_SAMPLING if self.is_openai else OPENAI_SAMPLING | {"top_k"}

    @cached_property
    def settings(self) -> OpenAIOptions:
        """The row's options. A kind of another package may have options of its own instead."""
        return self.options if isinstance(self.options, OpenAIOptions) else OpenAIOptions()

    @property
    @override
    def streams_whole_answers(self) -> bool:  # type: ignore[override]  # decided by the row
        """Where the row asks for it."""
        return self.settings.stream

    @property
    def is_openai(self) -> bool:
        """Whether it is OpenAI's own service."""
        return self.spec.base_url in {None, DEFAULT_URL}

    @property
    @override
    def address(self) -> str:
        return self.spec.base_url or DEFAULT_URL

    @property
    @override
    def key_env(self) -> str | None:
        """A compatible endpoint may take calls without a key."""
        return self.spec.api_key_env or ("OPENAI_API_KEY" if self.is_openai else None)

    @override
    def open_waiting(self, *, source: str, environ: Mapping[str, str] | None) -> Provider:
        """The same row with ``service_tier`` set for every call."""
        if self.service_tier is not None:
            why = f"every call asks for the tier {self.service_tier!r}; take one of the two away"
            raise self.no_waiting(source, why)
        options = {**self.spec.options, "service_tier": FLEX}
        spec = self.spec.model_copy(update={"half_price": False, "options": options})
        waiting = type(self)(spec, source=source, environ=environ)
        if not waiting.price.cost(TokenUsage(1, 1), service_tier=FLEX).exact:
            why = f"no price of the tier {FLEX!r} is known for {spec.model!r}"
            raise self.no_waiting(source, f"{why}; give it as price.service_tiers.{FLEX}")
        # One server: what it takes in one tier it takes in the other.
        waiting.tier, waiting.refused = FLEX, self.refused
        return waiting

    @override
    def open_batches(self) -> Provider:
        """The same row, asked by the lines of a file, as OpenAI and servers like it take them."""
        named = isinstance(self.spec.price, PriceSpec) and BATCH in self.spec.price.service_tiers
        if not (self.is_openai or self.spec.half_price or named):
            why = f"nothing says that {self.address} takes them"
            raise self.no_batches(f"{why}; name their price as price.service_tiers.{BATCH}")
        if self.service_tier is not None:
            raise self.no_batches(f"every call asks for the tier {self.service_tier!r}")
        price = of_first_tier(self.price, BATCH, FLEX)
        if price is None:
            why = f"no price of the tier {BATCH!r} is known for {self.spec.model!r}"
            raise self.no_batches(f"{why}; give it as price.service_tiers.{BATCH}")
        options = {key: value for key, value in self.spec.options.items() if key != "stream"}
        spec = self.spec.model_copy(update={"half_price": False, "options": options})
        batches = type(self)(spec, source=self.source, environ=self._environ)
        batches.tier, batches.refused, batches.price = BATCH, self.refused, price
        batches.batch_files = BatchFiles(self.address, BATCH_BYTES, BATCH_BYTES, "aegis_batch")
        batches.open_http = recorded_http_client
        return batches

    @override
    def load(self) -> None:
        import openai  # noqa: F401, PLC0415

        import aegis_graph.providers.openai.chat_model  # noqa: PLC0415
        import aegis_graph.providers.openai.plain_completions  # noqa: F401, PLC0415

    @override
    def open_model(self, api_key: str | None) -> OpenModel:
        # Imported on first use: the clients take longer to import than the whole package.
        from pydantic import SecretStr  # noqa: PLC0415

        from aegis_graph.providers.openai.chat_model import ChatCompatible  # noqa: PLC0415
        from aegis_graph.providers.openai.plain_completions import (  # noqa: PLC0415
            PlainCompletions,
        )

        client = self.open_http(self.spec, api_key)
        # A plain no would forbid what a call asks for.
        streaming: dict[str, Any] = {"streaming": True} if self.settings.stream else {}
        model = ChatCompatible(
            model=self.spec.model,
            # Where either is missing, the client looks for it in the environment.
            api_key=SecretStr(api_key or "none"),
            base_url=self.address,
            max_retries=0,
            stream_usage=True,
            # The attempt has a limit of its own. This one waits by asyncio.wait_for for each chunk,
            # which before Python 3.12 can swallow a cancellation.
            stream_chunk_timeout=None,
            **streaming,
            http_client=no_sync_client(),
            http_async_client=client,
        )
        model.async_client = PlainCompletions(model.root_async_client)
        return OpenModel(model, client.aclose)

    @override
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        arguments = dict(self._row_arguments)
        if self._cap_name == "max_tokens":
            # As an argument the client renames it to the newer name, which many servers ignore.
            body = arguments.get("extra_body", {})
            arguments["extra_body"] = {**body, "max_tokens": max_output_tokens}
        else:
            arguments["max_completion_tokens"] = max_output_tokens
        return arguments

    @cached_property
    def _row_arguments(self) -> dict[str, Any]:
        temperature = self.spec.temperature
        default = {} if temperature is None else {"temperature": temperature}
        return {**default, **self.settings.arguments()}

    @property
    def _cap_name(self) -> CapName:
        default: CapName = "max_completion_tokens" if self.is_openai else "max_tokens"
        name = self.settings.output_cap or default
        if name not in self.refused:
            return name
        return "max_tokens" if name == "max_completion_tokens" else "max_completion_tokens"

    @override
    def stream_arguments(self) -> dict[str, Any]:
        """The client asks for the usage of each stream, unless a call says no."""
        asks = self.settings.stream_options and "stream_options" not in self.refused
        return {} if asks else {"stream_usage": False}

    @override
    def image_bound(self, size: ImageSize | None) -> int:
        return openai_image_tokens(self.spec.model, size)

    @property
    @override
    def structured(self) -> SchemaMethod:
        """By a schema, which most servers keep to, until one shows that it does not take it."""
        refused = RESPONSE_FORMAT in self.refused
        return self.spec.structured or (self.without_schemas if refused else "json_schema")

    @override
    def arguments(self, max_output_tokens: int, options: CallOptions) -> dict[str, Any]:
        asked = self.option_arguments(options)
        arguments = self.call_options(max_output_tokens)
        # As an argument a schema sends the client down another path, which loses the usage of an
        # answer that the cap cut off; and the client knows no ``top_k``.
        fields = (RESPONSE_FORMAT, "top_k")
        body = {name: asked.pop(name) for name in fields if name in asked}
        if body:
            arguments["extra_body"] = {**arguments.get("extra_body", {}), **body}
        if self.settings.stream:
            arguments |= self.stream_arguments()
        arguments |= asked
        if "temperature" in self.refused:
            # A model that reasons takes the default only.
            arguments.pop("temperature", None)
        return arguments

    @override
    def translate(self, error: Exception) -> ProviderError:
        return client_error(error)

    @override
    async def probe(self) -> Probe:
        url = f"{self.address}/models"
        found, answer = await probe_models(self.spec, url, api_key=self.api_key())
        rows = listed(answer, "data", name="id")
        if rows is None:
            return found
        row = rows.get(self.spec.model)
        detail = "" if row is not None else "the key's account does not list this model"
        context = None if row is None else context_length(row)
        return Probe(True, row is not None, detail, models=tuple(rows), context_length=context)
