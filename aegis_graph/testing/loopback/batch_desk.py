"""The batches of a loopback server: their files, their lines, and how far each has come."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

from aegis_graph.testing.loopback.journal import Journal, Received
from aegis_graph.testing.loopback.replies import Fault, RawReply, Reply
from aegis_graph.testing.loopback.script import Script
from aegis_graph.testing.wires.batches import (
    ENDPOINT,
    BatchDialect,
    PlayedLine,
    answered_line,
    batch_object,
    file_object,
    read_lines,
    unanswered_line,
)
from aegis_graph.testing.wires.openai import OpenAIWire
from aegis_graph.testing.wires.wire import characters, to_json

Played = Reply | Fault | RawReply


@dataclass(slots=True)
class StoredFile:
    """A file that was uploaded, or that a batch has written."""

    name: str
    purpose: str
    data: bytes


@dataclass(slots=True)
class StoredBatch:
    """A batch, from its creation to its end."""

    id: str
    dialect: BatchDialect
    asked: dict[str, Any]
    status: str = "validating"
    lines: list[PlayedLine] = field(default_factory=list)
    """Those that were not carried out yet."""
    total: int = 0
    output: list[bytes] = field(default_factory=list)
    errors: list[bytes] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    """Why none of its lines is carried out, if so."""
    files: dict[str, str] = field(default_factory=dict)
    hanging: list[PlayedLine] = field(default_factory=list)
    """Those for which no answer ever comes."""


class BatchDesk:
    """Keeps files and batches, and answers the lines of batches by the script.

    Args:
        journal: Where each line is written down as a call.
        script: Where the answers come from.
    """

    def __init__(self, journal: Journal, script: Script) -> None:
        self._journal = journal
        self._script = script
        self._lock = threading.RLock()
        self._wire = OpenAIWire()
        self._numbers = 0
        self.files: dict[str, StoredFile] = {}
        self.batches: dict[str, StoredBatch] = {}
        self.waits = False
        """Whether lines are carried out only when ``run`` is called."""
        self.lost: list[tuple[str, str]] = []
        """Method and path of requests that are carried out, and not answered."""

    def store(self, dialect: BatchDialect, name: str, purpose: str, data: bytes) -> dict[str, Any]:
        """Keep a file."""
        with self._lock:
            file_id = dialect.file_id.format(self._next())
            self.files[file_id] = StoredFile(name, purpose, data)
            return self.describe(file_id)

    def describe(self, file_id: str) -> dict[str, Any]:
        """A file, as it is listed."""
        stored = self.files[file_id]
        return file_object(file_id, stored.name, len(stored.data), stored.purpose)

    def create(self, dialect: BatchDialect, asked: dict[str, Any]) -> dict[str, Any]:
        """Make a batch of a file that is there."""
        with self._lock:
            batch = StoredBatch(f"batch_{self._next()}", dialect, asked)
            data = self.files[asked["input_file_id"]].data
            batch.lines, batch.problems = read_lines(data, asked["endpoint"])
            batch.total = len(batch.lines)
            self.batches[batch.id] = batch
            return self.shown(batch)

    def look_at(self, batch_id: str) -> dict[str, Any]:
        """A batch as it is now; asking for it lets it go on."""
        with self._lock:
            batch = self.batches[batch_id]
            if batch.status == "cancelling":
                self._end(batch, "cancelled")
            elif batch.status == "validating" and batch.problems:
                batch.status = "failed"
            elif batch.status == "validating":
                batch.status = "in_progress"
            if batch.status == "in_progress" and not self.waits:
                self._carry_out(batch, None)
            return self.shown(batch)

    def cancel(self, batch_id: str) -> dict[str, Any]:
        """End a batch early."""
        with self._lock:
            batch = self.batches[batch_id]
            if batch.status in {"validating", "in_progress"}:
                batch.status = "cancelling"
            return self.shown(batch)

    def run(self, lines: int | None, *, expire: bool) -> None:
        """Carry out lines of the batches that are under way; see ``LoopbackServer.run_batches``."""
        with self._lock:
            for batch in self.batches.values():
                if batch.status in {"validating", "in_progress"} and not batch.problems:
                    batch.status = "in_progress"
                    self._carry_out(batch, lines)
                    if expire and batch.status == "in_progress":
                        self._end(batch, "expired")

    def shown(self, batch: StoredBatch) -> dict[str, Any]:
        """A batch, as it is listed."""
        errors = {"object": "list", "data": batch.problems} if batch.status == "failed" else None
        counts = {
            "total": 0 if batch.problems else batch.total,
            "completed": len(batch.output),
            "failed": len(batch.errors),
        }
        state: dict[str, Any] = {"status": batch.status, "request_counts": counts, "errors": errors}
        for kind in ("output", "error"):
            state[f"{kind}_file_id"] = batch.files.get(kind)
        shown: dict[str, Any] = batch_object(batch.id, batch.asked, state)
        return shown

    def _next(self) -> int:
        self._numbers += 1
        return self._numbers

    def _carry_out(self, batch: StoredBatch, most: int | None) -> None:
        count = len(batch.lines) if most is None else most
        now, batch.lines = batch.lines[:count], batch.lines[count:]
        for line in now:
            self._play(batch, line)
        if not batch.lines and not batch.hanging:
            self._end(batch, "completed")

    def _play(self, batch: StoredBatch, line: PlayedLine) -> None:
        call = Received(
            number=self._journal.next_number(),
            protocol="openai",
            path=ENDPOINT,
            model=str(line.body["model"]),
            body=line.body,
            headers={},
            streamed=False,
            generation=True,
            arrived_at=time.monotonic(),
            batch_id=batch.id,
            custom_id=line.custom_id,
        )
        self._journal.add(call)
        try:
            self._answer(batch, line, call)
        finally:
            self._journal.finish(call)

    def _answer(self, batch: StoredBatch, line: PlayedLine, call: Received) -> None:
        step = self._script.take("openai", call.model)
        if step is None:
            self._script.add_problem(f"unscripted: line of {batch.id}, model {call.model!r}")
            self._fail(batch, call, 501, self._wire.error(501, None, "unscripted"))
            return
        played: Played = step(call) if callable(step) else step
        if isinstance(played, Fault):
            self._play_fault(batch, line, call, played)
        elif isinstance(played, RawReply):
            self._succeed(batch, call, played.status, played.body)
        else:
            self._reply(batch, call, played)

    def _play_fault(
        self, batch: StoredBatch, line: PlayedLine, call: Received, fault: Fault
    ) -> None:
        if fault.kind == "status":
            body = self._wire.error(fault.status_code, fault.error_code, fault.message)
            self._fail(batch, call, fault.status_code, body)
        elif fault.kind == "hang":
            batch.hanging.append(line)
        elif fault.kind == "no_usage":
            self._reply(batch, call, fault.reply)
        elif fault.kind == "malformed":
            call.produced.status = 200
            whole = answered_line(call.number, line.custom_id, 200, {"choices": [{"index": 0}]})
            batch.output.append(whole[: len(whole) // 2] + b"\n")
        else:
            batch.errors.append(unanswered_line(call.number, line.custom_id, "request_timeout"))

    def _reply(self, batch: StoredBatch, call: Received, reply: Reply) -> None:
        produced = call.produced
        produced.chunks_sent, produced.characters_sent = 1, characters(reply)
        produced.usage, produced.completed = self._wire.usage(reply), True
        self._succeed(batch, call, 200, to_json(self._wire.whole(reply, call)))

    def _succeed(self, batch: StoredBatch, call: Received, status: int, body: bytes) -> None:
        call.produced.status = status
        head = answered_line(call.number, call.custom_id or "", status, None)
        # The body as it is: a server's may be no JSON, and the line is none then either.
        batch.output.append(head.replace(b'"body":null', b'"body":' + body, 1))

    def _fail(self, batch: StoredBatch, call: Received, status: int, body: Any) -> None:
        call.produced.status = status
        batch.errors.append(answered_line(call.number, call.custom_id or "", status, body))

    def _end(self, batch: StoredBatch, status: str) -> None:
        code = f"batch_{status}"
        for line in [*batch.hanging, *batch.lines]:
            number = self._journal.next_number()
            batch.errors.append(unanswered_line(number, line.custom_id, code))
        batch.lines, batch.hanging, batch.status = [], [], status
        written = {"output": batch.output, "error": batch.errors}
        for kind, lines in written.items():
            if lines:
                file_id = batch.dialect.output_id.format(self._next())
                name = f"{batch.id}_{kind}.jsonl"
                self.files[file_id] = StoredFile(name, "batch_output", b"".join(lines))
                batch.files[kind] = file_id
