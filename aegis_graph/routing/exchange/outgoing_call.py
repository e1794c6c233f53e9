"""What one attempt sends to its provider, and under which run LangChain sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from langchain_core.callbacks import AsyncCallbackManager
from langchain_core.messages import AIMessage, BaseMessage, SystemMessage
from langchain_core.runnables import RunnableConfig

from aegis_graph.providers.base import Provider
from aegis_graph.request.conversation import for_provider
from aegis_graph.request.request import Request
from aegis_graph.request.structured import schema_instruction
from aegis_graph.routing.observer import RunObserver, with_handler
from aegis_graph.routing.stream_recorder import StreamRecorder
from aegis_graph.routing.walking.direct_call import (
    ModelRun,
    direct_answer,
    hears_itself,
    streams_alone,
)

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class OutgoingCall:
    """The messages, the arguments and the callbacks of one attempt.

    Args:
        provider: The provider that is asked.
        request: What the caller asks.
        observer: What the caller wants of it while it runs.
        config: The run's configuration.
        number: The attempt's, from 1.
        output_cap: Most tokens of the answer.
        is_heard: Whether callbacks or tracers may hear of the run.
    """

    def __init__(
        self,
        provider: Provider,
        request: Request,
        observer: RunObserver,
        config: RunnableConfig,
        *,
        number: int,
        output_cap: int,
        is_heard: bool = True,
    ) -> None:
        self._provider = provider
        self._request = request
        self._observer = observer
        self._config = config
        self._number = number
        self._output_cap = output_cap
        self._is_heard = is_heard
        self.run_id: UUID = uuid4()
        self.streams = observer.streams(config)
        """Whether the answer arrives in pieces because the caller or its host wants them."""
        self.was_sent = False
        self.arguments: dict[str, Any] = {}
        """With which the provider was asked last."""

    async def send(self, model: BaseChatModel, recorder: StreamRecorder) -> AIMessage:
        """Ask once. It raises whatever the client raises."""
        self.arguments = self._arguments()
        self.was_sent = True
        messages, streams = self._messages(), self._streams_alone(model)
        if streams is None:
            config = self._config_of_call()
            config["callbacks"] = with_handler(config.get("callbacks"), recorder)
            return await model.ainvoke(messages, config, **self.arguments)
        run = ModelRun(self.run_id, recorder, streams)
        return await direct_answer(model, messages, self.arguments, run)

    def written(self, model: Any) -> dict[str, Any] | None:
        """The call as a line of a batch file.

        Args:
            model: A model of OpenAI's protocol.

        Returns:
            ``None`` where its client would ask another endpoint.
        """
        self.arguments = self._arguments()
        body: dict[str, Any] | None = model.written(self._messages(), self.arguments)
        return body

    def would_differ(self) -> bool:
        """Whether the provider would send something else by now."""
        return self.was_sent and self._arguments() != self.arguments

    def _messages(self) -> list[BaseMessage]:
        messages = for_provider(self._request.messages, self._provider.spec.name)
        options = self._request.options
        if not self._provider.schema_in_prompt(options):
            return messages
        return [SystemMessage(schema_instruction(options["response_schema"])), *messages]

    def _arguments(self) -> dict[str, Any]:
        arguments = self._provider.arguments(self._output_cap, self._request.options)
        self._provider.make_room(arguments, self._request)
        if self.streams:
            arguments.update(self._provider.stream_arguments())
        if self._observer.on_event:
            # LangChain's own switch for ``ainvoke``. Where a host streams it is on already.
            arguments["stream"] = True
        return arguments

    def _streams_alone(self, model: BaseChatModel) -> AsyncCallbackManager | None:
        """Who is shown the call, or ``None`` where that is more than streams of messages."""
        if hears_itself(model):
            return None
        if not self._is_heard:
            return AsyncCallbackManager(handlers=[])
        return streams_alone(model, self._config_of_call(), self.arguments)

    def _config_of_call(self) -> RunnableConfig:
        attempt = {"attempt": self._number, "provider": self._provider.spec.name}
        if not self._observer.has_own_run:
            # Joined by hand, because LangChain's merging copies the callbacks several times.
            return {
                **self._config,
                "metadata": {**(self._config.get("metadata") or {}), **attempt},
                "run_id": self.run_id,
            }
        return {
            "callbacks": self._observer.callbacks(self._config),
            "metadata": {**self._observer.metadata, **attempt},
            "tags": self._config.get("tags") or [],
            "run_id": self.run_id,
        }
