"""One odd item is its own concern, and stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_graph import create_bulk
from aegis_graph.testing import LoopbackServer
from tests.flow.bulk.bulk_support import ANSWER, routed


@pytest.mark.parametrize("half", ["\ud800", "ends in \udfff", "\udfff\ud800"], ids=ascii)
def test_half_a_character_in_an_item_sets_that_item_aside(
    server: LoopbackServer, db: Path, tmp_path: Path, half: str
) -> None:
    server.always("openai", ANSWER)
    job = create_bulk(routed(server, db), name="odd", results=tmp_path / "results")
    items = ["city 1?", half, "city 2?"]

    summary = job.run(items, max_attempts=1)

    assert (summary.progress.done, summary.progress.set_aside) == (2, 1)
    # The item is known by its input, as any other.
    assert job.run(items).progress.total == 3
