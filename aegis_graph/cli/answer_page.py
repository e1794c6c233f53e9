"""An answer with its citations as a page: Markdown, or HTML that needs nothing besides."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from typing import Any

from aegis_graph.cli.output import place_text, unsupported_lines
from aegis_graph.text.citation_marks import CitationMark, replace_citations
from aegis_graph.text.words import language_of

LinkOf = Callable[[Mapping[str, Any]], str]
"""Gives where a citation leads."""

_STYLE = """
:root { color-scheme: light dark; }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.55 system-ui, sans-serif;
  background: Canvas; color: CanvasText; }
h1 { font-size: 1.35rem; } h2 { font-size: 1.05rem; }
blockquote { margin: .3rem 0 .8rem; padding-left: .8rem; border-left: 3px solid GrayText;
  white-space: pre-wrap; overflow-wrap: anywhere; }
pre { overflow-x: auto; padding: .6rem; border: 1px solid GrayText; }
a { color: LinkText; } li { margin-bottom: .4rem; } footer { color: GrayText; }
"""
_FENCED = re.compile(r"^(`{3,}|~{3,})[^\n]*\n(.*?)^\1[`~]*[ \t]*$", re.MULTILINE | re.DOTALL)
_MARKS = re.compile(r"([\\`*_{}\[\]<>|])")


def markdown_page(question: str, result: Mapping[str, Any], link_of: LinkOf) -> str:
    """The answer as Markdown, with a list of its sources."""
    lines = [f"# {_plain_line(question)}", "", result["answer"].strip()]
    if result["citations"]:
        lines += ["", "## Sources", ""]
    for n, citations in _by_number(result["citations"]):
        lines.append(f"{n}. [{_plain_line(place_text(citations))}](<{link_of(citations[0])}>)")
        for citation in citations:
            lines += ["", *(f"   > {line}" for line in citation["quote"].split("\n"))]
        lines.append("")
    return "\n".join([*lines, *_doubts(result)]).rstrip()


def html_page(question: str, result: Mapping[str, Any], link_of: LinkOf) -> str:
    """The answer as one HTML page without scripts, fonts and other requests."""
    known = {citation["n"] for citation in result["citations"]}
    parts = [
        "<!doctype html>",
        f'<html lang="{language_of(question)}"><head><meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(question)}</title><style>{_STYLE}</style></head><body>",
        f"<h1>{escape(question)}</h1>",
        *_html_answer(result["answer"].strip(), known),
    ]
    if result["citations"]:
        parts.append("<h2>Sources</h2><ol>")
    for n, citations in _by_number(result["citations"]):
        parts.append(
            f'<li id="source-{n}" value="{n}"><a href="{escape(link_of(citations[0]))}">'
            f"{escape(place_text(citations))}</a>"
        )
        parts += [f"<blockquote>{escape(one['quote'])}</blockquote>" for one in citations]
        parts.append("</li>")
    parts += ["</ol>"] if result["citations"] else []
    doubts = "\n".join(_doubts(result)).strip()
    parts += [f"<footer><pre>{escape(doubts)}</pre></footer>"] if doubts else []
    return "\n".join([*parts, "</body></html>"])


def _by_number(
    citations: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[int, list[Mapping[str, Any]]]]:
    for n in dict.fromkeys(citation["n"] for citation in citations):
        yield n, [citation for citation in citations if citation["n"] == n]


def _doubts(result: Mapping[str, Any]) -> Iterator[str]:
    yield from unsupported_lines(result["sentences"], removed=result["removed"])
    if result["degraded_reason"]:
        yield from ("", f"Degraded: {result['degraded_reason']}")


def _html_answer(answer: str, known: set[int]) -> Iterator[str]:
    """Paragraphs and blocks of code; what else a model wrote stays text."""
    at = 0
    for block in _FENCED.finditer(answer):
        yield from _paragraphs(answer[at : block.start()], known)
        yield f"<pre><code>{escape(block[2].rstrip())}</code></pre>"
        at = block.end()
    yield from _paragraphs(answer[at:], known)


def _paragraphs(text: str, known: set[int]) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text.strip()):
        if paragraph.strip():
            yield f"<p>{_linked(paragraph, known)}</p>".replace("\n", "<br>\n")


def _linked(text: str, known: set[int]) -> str:
    """Text for HTML, with its citations as links to the list of sources."""

    def link(mark: CitationMark, numbers: list[int]) -> str:
        shown = ", ".join(
            f'<a href="#source-{n}">{n}</a>' if n in known else str(n) for n in numbers
        )
        return f"{mark.space}[{shown}]"

    # Before the links are made: they are the only markup.
    return replace_citations(escape(text), link)


def _plain_line(text: str) -> str:
    return _MARKS.sub(r"\\\1", " ".join(text.split()))
