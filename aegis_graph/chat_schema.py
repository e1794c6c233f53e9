"""What a caller calls a schema: a pydantic model, a ``TypedDict`` or a JSON Schema."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage
from langchain_core.utils.function_calling import convert_to_json_schema
from langchain_core.utils.pydantic import is_basemodel_subclass
from pydantic import ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

from aegis_graph.errors import InvalidRequestError
from aegis_graph.json_schema import schema_problem
from aegis_graph.structured import PARSED


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
            return schema_problem(value, self.json_schema)
        try:
            self.validate(value)
        except (ValidationError, ValidationErrorV1) as error:
            first = error.errors()[0]
            where = ".".join(str(step) for step in first["loc"]) or "the whole"
            return f"{where} breaks {first['type']!r}"
        return None

    def read(self, answer: AIMessage) -> Any:
        """The caller's object of an answer that the router let through."""
        value = answer.additional_kwargs[PARSED]
        return value if self.validate is None else self.validate(value)

    def read_beside(self, answer: AIMessage) -> dict[str, Any]:
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
    try:
        json_schema = dict(convert_to_json_schema(schema, strict=strict))
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"schema: {str(error).splitlines()[0]}") from error
    json_schema.setdefault("title", "answer")
    if not is_basemodel_subclass(schema):
        return AnswerSchema(json_schema, None)
    validate = schema.model_validate if hasattr(schema, "model_validate") else schema.parse_obj
    return AnswerSchema(json_schema, validate)
