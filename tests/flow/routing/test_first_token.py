"""When the first piece of an answer came stands in its row, where it came in pieces."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_graph.testing import LoopbackServer, Reply
from aegis_graph.testing.loopback.journal import ProtocolName
from tests.flow.support import ask, make_config, open_router, provider, rows

PARIS = Reply("Paris", input_tokens=10, output_tokens=5)


@pytest.mark.parametrize("kind", ["openai", "dashscope"])
async def test_the_first_piece_of_a_stream_is_timed(
    server: LoopbackServer, db: Path, kind: ProtocolName
) -> None:
    server.script(kind, PARIS)
    row = provider(server, kind)
    router = open_router(make_config(server, db, providers=[row]))
    async for _ in router.astream(ask(), stream_mode="messages"):
        pass
    (streamed,) = rows(db)
    assert streamed["status"] == "answered"
    assert 0 <= streamed["first_token_ms"] <= streamed["latency_ms"]


async def test_an_answer_in_one_piece_has_no_first_token(server: LoopbackServer, db: Path) -> None:
    server.script("openai", PARIS)
    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))
    await router.ainvoke(ask())
    (whole,) = rows(db)
    assert whole["first_token_ms"] is None
