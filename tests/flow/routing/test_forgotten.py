"""Routers that a program lets go of while its event loop runs on."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from typing import Any

import pytest

from aegis_graph.testing import LoopbackServer, Reply
from tests.flow.support import ask, assert_sound, dust_settles, make_config, open_router, provider


@pytest.mark.parametrize("kind", ["ollama", "openai", "dashscope"])
async def test_a_forgotten_router_closes_its_connections(
    server: LoopbackServer, db: Path, kind: str
) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    server.always(kind, Reply("Paris."))  # type: ignore[arg-type]
    router = open_router(make_config(server, db, providers=[provider(server, kind)]))
    await router.ainvoke(ask())

    del router
    gc.collect()
    await asyncio.sleep(0)  # what other threads asked of the loop is begun
    await asyncio.gather(*(asyncio.all_tasks() - {asyncio.current_task()}))

    assert complaints == []


async def test_a_forgotten_router_settles_what_it_held(server: LoopbackServer, db: Path) -> None:
    server.always("openai", Reply("Paris."))
    router = open_router(make_config(server, db, providers=[provider(server, "openai")]))
    stream = router.astream(ask(), stream_mode="updates")
    await anext(stream)
    await stream.aclose()

    del router, stream
    gc.collect()

    await dust_settles(db)
    assert_sound(db)
