"""Whatever a file holds, reading it gives text or one line: no foreign error, and no hang."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aegis_graph.components.documents.readers.content import SourceDocument
from aegis_graph.components.documents.readers.kinds import KINDS
from aegis_graph.components.documents.readers.reading import DocumentReader
from aegis_graph.components.documents.splitting import MAX_PASSAGE_CHARS
from aegis_graph.errors import DocumentError
from tests.unit.components.document_samples import SAMPLES

RST = next(kind for kind in KINDS if kind.module == "restructured_text")
SUFFIXES = sorted({min(kind.suffixes) for kind in KINDS} | {".mdx", ".mbox", ""})
BEGINNINGS = (b"", b"%PDF-1.7\n", b"PK\x03\x04", b"\xff\xfe", b"---\n", b"<html>", b'{"cells": [')


def check_file(folder: Path, name: str, data: bytes) -> SourceDocument | None:
    """The document; ``None`` where it is refused in one line that names it."""
    (folder / name).write_bytes(data)
    refusal = ""
    try:
        document = DocumentReader().read(folder / name)
    except DocumentError as error:
        refusal = str(error)
    if refusal:
        assert refusal.startswith(f"{name}: ")
        assert "\n" not in refusal
        return None
    for passage in document.passages():
        passage.text.encode()
        assert 0 < len(passage.text) <= MAX_PASSAGE_CHARS
    return document


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_that_is_cut_off_is_read_or_refused(tmp_path: Path, name: str) -> None:
    data = SAMPLES[name]()
    for share in range(1, 20):
        check_file(tmp_path, name, data[: len(data) * share // 20])
        check_file(tmp_path, name, data[len(data) * share // 20 :])


@pytest.mark.parametrize("name", SAMPLES)
def test_a_file_with_wrong_bytes_is_read_or_refused(tmp_path: Path, name: str) -> None:
    chance = random.Random(name)
    for _ in range(20):
        data = bytearray(SAMPLES[name]())
        for _ in range(chance.randint(1, 12)):
            data[chance.randrange(len(data))] = chance.randrange(256)
        check_file(tmp_path, name, bytes(data))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SUFFIXES), st.sampled_from(BEGINNINGS), st.binary(max_size=400))
def test_random_bytes_are_read_or_refused(suffix: str, beginning: bytes, rest: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_file(Path(folder), f"a{suffix}", beginning + rest)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(SUFFIXES), st.text(max_size=300))
def test_any_text_is_read_or_refused(suffix: str, text: str) -> None:
    with tempfile.TemporaryDirectory() as folder:
        check_file(Path(folder), f"a{suffix}", text.encode())


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "piece",
    [
        b"a",
        b"a ",
        b"#",
        b"# a\n",
        b"```\n",
        b"|",
        b"| a ",
        b"<b>",
        b"[",
        b"(",
        b"`",
        b"--- ",
        b"=",
        b".. a::\n",
        b"From a\n",
        b'"',
        b"\\",
        b"*",
        b"a:\n",
        b"{%",
        b"<!--",
        b"\n ",
        b":a:`",
        b"a.\n\n",
    ],
)
def test_what_repeats_itself_takes_no_longer_than_it_is_long(
    tmp_path: Path, suffix: str, piece: bytes
) -> None:
    # By docutils, a paragraph takes half a millisecond.
    size = 3_000 if suffix == min(RST.suffixes) else 60_000
    check_file(tmp_path, f"a{suffix}", piece * (size // len(piece)))
