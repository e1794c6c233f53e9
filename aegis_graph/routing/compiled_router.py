"""The compiled router, which also continues a run that began on another chain of providers."""

from __future__ import annotations

from typing import Self

from langgraph.checkpoint.base import Checkpoint
from langgraph.graph.state import CompiledStateGraph
from typing_extensions import override

from aegis_graph.routing.state import RouterInput, RouterOutput, RouterState

_EDGE = "branch:to:"
"""How LangGraph begins the name of the channel that says which node is next."""


class CompiledRouter(CompiledStateGraph[RouterState, None, RouterInput, RouterOutput]):
    """A routing graph that runs on LangGraph's engine."""

    @classmethod
    def of(cls, graph: CompiledStateGraph[RouterState, None, RouterInput, RouterOutput]) -> Self:
        """The same graph as one of this class, made as every compiled graph's ``copy`` is."""
        return cls(**{key: value for key, value in vars(graph).items() if key != "__orig_class__"})

    @override
    def _migrate_checkpoint(self, checkpoint: Checkpoint) -> None:
        """Lead a run whose next provider was removed back to ``budget_check``.

        LangGraph asks each graph to read older checkpoints as its own; without this, such a run
        has no next node and ends without an answer.
        """
        super()._migrate_checkpoint(checkpoint)
        values, versions = checkpoint["channel_values"], checkpoint["channel_versions"]
        for edge in [name for name in values if name.startswith(f"{_EDGE}attempt_")]:
            if edge.removeprefix(_EDGE) not in self.nodes:
                values[f"{_EDGE}budget_check"] = values.pop(edge)
                versions[f"{_EDGE}budget_check"] = versions.pop(edge)
                # LangGraph looks only at the channels that are named here, where any is.
                checkpoint["updated_channels"] = None
