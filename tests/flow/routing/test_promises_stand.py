"""The sentences that tests run in a host stand in their pages, word by word."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

from tests.flow.hosts import PROMISES, ROOT

for _file in sorted(Path(__file__).parent.glob("test_readme_*promises.py")):
    importlib.import_module(f"tests.flow.routing.{_file.stem}")


def test_every_promise_that_is_tested_stands_in_its_page() -> None:
    text = {page: (ROOT / page).read_text(encoding="utf-8") for page, _ in PROMISES}
    assert {page for page, _ in PROMISES} == {"README.md", "docs/hosts.md", "docs/privacy.md"}
    assert [sentence for page, sentence in PROMISES if sentence not in text[page]] == []


def test_every_clause_of_the_readme_that_says_never_is_tested() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    clauses = {found.strip() for found in re.findall(r"[^.:;,\n|]*\bnever\b[^.:;,\n|]*", readme)}
    quoted = [sentence for page, sentence in PROMISES if page == "README.md"]
    assert [clause for clause in clauses if not any(clause in one for one in quoted)] == []
