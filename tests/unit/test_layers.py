"""Imports point down one list only, and what is heavy is imported when it is needed."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

LAYERS: tuple[tuple[str, ...], ...] = (
    ("graphs",),
    ("graphs.documents",),
    ("aegis_graph.cli",),
    ("aegis_graph",),
    ("aegis_graph.server",),
    ("aegis_graph.bulk",),
    (
        "aegis_graph.components",
        "aegis_graph.testing.embedded_suite",
        "aegis_graph.testing.hostile_faults",
        "aegis_graph.testing.hostile_run",
        "aegis_graph.testing.hostile_suite",
        "aegis_graph.testing.provider_suite",
    ),
    ("aegis_graph.chat",),
    ("aegis_graph.embeddings",),
    ("aegis_graph.routing",),
    ("aegis_graph.providers",),
    ("aegis_graph.ledger", "aegis_graph.telemetry"),
    ("aegis_graph.request",),
    ("aegis_graph.pricing",),
    ("aegis_graph.config",),
    (
        "aegis_graph.clock",
        "aegis_graph.concurrency",
        "aegis_graph.testing",
        "aegis_graph.text",
    ),
    ("aegis_graph.types",),
    ("aegis_graph.errors",),
)
"""From top to bottom. A module imports from its own package and from lower layers, nothing else."""

MAY_READ_THE_ENVIRONMENT = {
    "aegis_graph.bulk.ray_cluster",
    "aegis_graph.components.lightrag.library",
    "aegis_graph.config.sources",
    "aegis_graph.ledger.prompt_hashes",
    "aegis_graph.providers.base",
    "aegis_graph.providers.ocr.telemetry",
}
"""Beside ``graphs`` and the command line. Three of them take the environment as an argument as
well; the others set a variable that is the only switch of a library."""

PURE = (
    "candidates.half_price",
    "exchange.retry",
    "order",
    "policy",
    "reservation",
    "route",
    "settlement",
)
"""Modules of ``routing`` that decide and count: no store and no client is behind them."""

MAY_BE_BEHIND_PURE = {
    "aegis_graph.ledger.admission_queue",
    "aegis_graph.ledger.alerts",
    "aegis_graph.ledger.approvals",
    "aegis_graph.ledger.limits",
    "aegis_graph.ledger.records",
    "aegis_graph.ledger.scopes",
    "aegis_graph.ledger.settlements",
    "aegis_graph.ledger.windows",
    "aegis_graph.providers.answer_check",
    "aegis_graph.providers.base",
    "aegis_graph.providers.call_arguments",
    "aegis_graph.providers.finish_reasons",
    "aegis_graph.providers.location",
    "aegis_graph.providers.probe",
    "aegis_graph.providers.tool_arguments",
    "aegis_graph.providers.usage",
    "aegis_graph.providers.waiting_tier",
}
"""Of ``ledger`` and ``providers``: records, interfaces and words."""

HEAVY = frozenset({"bm25s", "dashscope", "genai_prices", "langchain_ollama", "langchain_openai"})
HEAVY |= {"any_llm", "langchain", "numpy", "ollama", "openai", "psycopg", "pyarrow", "pypdf"}
HEAVY |= {"jinja2", "starlette", "uvicorn"}
HEAVY |= {"PIL", "cv2", "onnxruntime", "rapidocr", "ray"}
HEAVY |= {"bs4", "docutils", "docx", "markitdown", "openpyxl", "pptx", "striprtf"}


@cache
def modules() -> dict[str, Path]:
    found = {}
    for top in ("aegis_graph", "graphs"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            found[name.removesuffix(".__init__")] = path
    return found


def place(module: str) -> int | None:
    """The layer of a module: that of its longest prefix in the list."""
    places = {name: number for number, layer in enumerate(LAYERS) for name in layer}
    exact = {"aegis_graph"}
    best = [
        name
        for name in places
        if module == name or (name not in exact and module.startswith(f"{name}."))
    ]
    return places[max(best, key=len)] if best else None


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [node.module or ""]
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        yield from (name for name in names if name in modules())


def owner(module: str) -> str:
    """The package within which modules may import each other."""
    return ".".join(module.split(".")[:2])


@pytest.mark.parametrize("module", sorted(modules()))
def test_every_module_has_a_place_in_the_list(module: str) -> None:
    assert place(module) is not None, f"give {module} a place in LAYERS"


@pytest.mark.parametrize("module", sorted(modules()))
def test_imports_point_down(module: str) -> None:
    here = place(module)
    assert here is not None
    for target in imported(modules()[module]):
        if target == "aegis_graph" and module != "aegis_graph":
            assert here < (place(target) or 0), f"{module} imports the whole package"
        elif owner(target) != owner(module) and target != "aegis_graph":
            there = place(target)
            assert there is not None
            assert here < there, f"{module} imports {target}, which is above it or beside it"


@pytest.mark.parametrize(
    "package",
    [
        "bulk",
        "chat",
        "components",
        "config",
        "ledger",
        "providers",
        "request",
        "routing",
        "server",
        "telemetry",
        "testing",
        "text",
    ],
)
def test_modules_of_a_package_do_not_import_each_other_in_a_circle(package: str) -> None:
    edges = {
        name: {target for target in imported(path) if target != name}
        for name, path in modules().items()
        if name.startswith(f"aegis_graph.{package}.")
    }
    while edges:
        free = {name for name, targets in edges.items() if not targets & edges.keys()}
        assert free, f"a circle among {sorted(edges)}"
        edges = {name: targets for name, targets in edges.items() if name not in free}


def behind(module: str) -> set[str]:
    """Every module of ledger and providers that a module imports, also through others."""
    found: set[str] = set()
    ahead = [module]
    while ahead:
        targets = set(imported(modules()[ahead.pop()])) - found
        found |= targets
        ahead += targets
    return {
        name for name in found if owner(name) in {"aegis_graph.ledger", "aegis_graph.providers"}
    }


@pytest.mark.parametrize("module", PURE)
def test_what_decides_and_counts_has_no_store_and_no_client_behind_it(module: str) -> None:
    assert behind(f"aegis_graph.routing.{module}") <= MAY_BE_BEHIND_PURE


def test_stores_and_clients_are_found_behind_what_uses_them() -> None:
    assert "aegis_graph.ledger.sqlite" in behind("aegis_graph.routing.services")
    assert "aegis_graph.providers.registry" in behind("aegis_graph.routing.router")


def test_the_environment_is_read_at_the_edge_only() -> None:
    readers = {
        name
        for name, path in modules().items()
        if any(
            word in path.read_text(encoding="utf-8")
            for word in ("environ[", "getenv", "os.environ")
        )
    }
    edge = {name for name in readers if name.startswith(("graphs", "aegis_graph.cli"))}
    assert readers - edge == MAY_READ_THE_ENVIRONMENT


def test_only_the_ledger_knows_its_tables() -> None:
    schema = modules()["aegis_graph.ledger.schema"].read_text("utf-8")
    # Other files have a table of facts, too.
    tables = set(re.findall(r"CREATE TABLE (\w+)", schema)) - {"facts"}
    assert "requests" in tables
    statement = re.compile(rf"(FROM|JOIN|INTO|UPDATE) ({'|'.join(tables)})\b")
    # Beside it the shipped test tools, which read what a ledger has without asking it.
    beside = ("aegis_graph.ledger.", "aegis_graph.testing.")
    knowing = {
        name
        for name, path in modules().items()
        if statement.search(path.read_text("utf-8")) and not name.startswith(beside)
    }
    assert knowing == set()


def loaded_after(statement: str) -> list[str]:
    program = f"{statement}\nimport json, sys; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    names: list[str] = json.loads(done.stdout)
    return names


@pytest.mark.parametrize(
    "statement",
    [
        "import aegis_graph",
        "from aegis_graph import *",
        "import aegis_graph; aegis_graph.RouterConfig.load(environ={})",
    ],
)
def test_importing_the_package_loads_nothing_heavy(statement: str) -> None:
    assert HEAVY & set(loaded_after(statement)) == set()


LATER = frozenset(
    {
        "aegis_graph.components",
        "aegis_graph.ledger.async_sqlite",
        "aegis_graph.ledger.corrections",
        "aegis_graph.ledger.export",
        "aegis_graph.ledger.limit_status",
        "aegis_graph.ledger.maintenance",
        "aegis_graph.ledger.postgres",
        "aegis_graph.ledger.report",
        "aegis_graph.providers.client_errors",
        "aegis_graph.providers.embedding_model",
        "aegis_graph.providers.library_model",
        "aegis_graph.routing.accept",
        "aegis_graph.server",
        "aegis_graph.telemetry.spans",
        "aegis_graph.text.citation_marks",
        "aiosqlite",
        "jsonschema",
        "langchain_core.language_models.chat_models",
        "platformdirs",
        "termios",
        "tomllib",
    }
)
"""What reports, checks, exports and failures need, and clients themselves."""


def test_importing_the_router_loads_neither_clients_nor_what_only_some_requests_need() -> None:
    before = set(loaded_after("import langgraph.graph"))
    after = set(loaded_after("from aegis_graph import RouterConfig, create_router")) - before
    assert (LATER | HEAVY) & after == set()
    own = {name for name in after if name.split(".")[0] == "aegis_graph"}
    assert len(own) <= 182
    assert len(after - own) <= 8, sorted(after - own)


def test_the_server_shows_jobs_without_what_runs_them() -> None:
    running = {"aegis_graph.bulk.batch", "aegis_graph.bulk.engines", "aegis_graph.bulk.job"}
    assert running & set(loaded_after("import aegis_graph.server.app")) == set()


def test_the_embedded_chain_needs_no_client_at_all() -> None:
    row = '{"name": "e", "kind": "extractive", "model": "m", "location": "local"}'
    build = (
        "import aegis_graph as a\n"
        f"rows = {{'providers': [{row}], 'budgets': []}}\n"
        "a.create_router(a.RouterConfig.model_validate(rows))"
    )
    assert HEAVY & set(loaded_after(build)) == set()


PROGRAM = """
import contextlib, io, sys
from aegis_graph.cli import main
with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
    main({arguments})
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["ask", "--help"],
        ["describe", "--help"],
        ["doctor", "--help"],
        ["ledger", "export", "--help"],
        ["budgets", "set", "--help"],
        ["serve", "--help"],
        ["keys", "add", "--help"],
        ["bulk", "run", "--help"],
    ],
)
def test_help_needs_neither_the_graph_nor_the_configuration(arguments: list[str]) -> None:
    loaded = loaded_after(PROGRAM.format(arguments=arguments))
    assert {"langgraph", "langchain_core", "pydantic", "rich"} & set(loaded) == set()


@pytest.mark.parametrize(
    "arguments", [["costs"], ["budgets"], ["ledger", "verify"], ["keys", "list"]]
)
def test_what_asks_no_provider_needs_no_graph(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AEGIS_LEDGER_URL", f"sqlite:///{tmp_path}/costs.db")
    loaded = set(loaded_after(PROGRAM.format(arguments=arguments)))
    assert {"langgraph", "langchain_core", *HEAVY} & loaded == set()
    clients = {"aegis_graph.providers", "aegis_graph.request", "aiohttp", "httpx"}
    files = {"aegis_graph.ledger.export", "dotenv", "platformdirs"}
    assert (clients | files) & loaded == set()
    assert len({name for name in loaded if name.split(".")[0] == "aegis_graph"}) <= 75
