"""The table of the command line's commands, against the parser and the modules that it names."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from importlib import import_module

import pytest

import aegis_graph
from aegis_graph import cli
from aegis_graph.cli.arguments import LazyParser
from aegis_graph.cli.commands import COMMANDS, command_parser, with_command

GIVEN = {
    "completion": ["bash"],
    "prompt": ["a hold?"],
    "explain": ["a hold?"],
    "ask": ["q", "--docs", "a.md"],
    "describe": ["a.png"],
    "bulk run": ["--graph", "ask", "--input", "a.jsonl", "--results", "out"],
    "bulk forecast": ["--graph", "ask", "--input", "a.jsonl", "--results", "out"],
    "bulk resume": ["out"],
    "bulk status": ["out"],
    "bulk retry": ["out"],
    "bulk cancel": ["out"],
    "keys add": ["app", "--user", "ada"],
    "keys revoke": ["app"],
    "budgets set": ["total", "day", "1"],
    "budgets remove": ["total", "day"],
    "ledger prune": ["--before", "2026-11-01"],
}
"""The arguments that a command cannot do without."""


def parsers(parser: argparse.ArgumentParser, name: str = "") -> Iterator[str]:
    """The names of a parser's commands, with those of their actions."""
    for group in parser._actions:
        if isinstance(group, argparse._SubParsersAction):
            for choice, inner in group.choices.items():
                if isinstance(inner, LazyParser) and inner.declare is not None:
                    inner.declare(inner)
                yield from parsers(inner, f"{name} {choice}".strip())
            if group.required:
                return
    yield name


def test_the_table_has_every_command_of_the_parser() -> None:
    assert set(parsers(command_parser())) - {""} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_line_leads_to_its_row_of_the_table(name: str) -> None:
    options = command_parser().parse_args([*name.split(), *GIVEN.get(name, [])])
    assert options.command == name
    module, _, function = COMMANDS[name].partition(":")
    assert callable(getattr(import_module(module), function))


def test_alone_it_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == cli.OK
    assert "ask" in capsys.readouterr().out


def test_it_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == cli.OK
    assert capsys.readouterr().out == f"aegis {aegis_graph.__version__}\n"


@pytest.mark.parametrize("command", [["costs"], ["ledger", "verify"], ["budgets"]])
def test_the_configuration_may_be_named_before_the_command_or_after_it(
    command: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for line in (["--config", "nowhere.toml", *command], [*command, "--config", "nowhere.toml"]):
        assert cli.main(line) == cli.USAGE_ERROR
        assert capsys.readouterr().err.startswith("aegis: nowhere.toml: cannot be read")


@pytest.mark.parametrize(
    "line",
    [
        ["What is a hold?"],
        ["hello"],
        ["what", "is", "a", "hold"],
        ["-"],
        ["--", "costs"],
        ["--task", "summary", "text"],
        ["--json", "--config", "costs", "What is a hold?"],
    ],
)
def test_a_prompt_needs_no_command(line: list[str]) -> None:
    assert with_command(line) == ["prompt", *line]


@pytest.mark.parametrize(
    "line", [[], ["costs"], ["--json", "costs"], ["--config=x", "ask", "q"], ["-h"], ["--version"]]
)
def test_a_command_stays_one(line: list[str]) -> None:
    assert with_command(line) == line


@pytest.mark.parametrize(
    ("word", "command"), [("cots", "costs"), ("budget", "budgets"), ("doc", "doctor")]
)
def test_a_misspelt_command_buys_no_answer(
    word: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([word]) == cli.USAGE_ERROR
    line = f"aegis: there is no command {word!r}; is it {command}? As a prompt: aegis prompt {word}"
    assert capsys.readouterr().err == f"{line}\n"


def test_a_question_without_documents_is_shown_both_ways(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert cli.main(["ask", "hello"]) == cli.USAGE_ERROR
    line = 'aegis: ask: name documents with --docs PATH or --index NAME, or try aegis "hello"'
    assert capsys.readouterr().err == f"{line}\n"
