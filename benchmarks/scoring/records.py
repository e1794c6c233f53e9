"""What was said to each item, kept in a file line by line, so that a stopped run loses nothing."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import aegis_graph
from scoring.formats import BadFileError

LINES = 10
"""Lines of progress per run where the output is no terminal."""


@dataclass(frozen=True)
class ItemRecord:
    """What one system said to one item, and what it took."""

    key: str
    """Of all that the answer depends on; see ``key_of``."""
    task: str
    system: str
    model: str
    id: str
    said: Mapping[str, Any]
    calls: int = 0
    failed_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: str = "0"
    seconds: float = 0.0
    failed: str | None = None
    """Why there is no answer, where the system raised an error."""
    degraded: str | None = None

    @property
    def stands(self) -> bool:
        """Whether a rerun need not ask again: some call was answered, or none was needed."""
        return self.failed is None and (not self.calls or self.calls > self.failed_calls)


@dataclass
class RecordFile:
    """The records of a run. With a path they are read from there, and added as they come.

    Raises:
        BadFileError: A line is no record; the last one may be cut off, as an aborted run leaves it.
    """

    path: Path | None = None
    known: dict[str, ItemRecord] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.path is None or not self.path.exists():
            return
        text = self.path.read_text(encoding="utf-8")
        whole = text[: text.rfind("\n") + 1]
        if whole != text:
            self.path.write_text(whole, encoding="utf-8")
        for number, line in enumerate(whole.splitlines(), start=1):
            try:
                record = ItemRecord(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise BadFileError(f"{self.path}: line {number}: no result of a run") from error
            self.known[record.key] = record

    def found(self, key: str) -> ItemRecord | None:
        """A record that stands."""
        record = self.known.get(key)
        return record if record is not None and record.stands else None

    def add(self, record: ItemRecord) -> None:
        """Keep a record, on disk before the next one is begun."""
        self.known[record.key] = record
        if self.path is not None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")


def key_of(*parts: Any) -> str:
    """A key of all that an answer depends on, the same in every process."""
    # A set has another order in each process.
    text = json.dumps(parts, ensure_ascii=False, sort_keys=True, default=sorted)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def code_of(*rooms: str) -> str:
    """A key of the package's code and prompts, or of some rooms': old answers end with the code."""
    root = Path(aegis_graph.__file__).parent
    digest = hashlib.sha256()
    for folder in [root / room for room in rooms] or [root]:
        for path in sorted(one for end in ("*.py", "*.md") for one in folder.rglob(end)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


@dataclass
class Progress:
    """How far a run is: one line that moves on a terminal, else a line every so many items."""

    label: str
    total: int
    stream: TextIO = sys.stderr
    done: int = 0
    began: float = field(default_factory=time.monotonic)

    def tick(self) -> None:
        """One more item is done."""
        self.done += 1
        last = self.done == self.total
        moving = self.stream.isatty()
        if moving or last or self.done % max(1, self.total // LINES) == 0:
            passed = time.monotonic() - self.began
            text = f"{self.label}: {self.done} of {self.total}, {passed:.0f} s"
            end = "\n" if last or not moving else ""
            print(("\r" if moving else "") + text, end=end, file=self.stream, flush=True)


def spread(items: list[Any], limit: int | None) -> Iterator[Any]:
    """At most so many of the items, evenly, so that each kind is among them."""
    count = len(items) if limit is None else min(limit, len(items))
    return (items[place * len(items) // count] for place in range(count))
