"""Runs the notebooks, and stores them with their outputs: ``make notebooks``.

Every notebook runs in a kernel of its own, in its own folder, with nothing of the environment but a
home and a path, so that no key can reach it.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
TIMEOUT_S = 180
"""Of one cell, in seconds; none takes more than a few, but machines are busy."""

_VARIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"\b[0-9a-f]{32}\b"), "<id>"),
    (re.compile(r"\d{4}-\d{2}-\d{2}T[\d:.]+(?:Z|\+00:00)?"), "<time>"),
    (re.compile(r"\b\d+(?:[.,]\d+)* ?(ms|s)\b"), r"<duration> \1"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:<port>"),
)
"""What differs from run to run: names of requests, times, and the loopback server's port."""


def notebooks() -> list[Path]:
    """All of them, in their order."""
    return sorted(FOLDER.glob("[0-9]*.ipynb"))


def read(path: Path) -> Any:
    """The notebook as it is stored."""
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]


def execute(path: Path) -> Any:
    """The notebook with the outputs of a run from top to bottom.

    Raises:
        CellExecutionError: A cell raised.
    """
    notebook = read(path)
    with tempfile.TemporaryDirectory() as home:
        client = NotebookClient(
            notebook,
            timeout=TIMEOUT_S,
            kernel_name="python3",
            coalesce_streams=True,
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
        )
        client.execute(env={"HOME": home, **_ENVIRONMENT})
    return notebook


_ENVIRONMENT = {
    "PYTHONDONTWRITEBYTECODE": "1",
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    # A progress bar's library would like widgets, and says so in every notebook.
    "PYTHONWARNINGS": "ignore:IProgress not found",
}
"""Without a path the kernel finds no other program, which none needs."""


def shown(notebook: Any) -> Iterator[str]:
    """What a reader sees of each cell's outputs, without what differs from run to run."""
    for number, cell in enumerate(notebook.cells):
        for output in cell.get("outputs", []):
            yield f"cell {number}: {_masked(_text(output))}"


def _text(output: Any) -> str:
    if output["output_type"] == "stream":
        return f"{output['name']}: {output['text']}"
    data = output.get("data", {})
    # A picture's bytes depend on the fonts and the version of the library that drew it.
    pictures = sorted(kind for kind in data if kind.startswith("image/"))
    return " ".join(pictures) if pictures else str(data.get("text/plain", output))


def _masked(text: str) -> str:
    for pattern, stand_in in _VARIES:
        text = pattern.sub(stand_in, text)
    return re.sub(r" +", " ", text)


def main() -> None:
    """Run the named notebooks, or all, and store them."""
    for path in [Path(name) for name in sys.argv[1:]] or notebooks():
        print(path.name, flush=True)
        notebook = execute(path)
        notebook.metadata = {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}
        }
        nbformat.write(notebook, path)  # type: ignore[no-untyped-call]


if __name__ == "__main__":
    main()
