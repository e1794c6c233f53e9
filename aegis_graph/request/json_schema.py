"""JSON Schemas: whether one is sound, what it is at its root, and whether a value fits it. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

# ``jsonschema`` is imported where it is used: few requests have a schema, and it takes longer than
# most of this package.


# By its text, because a bound chat model sends the same schema with each call.
@lru_cache(maxsize=64)
def schema_error(text: str) -> str | None:
    """What is wrong with a JSON Schema, given as JSON; ``None`` where nothing is.

    Example:
        >>> schema_error('{"type": "object", "properties": {"a": {"$ref": "https://a.b/c"}}}')
        "'https://a.b/c' is not in the schema itself; put it under $defs"
    """
    from jsonschema import Draft202012Validator, SchemaError  # noqa: PLC0415  as above
    from referencing import Registry  # noqa: PLC0415
    from referencing.exceptions import Unresolvable  # noqa: PLC0415
    from referencing.jsonschema import DRAFT202012  # noqa: PLC0415

    schema = json.loads(text)
    try:
        Draft202012Validator.check_schema(schema, Draft202012Validator.FORMAT_CHECKER)
    except SchemaError as error:
        where = ".".join(str(step) for step in error.absolute_path) or "the whole"
        return f"{where} breaks {error.validator!r} of JSON Schema itself"
    resolver = Registry().resolver_with_root(DRAFT202012.create_resource(schema))
    for reference in _references(schema):
        try:
            found = resolver.lookup(reference).contents
        except (Unresolvable, ValueError):
            found = None
        if not isinstance(found, dict | bool):
            return f"{reference!r} is not in the schema itself; put it under $defs"
    return _root_loop(schema)


def _root_loop(schema: Mapping[str, Any]) -> str | None:
    """Whether the root leads back to itself before anything of a value is looked at."""
    seen: list[str] = []
    part: object = schema
    while isinstance(part, Mapping) and isinstance(part.get("$ref"), str):
        reference = part["$ref"]
        if reference == "#" or reference in seen:
            return f"{reference!r} leads back to itself; give it properties of its own"
        seen.append(reference)
        part = _definition(schema, reference)
    return None


def _definition(schema: Mapping[str, Any], reference: str) -> Any:
    """What a schema's own reference stands for, where it is one of its definitions."""
    return schema.get("$defs", {}).get(reference.removeprefix("#/$defs/"))


_AROUND_A_REFERENCE = {"$comment", "$defs", "$id", "$ref", "$schema", "description", "title"}
"""What may stand beside a reference at the root without changing what fits."""


def normalized_schema(schema: Mapping[str, Any]) -> dict[str, Any]:
    """A sound JSON Schema with a title, and a plain type at its root wherever it can be read so.

    Example:
        >>> normalized_schema({"type": ["object"], "properties": {}})
        {'type': 'object', 'properties': {}, 'title': 'answer'}
    """
    root = dict(schema)
    # Pydantic writes a model that contains itself as a reference to one of its definitions.
    if "$ref" in root and root.keys() <= _AROUND_A_REFERENCE:
        target = _definition(root, root["$ref"])
        if isinstance(target, Mapping):
            del root["$ref"]
            root = {**target, **root}
    if root.get("type") == ["object"] or ("type" not in root and "properties" in root):
        root["type"] = "object"
    root.setdefault("title", "answer")
    return root


def value_problem(value: Any, schema: Mapping[str, Any]) -> str | None:
    """Where a value breaks a sound JSON Schema, without the value itself; ``None`` where it fits.

    Example:
        >>> value_problem({"usd": "much"}, {"properties": {"usd": {"type": "number"}}})
        "usd breaks 'type'"
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415  as above
    from jsonschema.exceptions import best_match  # noqa: PLC0415

    try:
        error = best_match(Draft202012Validator(schema).iter_errors(value))
    except RecursionError:
        return "the whole cannot be checked: its schema leads back to itself"
    if error is None:
        return None
    where = ".".join(str(step) for step in error.absolute_path) or "the whole"
    return f"{where} breaks {error.validator!r}"


_REFERENCES = ("$ref", "$dynamicRef")


def _references(part: object) -> Iterator[str]:
    if isinstance(part, list):
        for one in part:
            yield from _references(one)
    if isinstance(part, dict):
        yield from (part[key] for key in _REFERENCES if isinstance(part.get(key), str))
        for one in part.values():
            yield from _references(one)
