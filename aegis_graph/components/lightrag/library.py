"""LightRAG as a library, with its traps closed: imported, built, opened and closed here only.

What this relies on beyond LightRAG's documented interface is pinned by ``tests/contract``.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from aegis_graph.components.lightrag.quiet_logging import quiet_import
from aegis_graph.concurrency.portal import Portal
from aegis_graph.errors import ConfigError

INSTALL = "pip install 'aegis-graph[lightrag]'"
"""The line that installs it."""

CALL_TIMEOUT_S = 86_400
"""LightRAG's limit for one call, in seconds: waiting for room in a budget counts in it. What limits
a call is its provider's own time limit."""

SHUTDOWN_S = 5.0
"""How long a queue may take to end, in seconds."""

_ROLES = ("extract", "keyword", "query", "vlm")
_loading = threading.Lock()


class SharedLoop:
    """The one loop of all open workspaces, ended with the last of them.

    LightRAG's locks are one set per process and belong to a loop; its constructor and first calls
    block, which a server's loop does not bear.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._portal = Portal()
        self._users = 0

    def acquire(self) -> Portal:
        """The loop, for a workspace that is about to open."""
        with self._lock:
            self._users += 1
            return self._portal

    def release(self) -> None:
        """After a workspace was closed. The last one ends the loop and its clients."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            self._portal.close()
            shared = import_module("lightrag.kg.shared_storage") if _is_loaded() else None
            # Not while the application has stores of its own open.
            if shared is not None and not shared._init_flags:
                # The locks belong to the loop that has ended.
                shared.finalize_share_data()


SHARED_LOOP = SharedLoop()


def _is_loaded() -> bool:
    return "lightrag.kg.shared_storage" in sys.modules


def load() -> Any:
    """Import the library when it is needed: it takes a second and brings numpy and networkx.

    Raises:
        ModuleNotFoundError: It is not installed. The message says how to install it.
        ConfigError: The environment keeps it from being imported.
    """
    # LightRAG would end the whole process.
    if "ENTITY_TYPES" in os.environ:
        raise ConfigError("ENTITY_TYPES: LightRAG refuses to run with this variable; take it away")
    try:
        # One thread at a time: the environment and the log's handlers belong to the process.
        with _loading, _without_dotenv(), quiet_import():
            library = import_module("lightrag")
            # Each changes the log when it is imported, which is undone here and not on first use.
            for printing in ("lightrag.utils", "nano_vectordb"):
                import_module(printing)
    except ModuleNotFoundError as missing:
        raise ModuleNotFoundError(f"LightRAG needs: {INSTALL}", name=missing.name) from missing
    return library


def build(
    *,
    working_dir: str,
    workspace: str,
    tokenizer: Any,
    role_functions: Mapping[str, Any],
    embed: Any,
    dimensions: int,
    settings: Mapping[str, Any],
) -> Any:
    """Construct LightRAG with every setting given, because it takes the others from anywhere.

    Args:
        working_dir: Where its files are.
        workspace: The folder in it, and its name in the process.
        tokenizer: With ``encode`` and ``decode``; its own would download a vocabulary.
        role_functions: A function for ``base`` and for each role.
        embed: The embedding function.
        dimensions: Length of a vector.
        settings: Its constructor's other arguments.

    Raises:
        ConfigError: It does not accept a setting.
    """
    lightrag, utils = load(), import_module("lightrag.utils")
    waiting = {"max_async": settings["llm_model_max_async"], "timeout": CALL_TIMEOUT_S}
    roles = {role: {"func": role_functions[role], **waiting} for role in _ROLES}
    # Extraction that waits for room sits in this queue, and must not keep summaries out of it.
    roles["extract"]["max_async"] = 4 * waiting["max_async"] * settings["max_parallel_insert"]
    try:
        with _without_installing():
            return lightrag.LightRAG(
                working_dir=working_dir,
                workspace=workspace,
                tokenizer=utils.Tokenizer(tokenizer.name, tokenizer),
                llm_model_func=role_functions["base"],
                llm_model_name="aegis-router",
                role_llm_configs=roles,
                default_llm_timeout=CALL_TIMEOUT_S,
                default_embedding_timeout=CALL_TIMEOUT_S,
                embedding_func=utils.EmbeddingFunc(
                    embedding_dim=dimensions,
                    func=embed,
                    max_token_size=8192,
                    model_name="aegis-router",
                    # So that the function learns whether a text is a question or a document.
                    supports_asymmetric=True,
                ),
                **{**_defaults(), **settings},
            )
    except (TypeError, ValueError) as error:
        raise ConfigError(f"LightRAG refuses its settings: {error}") from error


async def start(rag: Any) -> None:
    """Open its stores.

    Raises:
        ConfigError: The workspace is open in this process already: they would share their data,
            whatever their folders.
    """
    shared = import_module("lightrag.kg.shared_storage")
    if any(name.startswith(f"{rag.workspace}:") for name in shared._init_flags or {}):
        raise ConfigError(
            f"workspace {rag.workspace!r} is open in this process already;"
            " close it first, or give this one another name"
        )
    try:
        with _without_installing():
            await rag.initialize_storages()
    # Whatever it is: the name would be taken for as long as the process lives.
    except BaseException:
        await _forget(rag.workspace)
        raise


