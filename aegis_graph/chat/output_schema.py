"""What a caller calls a schema: a pydantic model, a ``TypedDict`` or a JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import PydanticUserError, ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

from aegis_graph.errors import InvalidRequestError
from aegis_graph.request.json_schema import normalized_schema, value_problem
from aegis_graph.request.options import check_schema
from aegis_graph.request.structured import PARSED


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """A schema in both of its roles: what models are shown, and what makes an object of an answer.

    Args:
        json_schema: An object with a title.
        validate: Makes the caller's object of the JSON value; ``None`` where that is the object.
    """

    json_schema: dict[str, Any]
    validate: Callable[[Any], Any] | None

    def problem(self, value: Any) -> str | None:
        """Where a value does not fit, without the value itself; ``None`` where it fits."""
        if self.validate is None:
            return value_problem(value, self.json_schema)
        try:
            self.validate(value)
        except (ValidationError, ValidationErrorV1) as error:
            # Not pydantic's own text: it repeats the value, which may be private.
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"]) or "the whole"
            return f"{where} breaks {first['type']!r}"
        return None

    def read(self, answer: AIMessage) -> Any:
        """The caller's object of an answer that the router let through."""
        value = answer.additional_kwargs[PARSED]
        return value if self.validate is None else self.validate(value)

    def read_with_raw(self, answer: AIMessage) -> dict[str, Any]:
        """The object and the answer itself, in LangChain's form."""
        return {"raw": answer, "parsed": self.read(answer), "parsing_error": None}


def answer_schema(schema: Any, *, strict: bool | None = None) -> AnswerSchema:
    """Read what a caller calls a schema.

    Raises:
        InvalidRequestError: It is none.

    Example:
        >>> from pydantic import BaseModel
        >>> class Limit(BaseModel):
        ...     usd: float
        >>> answer_schema(Limit).problem({"usd": "much"})
        "usd breaks 'float_parsing'"
    """
    json_schema = _json_schema(schema, strict=strict)
    check_schema("schema", json_schema)
    if not is_basemodel_subclass(schema):
        return AnswerSchema(normalized_schema(json_schema), None)
    # LangChain still takes models of pydantic 1, which have ``parse_obj``.
    validate = schema.model_validate if hasattr(schema, "model_validate") else schema.parse_obj
    return AnswerSchema(normalized_schema(json_schema), validate)


_OF_A_TOOL = {"function", "input_schema", "parameters", "toolSpec"}
"""What a description of a tool has and a JSON Schema has not: its schema is in there."""


def _json_schema(schema: Any, *, strict: bool | None) -> Any:
    """The JSON Schema of what a caller gives; LangChain knows the forms that are none yet."""
    if isinstance(schema, dict) and not schema.keys() & _OF_A_TOOL:
        if not strict:
            return schema
        check_schema("schema", schema)
        if "properties" not in schema and schema.get("additionalProperties"):
            raise InvalidRequestError(
                "schema: has no properties, and strict answers have no others; name them, or leave"
                " strict out"
            )
        # With a name, or without properties, LangChain would drop all but that and the title.
        schema = {"properties": {}, **normalized_schema(schema)}
        schema.pop("name", None)
    elif not isinstance(schema, dict) and not callable(schema):
        raise InvalidRequestError(f"schema: is none, but {type(schema).__name__!r}; {_INSTEAD}")
    try:
        return convert_to_json_schema(schema, strict=strict)
    except (AttributeError, LookupError, PydanticUserError, TypeError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InvalidRequestError(f"schema: is none: {reason}; {_INSTEAD}") from error


_INSTEAD = "give a pydantic model, a TypedDict or a JSON Schema of an object"
