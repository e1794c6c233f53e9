"""The command line of the quality benchmark."""

from __future__ import annotations

import argparse
from pathlib import Path

from scoring.own_runs import MAX_OUTPUT_TOKENS

LIMIT = 50
"""Examples of a public data set, so that its whole is not paid for by mistake."""

PUBLIC_ONLY = ("judge", "relation_names", "store")
"""Arguments that mean nothing over our own data."""

_HELPS = {
    "all": "every task over our own data",
    "retrieval": "our questions: recall@5 and nDCG@10, by words, by meaning and by both",
    "answers": "our questions: right, wrong and refused answers, and their citations",
    "relations": "our sentences, CoNLL04 (SpERT's JSON) or Re-DocRED: precision, recall and F1",
    "decomposition": "our questions, HotpotQA or MuSiQue: with and without decomposition",
    "citations": "ALCE: citation recall and precision, answer match",
}
_FORMATS = ("relations", "decomposition", "citations")


def parser(description: str) -> argparse.ArgumentParser:
    """The parser: one sub-command per task."""
    whole = argparse.ArgumentParser(prog="quality", description=description.splitlines()[0])
    tasks = whole.add_subparsers(dest="task", required=True)
    for task, text in _HELPS.items():
        one = tasks.add_parser(task, help=text, description=text)
        one.set_defaults(data=None, judge=None, store=None, relation_names=None, gleanings=0)
        one.set_defaults(baseline=False, results=None, embeddings=False, oracle=False)
        one.set_defaults(max_output_tokens=MAX_OUTPUT_TOKENS)
        if task in _FORMATS:
            own = "; our own data where absent" if task != "citations" else ""
            one.add_argument(
                "data",
                type=Path,
                nargs="?" if own else None,
                help=f"your copy of a public file, JSON or JSON lines{own}",
            )
        _add_common(one)
        if task != "citations":
            _add_own(one)
        if task == "answers":
            one.add_argument(
                "--oracle",
                action="store_true",
                help="give the gold passages in place of a search: what is wrong is the model's",
            )
    relations, cited = tasks.choices["relations"], tasks.choices["citations"]
    relations.add_argument("--gleanings", type=int, default=0, help="rounds at most (0)")
    relations.add_argument("--store", type=Path, help="file that keeps answers for the next run")
    relations.add_argument("--relation-names", type=Path, help="Re-DocRED's rel_info.json")
    cited.add_argument("--judge", help="provider that judges entailment; default: by words")
    return whole


def _add_common(one: argparse.ArgumentParser) -> None:
    one.add_argument("--providers", help="names from the configuration, by comma; default all")
    one.add_argument("--config", help="the configuration; default as everywhere")
    one.add_argument(
        "--limit", type=_positive, help=f"items (all of ours, {LIMIT} of a public file)"
    )
    one.add_argument("--concurrency", type=_positive, default=4, help="items at once (4)")
    one.add_argument("--json", type=Path, help="write the figures there as well")


def _add_own(one: argparse.ArgumentParser) -> None:
    one.add_argument(
        "--baseline", action="store_true", help="beside the plainest prompt for the same model"
    )
    one.add_argument(
        "--results", type=Path, help="JSON lines: an answer each; a rerun asks for no other"
    )
    one.add_argument(
        "--embeddings", action="store_true", help="search by the configuration's embeddings too"
    )
    one.add_argument(
        "--max-output-tokens",
        type=_positive,
        default=MAX_OUTPUT_TOKENS,
        help=f"of each answer ({MAX_OUTPUT_TOKENS})",
    )


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not at least 1")
    return value
