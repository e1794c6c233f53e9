"""Which chunks are tried again, and whether to wait first: a pure decision between two rounds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from typing_extensions import TypedDict

from aegis_graph.components.relation_extractor.chunk_graph import ChunkDone


class Rounds(TypedDict):
    """The rounds so far."""

    pending: int
    """Chunks that the last round began with."""
    idle: int
    """Rounds in a row that completed none."""


@dataclass(frozen=True, slots=True)
class NextRound:
    """What comes next; nothing where no chunk is ``pending``."""

    pending: Sequence[ChunkDone]
    finished: Sequence[ChunkDone]
    wait: bool
    """Whether a provider is resting, and no other completed a chunk meanwhile."""
    rounds: Rounds


def next_round(done: Sequence[ChunkDone], before: Rounds, max_retries: int) -> NextRound:
    """Decide on the chunks that may yet be answered.

    A chunk is asked about in at most ``1 + max_retries`` rounds. Rounds in which a provider rested
    and none was asked do not count for it, but no more than ``max_retries`` rounds in a row may
    complete no chunk at all.
    """
    open_ = [one["retry"] is not None and one["tries"] <= max_retries for one in done]
    pending = [one for one, is_open in zip(done, open_, strict=True) if is_open]
    finished = [one for one, is_open in zip(done, open_, strict=True) if not is_open]
    # A bound, because rounds in which no provider was asked count for no chunk.
    idle = 0 if len(pending) < before["pending"] else before["idle"] + 1
    if idle > max_retries or not max_retries:
        return NextRound([], done, wait=False, rounds=before)
    # A round that completed some chunks is followed by the next one at once.
    wait = idle > 0 and any(one["retry"] == "later" for one in pending)
    return NextRound(pending, finished, wait, Rounds(pending=len(pending), idle=idle))
