"""A provider turns what a caller asks of an answer into arguments of its chat model.

The forms here are OpenAI's, which most LangChain models take; a kind with others overrides them.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence, Set
from functools import cached_property
from typing import Any, ClassVar

from langchain_core.messages import AIMessage

from aegis_graph.config.specs import ProviderSpec, SchemaMethod
from aegis_graph.errors import BadRequestError, ProviderError, UnfitAnswerError
from aegis_graph.pricing.rates import InputKind
from aegis_graph.request.input_kinds import cache_kinds, nested_values
from aegis_graph.request.options import SAMPLING
from aegis_graph.request.request import Request
from aegis_graph.request.structured import schema_name, schema_tool
from aegis_graph.types import CallOptions

OPENAI_SAMPLING = frozenset(SAMPLING) - {"top_k"}
"""What OpenAI's protocol has a name for."""


class CallArguments:
    """The part of a provider that turns a request's options into arguments of a call."""

    spec: ProviderSpec
    refused: set[str]
    """Arguments that the server has refused since the program began."""

    sampling: frozenset[str] = frozenset({"temperature"})
    """Those of ``request.options.SAMPLING`` that the kind sends. A request that asks for another
    one is not sent to it: without its choice it would be another request."""

    takes_default_temperature: bool = False
    """Whether a request's ``default_temperature`` is sent. Only a kind that is sure to do without
    the argument where its model refuses it, or whose models all take it, says yes."""

    schema_beside_tools: ClassVar[bool] = True
    """Whether a model that is given a schema by ``json_schema`` can still call a tool."""

    adaptable: ClassVar[frozenset[str]] = frozenset()
    """Arguments of a call that ``arguments`` sends in another form, or not at all, as soon as they
    are among those ``refused``."""

    @cached_property
    def service_tier(self) -> str | None:
        """The service tier that the row asks for, wherever its kind has a place for it."""
        return next((str(tier) for tier in nested_values(self.spec.options, "service_tier")), None)

    @cached_property
    def input_kinds(self) -> Set[InputKind]:
        """The kinds of input with prices of their own that the row asks for in every call."""
        return cache_kinds(self.spec.options)

    @property
    def takes_tools(self) -> bool:
        """Whether the model can be offered tools."""
        return self.spec.tools

    @property
    def structured(self) -> SchemaMethod | None:
        """How the model is made to answer in a schema; ``None`` where it cannot be."""
        return self.spec.structured or self.without_schemas

    @property
    def without_schemas(self) -> SchemaMethod:
        """How a model that takes no schema is made to answer in one."""
        return "tool" if self.takes_tools else "prompt"

    def schema_method(self, options: CallOptions) -> SchemaMethod | None:
        """How this request's schema is asked for; ``None`` where it has none."""
        if "response_schema" not in options:
            return None
        return options.get("schema_method") or self.structured

    def schema_in_prompt(self, options: CallOptions) -> bool:
        """Whether the prompt must name the schema, because the model does not see it otherwise."""
        return self.schema_method(options) in {"json_mode", "prompt"}

    def refused_option(self, options: CallOptions) -> str | None:
        """The option of a request that the model cannot be given, if there is one."""
        asked = (name for name in SAMPLING if name in options)
        return next((name for name in asked if name not in self.sampling), None)

    @abstractmethod
    def call_options(self, max_output_tokens: int) -> dict[str, Any]:
        """Arguments of one model call that make the provider honour the output cap."""

    def arguments(self, max_output_tokens: int, options: CallOptions) -> dict[str, Any]:
        """Arguments of one model call: the output cap, and what the caller asks for."""
        return {**self.call_options(max_output_tokens), **self.option_arguments(options)}

    def stream_arguments(self) -> dict[str, Any]:
        """Further arguments of a call that streams; by default none."""
        return {}

    def make_room(self, arguments: dict[str, Any], request: Request) -> None:
        """Change the arguments of a call so that the request fits, where its length is a choice."""
        return

    def check_room(self, answer: AIMessage, arguments: Mapping[str, Any], request: Request) -> None:
        """Make sure that the model has seen the whole request, where a server may cut it.

        Raises:
            ContextTooLongError: It has not.
        """
        return

    def adapt(self, error: ProviderError) -> bool:
        """Learn from a refusal which argument of a call this server does not take.

        The same request is then tried again at once, in another attempt, if ``arguments`` gives
        another form for it by now. So a refusal that another request met first counts as well.

        An answer without any JSON says the same of the schema that it was sent with.

        Returns:
            Whether the argument, the error's ``param``, is one of the ``adaptable``.
        """
        refusals = BadRequestError | UnfitAnswerError
        if not isinstance(error, refusals) or error.param not in self.adaptable:
            return False
        self.refused.add(error.param)
        return True

    def option_arguments(self, options: CallOptions) -> dict[str, Any]:
        """What the caller asks for, without the output cap."""
        given: Mapping[str, Any] = options
        asked = {name: given[name] for name in ("stop", *SAMPLING) if name in given}
        if "temperature" not in asked and self._may_default_temperature(options):
            asked["temperature"] = options["default_temperature"]
        tools, choice = self.offered_tools(options)
        if tools:
            asked["tools"] = tools
            if choice is not None and (forced := self.tool_choice(choice, tools)) is not None:
                asked["tool_choice"] = forced
            if "parallel_tool_calls" in options:
                asked["parallel_tool_calls"] = options["parallel_tool_calls"]
        return {**asked, **self.schema_arguments(options)}

    def _may_default_temperature(self, options: CallOptions) -> bool:
        """Whether the request's own default counts; the row's temperature goes before it.

        Models that think repeat themselves without end when they are sampled greedily.
        Source: https://huggingface.co/Qwen/Qwen3-8B#best-practices
        """
        return (
            "default_temperature" in options
            and self.takes_default_temperature
            and self.spec.temperature is None
            and not self.spec.thinking
            and options.get("reasoning_effort", "none") == "none"
            and "temperature" not in self.refused
        )

    def offered_tools(self, options: CallOptions) -> tuple[list[dict[str, Any]], str | None]:
        """The tools to offer, and which must be called."""
        tools, choice = list(options.get("tools", ())), options.get("tool_choice")
        if choice == "none":
            # Offered no tool, every provider calls none; not every one takes a choice.
            tools, choice = [], None
        if self.schema_method(options) == "tool":
            tools.append(schema_tool(options["response_schema"]))
            # Beside the caller's tools the answer is one thing to call; alone it is the only one.
            choice = "required" if len(tools) > 1 else schema_name(options["response_schema"])
        if choice not in {None, "auto", "required"}:
            # Where a provider cannot force a tool, offering no other comes next.
            tools = [tool for tool in tools if tool["function"]["name"] == choice]
        return tools, choice

    def tool_choice(self, choice: str, tools: Sequence[Mapping[str, Any]]) -> Any:
        """The choice in the provider's own form; ``None`` where there is none.

        Args:
            choice: ``auto``, ``required`` or the name of one of the tools.
            tools: What is offered.
        """
        if choice in {"auto", "required"}:
            return choice
        return {"type": "function", "function": {"name": choice}}

    def schema_arguments(self, options: CallOptions) -> dict[str, Any]:
        """Arguments that make the model answer in a schema, beside tools and the prompt."""
        method = self.schema_method(options)
        if method == "json_mode":
            return {"response_format": {"type": "json_object"}}
        if method != "json_schema":
            # A tool is among the tools, and words are in the prompt.
            return {}
        schema = options["response_schema"]
        named: dict[str, Any] = {"name": schema_name(schema), "schema": schema}
        if "strict" in options:
            named["strict"] = options["strict"]
        return {"response_format": {"type": "json_schema", "json_schema": named}}


def without_strict(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Tools without OpenAI's ``strict``, which others do not know."""
    return [
        {**tool, "function": {k: v for k, v in tool["function"].items() if k != "strict"}}
        for tool in tools
    ]
