"""The components' prompts: files, one per component and language, that a user's folder replaces.

A file is ``<component>.<en|de>.md``, a ``string.Template`` whose placeholders are written
``$question``; a dollar sign is ``$$``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from string import Template

from aegis_graph.errors import ConfigError
from aegis_graph.text.words import LANGUAGES, Language

SHIPPED = Path(__file__).parent / "prompts"


def prompt(name: str, language: Language, folder: str | Path | None = None) -> Template:
    """Read one prompt.

    Components read theirs when they are built, with ``prompts``: reading a file blocks.

    Args:
        name: The component, like ``answer_generator``.
        language: ``en`` or ``de``.
        folder: A folder whose files win over those of this package. It may have some only.

    Raises:
        ConfigError: There is no such prompt, it cannot be read, or its placeholders are not those
            that the component fills in.

    Example:
        >>> "square brackets" in prompt("answer_generator", "en").substitute()
        True
    """
    shipped = SHIPPED / f"{name}.{language}.md"
    if not shipped.is_file():
        raise ConfigError(f"prompt {name}.{language}.md: this package has no such prompt")
    own = None if folder is None else _own(Path(folder), shipped.name)
    # Read in any case: it says which placeholders there are.
    template = Template(_read(shipped))
    return template if own is None else _checked(own, set(template.get_identifiers()))


def prompts(name: str, folder: str | Path | None = None) -> Mapping[Language, Template]:
    """Read a component's prompt in every language; errors as in ``prompt``."""
    return {language: prompt(name, language, folder) for language in LANGUAGES}


def nearest_prompts(
    names: Sequence[str], folder: str | Path | None = None
) -> Mapping[Language, Template]:
    """Read the first of several prompts, in every language; errors as in ``prompt``.

    A user's folder that has none of the first means the next that it has.

    Args:
        names: The most special first.
        folder: As in ``prompt``.
    """

    def which(language: Language) -> str:
        own = (one for one in names if folder and _own(Path(folder), f"{one}.{language}.md"))
        return next(own, names[0])

    return {language: prompt(which(language), language, folder) for language in LANGUAGES}


def _own(folder: Path, name: str) -> Path | None:
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such folder of prompts; create it, or name none")
    return folder / name if (folder / name).exists() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text") from error


def _checked(path: Path, known: set[str]) -> Template:
    """A user's prompt, refused when it is built rather than at the first question."""
    template = Template(_read(path))
    if not template.is_valid():
        raise ConfigError(f"{path}: has a lone $; write $$ for a dollar sign")
    # It may leave placeholders out, but not have others: nothing would fill them in.
    unknown = sorted(set(template.get_identifiers()) - known)
    if unknown:
        allowed = ", ".join(f"${name}" for name in sorted(known)) or "no placeholder"
        raise ConfigError(f"{path}: ${unknown[0]} is unknown; use {allowed}")
    return template
