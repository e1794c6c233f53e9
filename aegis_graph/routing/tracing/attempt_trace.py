"""What a tracer sees of the attempts behind one call of a chat model: a run below the model's own.

It is a chain's run and no model's, because tracers add up the tokens of all models' runs, and the
chat model's own has those of the answer. Nothing of the request's content is in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import TYPE_CHECKING, Any

from langchain_core.callbacks import CallbackManager
from langchain_core.callbacks.manager import BaseRunManager, CallbackManagerForChainRun
from langchain_core.messages import AIMessage

from aegis_graph.errors import ProviderError
from aegis_graph.routing.hosts.private_runs import is_tracer
from aegis_graph.types import LOCAL_ONLY, Sensitivity

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel


class AttemptTrace:
    """The run of one attempt, for those tracers that see the chat model's run.

    Args:
        run: The chat model's run; ``None`` where the router was asked by something else, and the
            provider's model has a run of its own.
        sensitivity: The request's. Tracers see no attempt of a private one.
        provider: The name of the provider's row.
        model: The row's model.
        number: The attempt's, from 1.
    """

    def __init__(
        self,
        run: BaseRunManager | None,
        sensitivity: Sensitivity,
        *,
        provider: str,
        model: str,
        number: int,
    ) -> None:
        seen = run is not None and sensitivity not in LOCAL_ONLY
        self._tracers = [one for one in run.handlers if is_tracer(one)] if run and seen else []
        self._parent = None if run is None else run.run_id
        self._facts: dict[str, Any] = {"provider": provider, "model": model}
        self._number = number
        self._names: dict[str, str] = {}
        self._run: CallbackManagerForChainRun | None = None

    def start(self, model: BaseChatModel | None = None) -> None:
        """Begin the run, under the names that LangChain's own run of this model would have."""
        if not self._tracers or self._run is not None:
            return
        params: Mapping[str, Any] = {} if model is None else model._get_ls_params()
        self._names = {
            key: params[key] for key in ("ls_provider", "ls_model_name") if key in params
        }
        manager = CallbackManager(
            handlers=self._tracers,
            parent_run_id=self._parent,
            metadata={**self._names, "provider": self._facts["provider"], "attempt": self._number},
        )
        name = f"attempt_{self._facts['provider']}"
        self._run = manager.on_chain_start(None, self._facts, name=name)

    def failed(self, error: BaseException) -> None:
        """End it with the error, without what the client said: that may have the prompt in it."""
        self.start()
        if self._run is not None:
            self._run.on_chain_error(copy(error) if isinstance(error, ProviderError) else error)

    def answered(self, answer: AIMessage) -> None:
        """End it with the cost, and name the model in the metadata of the chat model's run."""
        if self._run is None:
            return
        facts = answer.response_metadata
        cost = {key: facts[key] for key in ("cost_usd", "cost_basis")}
        self._run.on_chain_end({**self._facts, **cost, "usage_metadata": answer.usage_metadata})
        for tracer in self._tracers:
            # LangChain asks for the names before the call. Its tracers keep the run until the end.
            run = getattr(tracer, "run_map", {}).get(str(self._parent))
            if run is not None:
                found = run.extra.get("metadata") or {}
                run.extra["metadata"] = {**found, **self._names, **self._facts, **cost}
