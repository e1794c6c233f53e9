"""The requests of the Batch API: files, batches, and what is wrong with them."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.web_request import FileField

from aegis_graph.testing.loopback.batch_desk import BatchDesk
from aegis_graph.testing.loopback.playback import Exchange
from aegis_graph.testing.wires.batches import (
    COMPATIBLE_ROOT,
    ENDPOINT,
    BatchDialect,
    dialect_of,
    metadata_problem,
    window_problem,
)

PAGE = 20
"""How many batches a list has, where it does not say."""


def is_batch_path(path: str) -> bool:
    """Whether a request is about files or batches."""
    return _parts(path)[:1] in (["files"], ["batches"])


async def uploaded(request: web.Request) -> dict[str, Any]:
    """The fields of a form; a file as its name and its bytes."""
    form = await request.post()
    file = form.get("file")
    found: dict[str, Any] = {name: value for name, value in form.items() if isinstance(value, str)}
    if isinstance(file, FileField):
        found |= {"filename": file.filename, "data": file.file.read()}
    return found


async def respond(exchange: Exchange, desk: BatchDesk) -> web.StreamResponse:
    """Answer such a request."""
    call, request = exchange.call, exchange.request
    status, body = _result(desk, request, call.body)
    lost = (request.method, call.path)
    if lost in desk.lost:
        desk.lost.remove(lost)
        return await exchange.drop()
    if isinstance(body, bytes):
        return await exchange.send_bytes(body)
    return await exchange.send_json(status, body)


def _result(desk: BatchDesk, request: web.Request, body: dict[str, Any]) -> tuple[int, Any]:
    dialect, parts = dialect_of(request.path), _parts(request.path)
    kind, rest, method = parts[0], parts[1:], request.method
    if not rest and method == "POST":
        made = _upload if kind == "files" else _create
        return made(desk, dialect, body)
    if not rest and method == "GET":
        listed = _files(desk) if kind == "files" else _batches(desk, request)
        return 200, listed
    known: Any = desk.files if kind == "files" else desk.batches
    if not rest or rest[0] not in known:
        return _error(404, f"not among the {kind}: {rest[:1]}")
    return _one(desk, kind, rest[0], (method, *rest[1:]))


def _one(desk: BatchDesk, kind: str, name: str, action: tuple[str, ...]) -> tuple[int, Any]:
    """About one file or one batch."""
    if (kind, *action) == ("files", "GET"):
        return 200, desk.describe(name)
    if (kind, *action) == ("files", "GET", "content"):
        return 200, desk.files[name].data
    if (kind, *action) == ("files", "DELETE"):
        del desk.files[name]
        return 200, {"id": name, "object": "file", "deleted": True}
    if (kind, *action) == ("batches", "GET"):
        return 200, desk.look_at(name)
    if (kind, *action) == ("batches", "POST", "cancel"):
        return 200, desk.cancel(name)
    return _error(405, f"{action[0]} of {kind}")


def _upload(desk: BatchDesk, dialect: BatchDialect, body: dict[str, Any]) -> tuple[int, Any]:
    if body.get("purpose") != "batch" or not isinstance(body.get("data"), bytes):
        return _error(400, "a file with the purpose 'batch' is uploaded as a form")
    return 200, desk.store(dialect, str(body.get("filename")), "batch", body["data"])


def _create(desk: BatchDesk, dialect: BatchDialect, body: dict[str, Any]) -> tuple[int, Any]:
    problem = window_problem(dialect, body.get("completion_window"))
    problem = problem or metadata_problem(dialect, body.get("metadata"))
    if body.get("endpoint") != ENDPOINT:
        problem = problem or f"endpoint: {body.get('endpoint')!r} is not {ENDPOINT}"
    if body.get("input_file_id") not in desk.files:
        problem = problem or f"input_file_id: no such file: {body.get('input_file_id')!r}"
    if problem is not None:
        return _error(400, problem)
    return 200, desk.create(dialect, body)


def _files(desk: BatchDesk) -> dict[str, Any]:
    rows = [desk.describe(name) for name in desk.files]
    return {"object": "list", "data": rows, "has_more": False}


def _batches(desk: BatchDesk, request: web.Request) -> dict[str, Any]:
    """The newest first, in pages."""
    query = request.query
    rows = [desk.shown(batch) for batch in reversed(list(desk.batches.values()))]
    if "input_file_ids" in query:
        wanted = query["input_file_ids"].split(",")
        rows = [row for row in rows if row["input_file_id"] in wanted]
    if "after" in query:
        names = [row["id"] for row in rows]
        rows = rows[names.index(query["after"]) + 1 :] if query["after"] in names else []
    page = rows[: int(query.get("limit", PAGE))]
    ends = {"first_id": page[0]["id"], "last_id": page[-1]["id"]} if page else {}
    return {"object": "list", "data": page, **ends, "has_more": len(page) < len(rows)}


def _error(status: int, why: str) -> tuple[int, Any]:
    kind = "invalid_request_error"
    error = {"message": f"loopback server: {why}", "type": kind, "param": None, "code": None}
    return HTTPStatus(status), {"error": error}


def _parts(path: str) -> list[str]:
    root = COMPATIBLE_ROOT if path.startswith(COMPATIBLE_ROOT) else "/v1"
    return path.removeprefix(f"{root}/").split("/") if path.startswith(f"{root}/") else []
