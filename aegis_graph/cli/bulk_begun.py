"""How a job was begun on a command line, kept in the folder of its results to go on from there."""

from __future__ import annotations

import argparse
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from aegis_graph.bulk.graph_source import input_fields
from aegis_graph.bulk.part_files import whole_file
from aegis_graph.bulk.records import ResultFormat
from aegis_graph.bulk.sources import ItemFiles
from aegis_graph.cli.bulk_graphs import GraphRecipe
from aegis_graph.components.router_node import RouterGraph
from aegis_graph.errors import StoreError

FILE = "command.json"


@dataclass(frozen=True, slots=True)
class BegunJob:
    """A job as its command line says it; paths count from the folder that it was given in.

    Args:
        name: Of the job.
        recipe: How its graph is made.
        inputs: Where its items are.
        key: The field that names an item.
        fields: What every item's input has besides.
        format: Of the results.
        running: How it is run: what it may cost, workers and so on.
        folder: The folder that the command was given in.
    """

    name: str
    recipe: GraphRecipe
    inputs: Sequence[str]
    key: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    format: ResultFormat = "jsonl"
    running: Mapping[str, Any] = field(default_factory=dict)
    folder: str = field(default_factory=os.getcwd)

    @classmethod
    def of(cls, options: argparse.Namespace) -> BegunJob:
        """What a command line of ``bulk run`` or ``bulk forecast`` says.

        Raises:
            ConfigError: Its options do not fit together.
        """
        return cls(
            name=options.name or options.results.absolute().name,
            recipe=GraphRecipe.of(options),
            inputs=list(options.input),
            key=options.key,
            fields=dict(options.fields),
            format=options.format,
            running=running_options(options),
        )

    @classmethod
    def read(cls, results: Path) -> BegunJob:
        """What is kept in a folder of results.

        Raises:
            StoreError: Nothing, or it cannot be read.
        """
        path = results / FILE
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            return cls(**{**kept, "recipe": GraphRecipe(**kept["recipe"])})
        except FileNotFoundError as error:
            raise StoreError(
                f"{results}: no command began this job; run the program again that did"
            ) from error
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path}: cannot be read; give the `bulk run` again") from error

    def keep(self) -> None:
        """Write it into the folder of the results, whole or not at all.

        Raises:
            StoreError: It cannot be written.
        """
        results = Path(self.recipe.results)
        try:
            with whole_file(results / FILE) as stream:
                stream.write(json.dumps(asdict(self), indent=1).encode())
        except OSError as error:
            why = (error.strerror or type(error).__name__).lower()
            raise StoreError(f"{results}: {why}; allow writing there") from error

    def items(self, graph: RouterGraph) -> ItemFiles:
        """The job's items, read when they are asked for."""
        takes = input_fields(graph)
        return ItemFiles(list(self.inputs), takes, key=self.key, fields=self.fields)


def running_options(options: argparse.Namespace) -> dict[str, Any]:
    """What a command line says of how a job is run; the job's own values stand for the rest."""
    names = ("max_cost_usd", "concurrency", "workers", "max_attempts", "tier", "engine")
    given = {name: getattr(options, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None}
