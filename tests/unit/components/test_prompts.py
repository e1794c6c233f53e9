"""The prompts: shipped in two languages, following the question's, and replaced by a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from aegis_graph.components.prompts import SHIPPED, prompt, prompts
from aegis_graph.errors import ConfigError
from aegis_graph.text.words import LANGUAGES, language_of

NAMES = sorted({path.name.split(".")[0] for path in SHIPPED.glob("*.md")})


@pytest.mark.parametrize("name", NAMES)
def test_every_prompt_is_there_in_every_language_with_the_same_placeholders(name: str) -> None:
    templates = [prompt(name, language) for language in LANGUAGES]
    assert all(template.is_valid() for template in templates)
    assert len({frozenset(template.get_identifiers()) for template in templates}) == 1


def test_a_file_of_the_users_folder_wins_and_the_others_stay(tmp_path: Path) -> None:
    (tmp_path / "answer_generator.en.md").write_text("Answer like a pirate, for $$5.\n")
    own = prompts("answer_generator", tmp_path)
    assert own["en"].substitute() == "Answer like a pirate, for $5."
    assert own["de"].template == prompt("answer_generator", "de").template


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"For $5.", r"answer_generator.en.md: has a lone \$"),
        (b"Ask $who.", r"answer_generator.en.md: \$who is unknown; use no placeholder"),
        (b"\xff", "answer_generator.en.md: cannot be read as UTF-8"),
    ],
)
def test_a_wrong_file_is_refused_by_name(tmp_path: Path, text: bytes, says: str) -> None:
    (tmp_path / "answer_generator.en.md").write_bytes(text)
    with pytest.raises(ConfigError, match=says):
        prompt("answer_generator", "en", tmp_path)


def test_a_folder_or_a_prompt_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder of prompts"):
        prompt("answer_generator", "en", tmp_path / "nowhere")
    with pytest.raises(ConfigError, match=r"nobody\.en\.md: this package has no such prompt"):
        prompt("nobody", "en")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("What does a call cost?", "en"),
        ("Was kostet ein Aufruf?", "de"),
        ("Monatsbudget für DashScope", "de"),
        ("Höhe Budget", "de"),
        ("qwen-max", "en"),
        ("", "en"),
    ],
)
def test_the_language_follows_the_question(text: str, language: str) -> None:
    assert language_of(text) == language
