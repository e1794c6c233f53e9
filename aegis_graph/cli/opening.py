"""Where cited documents are on this machine, and how one is opened at the cited place.

Nothing of this is in a prompt: sources there are names below the folder that was given.
"""

from __future__ import annotations

import os
import webbrowser
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from langchain_core.documents import Document


class CitedPlaces:
    """Finds the files behind an answer's citations.

    Args:
        documents: Those of the answer: citation ``[1]`` is the first.
        path_of: Gives the file of a source.
    """

    def __init__(
        self, documents: Sequence[Document], path_of: Callable[[str], Path | None]
    ) -> None:
        self._documents = documents
        self._path_of = path_of

    def uri(self, citation: Mapping[str, Any]) -> str | None:
        """The address of the place, such as ``file:///a/b.pdf#page=3``."""
        path = self._path(citation)
        return None if path is None else path.absolute().as_uri() + _fragment(citation)

    def relative_link(self, citation: Mapping[str, Any]) -> str:
        """A link from the current folder; the citation's own where the file is unknown."""
        path = self._path(citation)
        if path is None:
            return str(citation["link"])
        try:
            relative = Path(os.path.relpath(path)).as_posix()
        except ValueError:
            # On another drive of Windows there is no way from here.
            return path.absolute().as_uri() + _fragment(citation)
        return quote(os.fsencode(relative)) + _fragment(citation)

    def _path(self, citation: Mapping[str, Any]) -> Path | None:
        document = self._documents[citation["n"] - 1]
        return self._path_of(str(document.metadata.get("source") or ""))


def open_first(citations: Sequence[Mapping[str, Any]], places: CitedPlaces) -> str | None:
    """Open the first cited place in the program that the system, or ``BROWSER``, has for it.

    Returns:
        Why nothing was opened, in one line; ``None`` where it was.
    """
    if not citations:
        return "--open: the answer cites nothing"
    uri = places.uri(citations[0])
    if uri is None:
        return f"--open: {citations[0]['source']} is no file that is known here"
    if not webbrowser.open(uri):
        return f"--open: there is no program to open it with (BROWSER names one): {uri}"
    return None


def _fragment(citation: Mapping[str, Any]) -> str:
    _, mark, place = str(citation["link"]).partition("#")
    return mark + place
