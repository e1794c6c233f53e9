"""The arguments of the commands that read documents and images."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from typing_extensions import override

from aegis_graph.cli.request_options import add_request_options

ANSWER_FORMATS = ("md", "json", "html")


def add_ask(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``ask``."""
    parser.add_argument("question", metavar="QUESTION")
    parser.add_argument(
        "--docs",
        nargs="+",
        type=Path,
        action=_Documents,
        metavar="PATH",
        help="documents such as Markdown, PDF, Office and HTML files, and folders of them",
    )
    parser.add_argument("--index", metavar="NAME", help="an index of `aegis index`, or its file")
    add_index_dir(parser)
    add_request_options(
        parser,
        sensitivity="how private question and documents are; confidential, pii and hipaa stay local"
        " (default: the file's, or internal)",
        cap="each call",
        envelope="the whole run",
    )
    parser.add_argument(
        "--verify",
        choices=("rule", "model"),
        default="rule",
        help="who judges whether the sources support each sentence; a model costs a call"
        " (default: rule)",
    )
    parser.add_argument(
        "--no-plan", action="store_true", help="never take the question apart, which costs a call"
    )
    parser.add_argument(
        "--format",
        choices=ANSWER_FORMATS,
        help="write the answer with its sources to standard output as Markdown, JSON (as --json"
        " does) or an HTML page that needs nothing else",
    )
    parser.add_argument(
        "--open",
        action="store_true",
        help="open the first cited place: the file at its page, in the browser of the system or of"
        " BROWSER",
    )


class _Documents(argparse.Action):
    """Paths, and behind them perhaps the question, which the option would else swallow."""

    @override
    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:
        paths = list(values or ())
        last = str(paths[-1])
        asked = (" " in last or last.endswith("?")) and not os.path.exists(last)
        if asked and len(paths) > 1 and namespace.question is None:
            namespace.question = str(paths.pop())
            for action in parser._actions:
                action.required = action.required and action.dest != "question"
        setattr(namespace, self.dest, paths)


def add_index(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``index``."""
    parser.add_argument(
        "paths",
        nargs="*",
        type=Path,
        metavar="PATH",
        help="documents and folders of them; without any, all that the index has is read again"
        " where it changed",
    )
    parser.add_argument(
        "--name",
        default="documents",
        metavar="NAME",
        help="the index, or the file that it is (default: documents)",
    )
    add_index_dir(parser)
    add_request_options(
        parser,
        sensitivity="how private all of the documents are, at least; a file .aegis-sensitivity with"
        " one word says it for its folder",
        envelope="embedding",
    )
    parser.add_argument(
        "--embed",
        action="store_true",
        help="embed what has no vector yet, so that it is found by its meaning too",
    )
    parser.add_argument("--run-id", metavar="ID", help="the envelope that embedding counts in")
    parser.add_argument(
        "--remove",
        action="store_true",
        help="take PATH out of the index instead, with its words and vectors; the files stay",
    )


def add_describe(parser: argparse.ArgumentParser) -> None:
    """The arguments of ``describe``."""
    # Imported here: only the command that was given pays for it.
    from aegis_graph.text.words import LANGUAGES  # noqa: PLC0415
    from aegis_graph.types import RESULT_KINDS  # noqa: PLC0415

    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="PATH", help="images, PDFs, and folders of them"
    )
    parser.add_argument(
        "--kind",
        choices=RESULT_KINDS,
        default=RESULT_KINDS[0],
        help="what is wanted (default: description)",
    )
    parser.add_argument(
        "--language", choices=LANGUAGES, default=LANGUAGES[0], help="of descriptions (default: en)"
    )
    add_request_options(
        parser,
        sensitivity="how private the images are; confidential, pii and hipaa stay local, and their"
        " results are not kept (default: the file's, or internal)",
        cap="each answer",
    )
    parser.add_argument("--again", action="store_true", help="ask also where a result was kept")


def add_index_dir(parser: argparse._ActionsContainer) -> None:
    """The option that says where indexes are."""
    parser.add_argument(
        "--index-dir",
        type=Path,
        metavar="DIR",
        help="where indexes are (default: in the folder of your data)",
    )
