"""A public class has a name of its own: a reader finds one thing under it."""

from __future__ import annotations

import ast
from collections import defaultdict
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "aegis_graph"


def homes_of_classes() -> dict[str, list[str]]:
    """The modules that define each public class, by its name."""
    homes: defaultdict[str, list[str]] = defaultdict(list)
    for path in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(module)
    return homes


def test_no_name_of_a_public_class_stands_twice() -> None:
    twice = {name: modules for name, modules in homes_of_classes().items() if len(modules) > 1}
    assert twice == {}


def test_the_classes_are_found_in_their_rooms() -> None:
    homes = homes_of_classes()
    assert homes["RoutedChatModel"] == ["aegis_graph.chat.chat_model"]
    assert homes["RoutedEmbeddings"] == ["aegis_graph.embeddings"]
