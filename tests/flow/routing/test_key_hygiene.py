"""A key goes to its provider and nowhere else, whatever the provider does with it."""

from __future__ import annotations

import asyncio
import json
import logging
import traceback
from pathlib import Path
from typing import Any

import pytest
from langchain_core.load import dumpd
from langchain_core.messages import HumanMessage
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from aegis_graph import RouterConfig, create_router
from aegis_graph.config.specs import ProviderSpec
from aegis_graph.errors import AegisError
from aegis_graph.providers.base import Provider
from aegis_graph.providers.registry import create_provider
from aegis_graph.testing import Fault, LoopbackServer, Reply
from aegis_graph.testing.loopback.journal import ProtocolName

KEY = "sk-distinctive-0123456789abcdef"
ENVIRON = {"SECRET": KEY}
PROTOCOLS: dict[str, ProtocolName] = {
    "dashscope": "dashscope",
    "ollama": "ollama",
    "openai": "openai",
    "langchain": "openai",
    "anyllm": "openai",
}
"""What each kind speaks here."""
each_kind = pytest.mark.parametrize("kind", PROTOCOLS)

ECHOES: dict[str, Reply | Fault] = {
    "answered": Reply("It is Paris."),
    "401": Fault.status(401, message=f"Incorrect API key: {KEY}", error_code=KEY),
    "401 in the code": Fault.status(401, error_code=f"no.{KEY}"),
    "400": Fault.status(400, message=f"bad {KEY}", error_code=f"bad {KEY}"),
    "429": Fault.status(429, message=KEY, error_code=KEY, retry_after_s=99),
    "500": Fault.status(500, message=KEY, error_code=KEY),
    "in the stream": Fault.stream_error(Reply("It is"), 1, error_code=KEY),
    "dropped": Fault.drop(),
    "cut": Fault.cut(Reply("It is Paris."), 1),
    "malformed": Fault.malformed(1),
}


def row(kind: str, server: LoopbackServer) -> dict[str, Any]:
    price = {"input_usd_per_mtok": "2", "output_usd_per_mtok": "10"}
    model = f"{'openai:' if kind in ('langchain', 'anyllm') else ''}qwen-plus"
    facts = {"name": kind, "kind": kind, "model": model, "location": "cloud", "price": price}
    rules = {"api_key_env": "SECRET", "max_retries": 0}
    return {**facts, **rules, "base_url": getattr(server, f"{PROTOCOLS[kind]}_url")}


@pytest.fixture
def everything_logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    for name in list(logging.root.manager.loggerDict):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def written(caplog: pytest.LogCaptureFixture) -> str:
    lines = []
    for record in caplog.records:
        lines += [record.name, record.getMessage(), repr(record.args), record.exc_text or ""]
        if record.exc_info:
            lines.append("".join(traceback.format_exception(*record.exc_info)))
    return "\n".join(lines)


def chain_of(error: BaseException) -> str:
    lines: list[str] = []
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        link = waiting.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            lines += [str(link), repr(link), repr(link.args), repr(vars(link))]
            waiting += [link.__cause__, link.__context__]
    return "\n".join([*lines, *traceback.format_exception(error)])


def bytes_under(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def ask(router: Any, config: dict[str, Any]) -> str:
    """Everything that a caller learns from one request."""
    learned: list[str] = []
    modes = ["updates", "custom", "messages", "debug"]
    try:
        async for event in router.astream(
            {"messages": [HumanMessage("Which city?")]}, config, stream_mode=modes
        ):
            learned.append(repr(event))
    except AegisError as error:
        learned.append(chain_of(error))
    state = await router.aget_state(config)
    return "\n".join([*learned, repr(state)])


@each_kind
@pytest.mark.parametrize("what", ECHOES)
async def test_the_key_stays_out_of_all_that_is_kept_said_or_logged(
    kind: str,
    what: str,
    server: LoopbackServer,
    tmp_path: Path,
    everything_logged: pytest.LogCaptureFixture,
) -> None:
    server.always(PROTOCOLS[kind], ECHOES[what])
    config = RouterConfig.model_validate(
        {
            "ledger": {"url": f"sqlite:///{tmp_path}/costs.db"},
            "budgets": [],
            "providers": [row(kind, server)],
        }
    )
    thread = {"configurable": {"thread_id": "t"}}
    async with AsyncSqliteSaver.from_conn_string(f"{tmp_path}/checkpoints.db") as durable:
        router = create_router(config, checkpointer=durable, environ=ENVIRON)
        # The second request meets what was remembered of the first.
        learned = [await ask(router, thread), await ask(router, thread)]
        kept = await asyncio.to_thread(bytes_under, tmp_path)
    assert server.calls(PROTOCOLS[kind])[0].headers["authorization"] == f"Bearer {KEY}"
    assert KEY not in "\n".join(learned)
    assert KEY.encode() not in kept
    assert KEY not in written(everything_logged)
    assert KEY not in repr((config, router, router.builder, durable))
    assert len(kept) > 10_000, "there is something to look at"


@each_kind
async def test_the_key_stays_out_of_every_description_of_a_provider_and_its_model(
    kind: str, server: LoopbackServer
) -> None:
    provider: Provider = create_provider(
        ProviderSpec.model_validate(row(kind, server)), source="test", environ=ENVIRON
    )
    model = await provider.model()
    assert KEY not in f"{provider!r} {provider} {provider.spec!r}"
    assert KEY not in f"{model!r} {model}"
    assert KEY not in json.dumps(dumpd(model), default=repr), "what tracers are given"
    assert KEY not in repr(model._identifying_params)


@each_kind
async def test_the_next_key_is_used_as_soon_as_it_is_there_and_the_old_one_no_more(
    kind: str, server: LoopbackServer, tmp_path: Path
) -> None:
    server.script(PROTOCOLS[kind], Fault.status(401), Reply("It is Paris."))
    environ = {"SECRET": "sk-old"}
    providers = {"budgets": [], "providers": [row(kind, server)]}
    place = {"ledger": {"url": f"sqlite:///{tmp_path}/costs.db"}}
    router: Any = create_router(
        RouterConfig.model_validate({**place, **providers}), environ=environ
    )
    asked = {"messages": [HumanMessage("Which city?")]}
    for _ in range(2):
        with pytest.raises(AegisError):
            await router.ainvoke(asked)
    environ["SECRET"] = "sk-new"
    assert (await router.ainvoke(asked))["messages"][-1].text == "It is Paris."
    sent = [call.headers["authorization"] for call in server.calls(PROTOCOLS[kind])]
    assert sent == ["Bearer sk-old", "Bearer sk-new"]