async def stop(rag: Any) -> None:
    """End its queues, write its stores, and forget what the process shares of the workspace."""
    functions = [*rag.role_llm_funcs.values(), rag.embedding_func.func, rag.rerank_model_func]
    for function in functions:
        if hasattr(function, "shutdown"):
            await function.shutdown(graceful=True, timeout=SHUTDOWN_S)
    try:
        await rag.finalize_storages()
    finally:
        await _forget(rag.workspace)


async def _forget(workspace: str) -> None:
    shared = import_module("lightrag.kg.shared_storage")
    await shared.finalize_pipeline_ingress(workspace)
    shared.finalize_scan_job_store(workspace)
    # Closing a store leaves its flags and data here: opened again, it would pass for open.
    tables = (
        shared._shared_dicts,
        shared._init_flags,
        shared._update_flags,
        shared._namespace_data_cache,
    )
    for table in filter(None, tables):
        for name in [name for name in table if name.startswith(f"{workspace}:")]:
            table.pop(name)


def allow_blocking_io() -> None:
    """Let this thread's loop be blocked by files, which is what it is for.

    LangGraph's development server has a watchdog, blockbuster, that refuses such calls on any loop.
    """
    skip = getattr(sys.modules.get("blockbuster.blockbuster"), "_skip", None)
    if skip is not None:
        skip.value = True


def _defaults() -> dict[str, Any]:
    """Its own defaults, without the variables and the file in which it looks for others."""
    # From the constants: the fields' own defaults are read from the environment on import.
    constants = import_module("lightrag.constants")
    names = {
        "top_k": "TOP_K",
        "chunk_top_k": "CHUNK_TOP_K",
        "max_entity_tokens": "MAX_ENTITY_TOKENS",
        "max_relation_tokens": "MAX_RELATION_TOKENS",
        "max_total_tokens": "MAX_TOTAL_TOKENS",
        "related_chunk_number": "RELATED_CHUNK_NUMBER",
        "kg_chunk_pick_method": "KG_CHUNK_PICK_METHOD",
        "entity_extract_max_records": "MAX_EXTRACTION_RECORDS",
        "entity_extract_max_entities": "MAX_EXTRACTION_ENTITIES",
        "force_llm_summary_on_merge": "FORCE_LLM_SUMMARY_ON_MERGE",
        "summary_max_tokens": "SUMMARY_MAX_TOKENS",
        "summary_context_size": "SUMMARY_CONTEXT_SIZE",
        "summary_length_recommended": "SUMMARY_LENGTH_RECOMMENDED",
        "max_source_ids_per_entity": "MAX_SOURCE_IDS_PER_ENTITY",
        "max_source_ids_per_relation": "MAX_SOURCE_IDS_PER_RELATION",
        "source_ids_limit_method": "SOURCE_IDS_LIMIT_METHOD",
        "max_file_paths": "MAX_FILE_PATHS",
        "max_graph_nodes": "MAX_GRAPH_NODES",
        "cosine_better_than_threshold": "COSINE_THRESHOLD",
    }
    known = {field: getattr(constants, f"DEFAULT_{name}") for field, name in names.items()}
    return {
        **known,
        "addon_params": {
            "language": constants.DEFAULT_SUMMARY_LANGUAGE,
            "entity_type_prompt_file": "",
        },
        "entity_extraction_use_json": False,
        "enable_content_headings": True,
        "vlm_process_enable": False,
        "max_pending_documents": 0,
        "user_prompt_prefix": "",
        "rerank_model_func": None,
        # Answers are kept by this package; a question is asked anew each time.
        "enable_llm_cache": False,
        # The chunks name these entries: deleting a document rebuilds its entities from them.
        "enable_llm_cache_for_entity_extract": True,
    }


@contextmanager
def _without_dotenv() -> Iterator[None]:
    """LightRAG puts a ``.env`` of the current folder into the process's environment."""
    before = os.environ.get("PYTHON_DOTENV_DISABLED")
    os.environ["PYTHON_DOTENV_DISABLED"] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ["PYTHON_DOTENV_DISABLED"]
        else:
            os.environ["PYTHON_DOTENV_DISABLED"] = before


@contextmanager
def _without_installing() -> Iterator[None]:
    """LightRAG installs the clients of its stores from the network where they are missing."""
    pipmaster = import_module("pipmaster")

    def refuse(package: object, *_: object, **__: object) -> None:
        raise ModuleNotFoundError(f"LightRAG needs: pip install {package}")

    names = ("install", "install_if_missing", "install_multiple", "install_or_update")
    # Replaced and put back: the application may install packages for itself.
    kept = {name: getattr(pipmaster, name) for name in names}
    for name in kept:
        setattr(pipmaster, name, refuse)
    try:
        yield
    finally:
        for name, function in kept.items():
            setattr(pipmaster, name, function)
