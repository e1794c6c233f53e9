"""reStructuredText, by docutils: nothing is included, and nothing raw is kept."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import Any

from docutils import nodes  # type: ignore[import-untyped]
from docutils.core import publish_doctree  # type: ignore[import-untyped]

from aegis_graph.components.documents.readers.content import (
    Content,
    RawDocument,
    Section,
    fenced_code,
)
from aegis_graph.components.documents.readers.encoding import decode
from aegis_graph.components.documents.readers.rows import markdown_table

_SETTINGS = {
    # A document must not read files of this machine.
    "file_insertion_enabled": False,
    "raw_enabled": False,
    "_disable_config": True,
    "halt_level": 5,
    "report_level": 5,
    "doctitle_xform": False,
    "smart_quotes": False,
    "syntax_highlight": "none",
}
_ROLE = re.compile(r":[\w:.+-]+:`~?!?([^`<]*?)\s*(?:<[^`>]*>)?`")
_DIRECTIVE = re.compile(r"\.\.\s+([\w:.+-]+)::[ \t]*([^\n]*)\n?(.*)", re.DOTALL)
_FIELDS = re.compile(r"^\s*:[\w-]+:[^\n]*$", re.MULTILINE)
_NOT_SAID = (nodes.comment, nodes.target, nodes.substitution_definition, nodes.docinfo, nodes.meta)
# Directives of Sphinx that list other documents.
_LISTS = ("toctree", "include", "literalinclude", "auto", "image", "figure", "raw", "index")

_VERSIONS = {
    "versionadded": "New in version",
    "versionchanged": "Changed in version",
    "deprecated": "Deprecated since version",
}


def read(raw: RawDocument) -> Content:
    """The text with headings, lists, tables and code as in Markdown."""
    text = decode(raw.data)
    tree = publish_doctree(text, settings_overrides={**_SETTINGS, "warning_stream": io.StringIO()})
    blocks = [block for block in _blocks(tree, 0) if block.strip()]
    title = next((block[2:] for block in blocks if block.startswith("# ")), "")
    return Content([Section(text="\n\n".join(blocks))], title)


def _blocks(parent: Any, level: int) -> Iterator[str]:
    for node in parent.children:
        if isinstance(node, nodes.section):
            yield from _blocks(node, level + 1)
        elif isinstance(node, nodes.title):
            yield f"{'#' * min(max(level, 1), 6)} {_inline(node)}"
        elif isinstance(node, nodes.system_message):
            yield _unknown(node)
        elif isinstance(node, _NOT_SAID):
            continue
        elif isinstance(node, nodes.literal_block | nodes.doctest_block | nodes.math_block):
            yield _fenced(node)
        elif isinstance(node, nodes.bullet_list | nodes.enumerated_list):
            yield _list(node, level)
        elif isinstance(node, nodes.table):
            yield _table(node)
        elif isinstance(node, nodes.definition_list_item | nodes.field):
            yield _definition(node, level)
        elif isinstance(node, nodes.TextElement):
            yield _inline(node)
        else:
            yield from _blocks(node, level)


def _inline(node: Any) -> str:
    """A paragraph's text; a role that only Sphinx knows is what it shows."""
    return " ".join(_ROLE.sub(r"\1", node.astext()).split())


def _fenced(node: Any) -> str:
    classes = [one for one in node.get("classes", []) if one != "code"]
    return fenced_code(node.astext(), language=classes[0] if classes else "")


def _list(node: Any, level: int) -> str:
    lines = []
    for number, item in enumerate(node.children, start=int(node.get("start", 1))):
        mark = "- " if isinstance(node, nodes.bullet_list) else f"{number}. "
        text = "\n\n".join(_blocks(item, level))
        lines.append(mark + text.replace("\n", "\n" + " " * len(mark)))
    return "\n".join(lines)


def _definition(node: Any, level: int) -> str:
    term, *rest = node.children
    text = "\n\n".join(block for one in rest for block in _blocks(one, level))
    return f"{_inline(term)}: {text}"


def _table(node: Any) -> str:
    rows = [[_inline(entry) for entry in row.children] for row in node.findall(nodes.row)]
    title = next((_inline(one) for one in node.findall(nodes.title)), "")
    return f"{title}:\n\n{markdown_table(rows)}" if title else markdown_table(rows)


def _unknown(message: Any) -> str:
    """What stands in a directive that docutils does not know, most often one of Sphinx."""
    source = next((one.astext() for one in message.findall(nodes.literal_block)), "")
    found = _DIRECTIVE.match(source)
    if found is None or source.removeprefix("..").lstrip().startswith(_LISTS):
        return ""
    name, argument, content = found.groups()
    body = "\n".join(line.strip() for line in _FIELDS.sub("", content).splitlines())
    if name in _VERSIONS:
        argument = f"{_VERSIONS[name]} {argument}:"
    body = _ROLE.sub(r"\1", f"{argument}\n\n{body}").strip()
    return re.sub(r"\n{3,}", "\n\n", body)
