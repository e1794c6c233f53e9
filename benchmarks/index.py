"""What an index that stays costs: 20,000 small files, questions over them, one of them changed.

    python benchmarks/index.py
    python benchmarks/index.py --files 2000 --json figures.json

Each part is a process of its own, whose memory is what it grew to at most. The vectors are made
up, of 384 dimensions: what finds and compares them is measured, and no model.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import resource
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.embeddings import Embeddings
from typing_extensions import override

from aegis_graph import create_index

DIMENSIONS = 384
QUESTIONS = 60
PARTS = ("make", "index", "again", "change", "embed", "words", "meaning")


class MadeUpEmbeddings(Embeddings):
    """Vectors that follow from the text, of no meaning."""

    @override
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]

    @override
    def embed_query(self, text: str) -> list[float]:
        vector: list[float] = np.random.default_rng(len(text)).normal(size=DIMENSIONS).tolist()
        return vector


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all parts, or one in this process."""
    options = _parser().parse_args(arguments)
    if options.part:
        print(json.dumps(_run(options.part, options.folder, options.files)))
        return 0
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for part in PARTS:
            command = [sys.executable, __file__, "--part", part, "--folder", folder]
            done = subprocess.run(
                [*command, "--files", str(options.files)], check=True, capture_output=True
            )
            figures[part] = json.loads(done.stdout)
            print(part, figures[part], flush=True)
    figures["python"], figures["sqlite"] = platform.python_version(), sqlite3.sqlite_version
    figures["processors"], figures["load"] = os.cpu_count(), os.getloadavg()
    if options.json is not None:
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


def _run(part: str, folder: Path, files: int) -> dict[str, Any]:
    docs, place = folder / "docs", folder / "index.db"
    facts: dict[str, Any] = {}
    embeddings = MadeUpEmbeddings() if part in {"embed", "meaning"} else None
    index = create_index(place, embeddings=embeddings, embeddings_location="local")
    begin = time.perf_counter()
    if part == "make":
        facts["mb"] = round(_make(docs, files) / 1e6, 1)
    elif part == "index":
        report = index.update([docs])
        facts = {"documents": report.status.documents, "passages": report.status.passages}
        facts["file_mb"] = round(place.stat().st_size / 1e6, 1)
    elif part in {"again", "change"}:
        if part == "change":
            next(docs.rglob("*.md")).write_text("# Changed\n\nA penguin is new here.")
        report = index.update()
        facts = {"changed": report.changed, "unchanged": report.unchanged}
    elif part == "embed":
        facts = {"texts": index.embed().embedded}
        facts["file_mb"] = round(place.stat().st_size / 1e6, 1)
    else:
        facts = _ask(index, docs)
    facts["seconds"] = round(time.perf_counter() - begin, 3)
    facts["cpu_s"] = round(time.process_time(), 3)
    facts["rss_mb"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)
    return facts


def _ask(index: Any, docs: Path) -> dict[str, Any]:
    """Questions of six words, taken from documents, so that common words are among them."""
    retriever = index.retriever()
    chooser = random.Random(5)
    files = chooser.sample(sorted(docs.rglob("*.md")), QUESTIONS + 1)
    times: list[float] = []
    found = 0
    for file in files:
        words = file.read_text().split()[3:]
        question = " ".join(chooser.sample(words, 6))
        begin = time.perf_counter()
        documents = retriever.invoke(question)
        times.append(1000 * (time.perf_counter() - begin))
        found += any(Path(one.metadata["source"]).name == file.name for one in documents)
    # The first opens what the others use.
    rest = sorted(times[1:])
    return {
        "first_ms": round(times[0], 1),
        "p50_ms": round(statistics.median(rest), 1),
        "p95_ms": round(rest[int(0.95 * len(rest))], 1),
        "max_ms": round(rest[-1], 1),
        "found_its_file": f"{found} of {len(files)}",
    }


def _make(folder: Path, count: int) -> int:
    """Files of two paragraphs, with words as frequent as in a language (Zipf)."""
    chooser = random.Random(1)
    words = list(dict.fromkeys(_words(chooser, 30_000)))
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    size = 0
    for number in range(count):
        file = folder / f"d{number % 200:03}" / f"f{number}.md"
        file.parent.mkdir(parents=True, exist_ok=True)
        parts = (chooser.choices(words, cum_weights=weights, k=90) for _ in range(2))
        text = "\n\n".join(f"{' '.join(part).capitalize()}." for part in parts)
        size += file.write_text(f"# Note {number}\n\n{text}\n")
        # Not of this moment, as documents are not.
        os.utime(file, (1_700_000_000 + number, 1_700_000_000 + number))
    return size


def _words(chooser: random.Random, count: int) -> Iterator[str]:
    for _ in range(count):
        syllables = chooser.randint(2, 5)
        yield "".join(
            chooser.choice("bcdfglmnprst") + chooser.choice("aeiou") for _ in range(syllables)
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="index", description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=20_000, help="files to make (20000)")
    parser.add_argument("--folder", type=Path, help="where to make them; a real disk")
    parser.add_argument("--json", type=Path, help="write the figures there as well")
    parser.add_argument("--part", choices=PARTS, help="run this part alone, in this process")
    return parser


if __name__ == "__main__":
    sys.exit(main())
