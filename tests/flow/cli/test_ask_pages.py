"""``aegis ask`` as a page with its sources, and the first cited place opened, as a user does it."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from aegis_graph.testing import Fault, LoopbackServer, Reply
from tests.flow.cli.command import aegis
from tests.flow.cli.test_ask import ask, configure, folder

__all__ = ["folder"]
ANSWER = "The monthly limit of the reading room is 40 dollars. [1]"


@pytest.fixture
def opener(tmp_path: Path) -> str:
    """A browser that writes down what it is to open."""
    script = tmp_path / "opener.py"
    script.write_text(
        "import pathlib, sys\npathlib.Path(__file__).with_suffix('.txt').write_text(sys.argv[1])\n"
    )
    return f"{shlex.quote(sys.executable)} {shlex.quote(str(script))} %s"


def opened(folder: Path) -> str | None:
    file = folder / "opener.txt"
    return file.read_text() if file.exists() else None


def test_markdown_has_the_answer_and_links_to_its_sources(
    folder: Path, server: LoopbackServer
) -> None:
    configure(folder, server)
    server.script("ollama", Reply(ANSWER))
    done = ask(folder, "--format", "md")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [
        "# What is the monthly limit?",
        "",
        ANSWER,
        "",
        "## Sources",
        "",
        "1. [budgets.md, line 3](<docs/budgets.md#L3>)",
        "",
        "   > The monthly limit of the reading room is 40 dollars.",
    ]


def test_html_is_one_page_in_which_nothing_of_the_answer_is_markup(
    folder: Path, server: LoopbackServer
) -> None:
    configure(folder, server)
    # A small model's answer with more than the documents say is refused.
    config = folder / "aegis.toml"
    config.write_text(config.read_text().replace("llama3.2:3b", "llama3.3:70b"))
    (folder / "docs" / "a b&c.md").write_text("The limit is <b>40</b> dollars & more a month.\n")
    server.script(
        "ollama",
        Reply('<script>alert("x")</script> It is 40 dollars & more. [1]\n\n```\na < 1\n```'),
    )
    done = ask(folder, "--format", "html")
    assert done.returncode == 0
    page = done.stdout
    assert page.startswith("<!doctype html>")
    assert "<script" not in page
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" in page
    assert "<pre><code>a &lt; 1</code></pre>" in page
    assert '[<a href="#source-1">1</a>]' in page
    assert re.search(r'<li id="source-1" value="1"><a href="docs/[^"]+#L\d">', page)
    assert "color-scheme: light dark" in page
    assert not re.search(r'(?:src|href)="(?:https?:)?//', page)
    assert str(folder) not in page


def test_json_is_the_same_by_either_option(folder: Path, server: LoopbackServer) -> None:
    configure(folder, server)
    server.always("ollama", Reply(ANSWER))
    one, other = (json.loads(ask(folder, *how).stdout) for how in (["--json"], ["--format=json"]))
    assert one.keys() == other.keys()
    assert one["citations"] == other["citations"]
    [citation] = one["citations"]
    assert (citation["lines"], citation["heading"]) == ([3, 3], "Budgets")
    assert citation["link"] == "budgets.md#L3"


def test_a_page_without_a_provider_is_written_before_the_error(
    folder: Path, server: LoopbackServer
) -> None:
    configure(folder, server)
    server.always("ollama", Fault.status(404))
    server.always("openai", Fault.status(404))
    done = ask(folder, "--format", "md", TEST_KEY="sk-test")
    assert done.returncode == 4
    assert ANSWER in done.stdout
    assert "\nDegraded: " in done.stdout
    assert done.stderr.startswith("aegis: ")


def test_the_first_cited_place_is_opened(folder: Path, server: LoopbackServer, opener: str) -> None:
    configure(folder, server)
    server.script("ollama", Reply(ANSWER))
    done = ask(folder, "--open", BROWSER=opener)
    assert (done.returncode, done.stderr) == (0, "")
    assert opened(folder) == (folder / "docs" / "budgets.md").as_uri() + "#L3"
    # Where the documents are is known to this command alone.
    assert str(folder) not in json.dumps([call.body for call in server.calls()])


def test_a_place_of_an_index_is_opened(folder: Path, server: LoopbackServer, opener: str) -> None:
    configure(folder, server)
    made = aegis("index", "docs", "--name", "i.db", "--config", "aegis.toml", cwd=folder)
    assert made.returncode == 0, made.stderr
    server.script("ollama", Reply(ANSWER))
    question = ("ask", "What is the monthly limit?", "--index", "i.db", "--open")
    done = aegis(*question, "--config", "aegis.toml", cwd=folder, environ={"BROWSER": opener})
    assert (done.returncode, done.stderr) == (0, "")
    assert opened(folder) == (folder / "docs" / "budgets.md").as_uri() + "#L3"


def test_what_cannot_be_opened_is_said(folder: Path, server: LoopbackServer, opener: str) -> None:
    configure(folder, server)
    server.script("ollama", Reply("Trains are late."), Reply(ANSWER))
    done: CompletedProcess[str] = ask(folder, "--open", BROWSER=opener)
    assert (done.returncode, opened(folder)) == (0, None)
    assert done.stderr == "aegis: --open: the answer cites nothing\n"
    done = ask(folder, "--open", BROWSER="/nowhere/browser %s", PATH="/nowhere")
    assert done.returncode == 0
    assert "aegis: --open: there is no program to open it with" in done.stderr
