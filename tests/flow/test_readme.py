"""Every snippet and command of the README, and every file that it points to."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from aegis_graph import RouterConfig, create_router
from tests import programs

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.M | re.S)


def commands() -> Iterator[str]:
    for block in blocks("bash"):
        for line in block.splitlines():
            yield line.split("  #")[0].strip()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A place with the example documents and no configuration, ledger or Ollama."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return tmp_path


def environ(folder: Path) -> dict[str, str]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    # A closed port: whether this machine has an Ollama must not matter.
    return {"PATH": path, "HOME": str(folder), "OLLAMA_BASE_URL": "http://127.0.0.1:9"}


def run(command: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env=environ(folder),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("snippet", blocks("python"))
def test_python_snippets_run_without_key_and_network(snippet: str, folder: Path) -> None:
    done = programs.run_text(snippet, cwd=folder, environ=environ(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert "extractive answered" in done.stdout


def test_the_page_about_the_chat_model_runs(folder: Path) -> None:
    page = (ROOT / "docs" / "chat_model.md").read_text()
    [snippet] = re.findall(r"^```python\n(.*?)^```", page, re.M | re.S)
    # The embedded provider answers a question without tools, which this agent has none of.
    asking = 'print(agent.invoke({"messages": ["Who answers?"]})["messages"][-1].text)'
    done = programs.run_text(f"{snippet}\n{asking}", cwd=folder, environ=environ(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Extractive answer" in done.stdout


def test_toml_snippets_are_valid_and_build_a_router() -> None:
    snippets = blocks("toml")
    assert snippets
    for snippet in snippets:
        config = RouterConfig.model_validate(tomllib.loads(snippet))
        assert "attempt_local" in create_router(config).get_graph().nodes


@pytest.mark.parametrize("command", [line for line in commands() if line.startswith("aegis ")])
def test_aegis_commands_succeed(command: str, folder: Path) -> None:
    done = run(["sh", "-c", command], folder)
    assert done.returncode == 0, done.stdout + done.stderr


def test_make_commands_are_targets_and_the_demo_answers(folder: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = [line.removeprefix("make ") for line in commands() if line.startswith("make ")]
    assert targets == ["demo", "test"]
    for target in [*targets, "check", "studio"]:
        assert re.search(rf"^{target}:", makefile, re.M)
    demo = makefile.split("\ndemo:", 1)[1].split("\n\n", 1)[0]
    recipe = [line.strip().replace("$(BIN)/", "") for line in demo.splitlines()[1:]]
    assert len(recipe) >= 2
    shown = [run(["sh", "-c", line], folder) for line in recipe]
    assert [done.returncode for done in shown] == [0, 0]
    assert "Sources" in shown[0].stdout
    assert "extractive" in shown[0].stdout
    assert "data/cost_tracking.db" in shown[0].stdout


def test_no_command_of_the_readme_is_left_out() -> None:
    assert all(line.startswith(("make ", "aegis ")) for line in commands())


def test_the_picture_is_the_default_graph() -> None:
    [picture] = blocks("mermaid")
    drawn = {
        (start, end)
        for starts, ends in re.findall(r"^  ([\w &]+) -+\.?[^>]*> ([\w &]+)$", picture, re.M)
        for start in starts.split(" & ")
        for end in ends.split(" & ")
    }
    graph = create_router(RouterConfig()).get_graph()
    names = {"__start__": "START", "__end__": "END"}
    real = {(names.get(e.source, e.source), names.get(e.target, e.target)) for e in graph.edges}
    assert drawn == real


def test_files_that_the_readme_names_exist() -> None:
    for name in ("aegis.example.toml", ".env.example", "aegis_graph/errors.py"):
        assert f"`{name}`" in README
        assert (ROOT / name).is_file()


def test_every_page_is_linked_and_every_link_has_its_page() -> None:
    linked = set(re.findall(r"\]\((docs/[^)]+)\)", README))
    assert linked == {f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")}


def test_the_example_configuration_is_valid_and_has_every_key() -> None:
    config = RouterConfig.load(ROOT / "aegis.example.toml", environ={})
    text = (ROOT / "aegis.example.toml").read_text()
    rows = (config.providers[0], config.embeddings[0], config.budgets[0])
    sections = (config, config.ledger, *rows, config.health)
    # What is left out of a dump is no key of a file: where the configuration came from.
    keys = {
        key
        for section in sections
        for key, field in type(section).model_fields.items()
        if not field.exclude
    }
    missing = {key for key in keys if not re.search(rf"^(\[+{key}\]+|(# )?{key} =)", text, re.M)}
    assert missing == set()


def test_the_example_environment_names_every_variable_that_is_read() -> None:
    named = set(re.findall(r"^([A-Z_]+)=", (ROOT / ".env.example").read_text(), re.M))
    sources = [*ROOT.glob("aegis_graph/**/*.py"), *ROOT.glob("graphs/*.py")]
    read = {
        name
        for path in sources
        for name in re.findall(
            r'"((?:AEGIS|MONTHLY|OLLAMA)_[A-Z_]+|[A-Z_]+_API_KEY)"', path.read_text()
        )
    }
    assert read == named


def test_it_is_short() -> None:
    assert README.count("\n") < 136
