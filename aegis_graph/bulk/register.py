"""Where the results of this user's jobs are, so that a job is found by its name alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from aegis_graph.bulk.job_file import FILE
from aegis_graph.bulk.part_files import whole_file
from aegis_graph.config.ledger_spec import data_folder
from aegis_graph.errors import StoreError


@dataclass(frozen=True, slots=True)
class JobRegister:
    """A small file for each job, in the folder of the user's data.

    Args:
        folder: Where the files are.

    Example:
        >>> register = JobRegister(Path("register"))
        >>> results = Path("results/contracts")
        >>> results.mkdir(parents=True)
        >>> (results / FILE).touch()
        >>> register.remember("contracts", results)
        >>> register.folder_of("contracts").name
        'contracts'
        >>> register.folder_of("letters") is None
        True
    """

    folder: Path = field(default_factory=lambda: data_folder() / "bulk")

    def remember(self, name: str, results: Path) -> None:
        """Say where a job's results are; of two jobs with one name the later counts.

        Raises:
            StoreError: It cannot be written.
        """
        entry = json.dumps({"name": name, "results": str(results.absolute())})
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with whole_file(self._path(name)) as stream:
                stream.write(entry.encode())
        except OSError as error:
            why = (error.strerror or type(error).__name__).lower()
            raise StoreError(f"{self.folder}: {why}; allow writing there") from error

    def folder_of(self, name: str) -> Path | None:
        """The folder of a job's results; ``None`` where that is not known, or has no job now."""
        try:
            entry = json.loads(self._path(name).read_text(encoding="utf-8"))
            results = Path(entry["results"])
            return results if (results / FILE).is_file() else None
        # What another program has made of the file says nothing.
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def _path(self, name: str) -> Path:
        # A name may have signs that no file's name has.
        digest = hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()
        return self.folder / f"{digest[:32]}.json"


def job_folder(name_or_folder: str, register: JobRegister | None = None) -> Path:
    """The results folder that a person means: a folder with a job in it, or a job's name.

    Raises:
        StoreError: There is none; the message says how it is named.
    """
    given = Path(name_or_folder)
    if (given / FILE).is_file():
        return given
    found = (register or JobRegister()).folder_of(name_or_folder)
    if found is None:
        raise StoreError(
            f"{name_or_folder}: there is no job of this name here; name the folder of its results"
        )
    return found
