"""``/openapi.json``: the endpoint described for programs, in OpenAPI 3.1."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from aegis_graph.types import MAX_OUTPUT_TOKENS

_TEXT = {"type": "string"}
_FLAG = {"type": "boolean"}
_OBJECT = {"type": "object"}
_MODEL = {"type": "string", "description": "A model, a provider, an alias, or auto."}
_STREAM = {"type": "boolean", "description": "Whether the answer comes as server-sent events."}
_CAP = {"type": "integer", "minimum": 1, "maximum": MAX_OUTPUT_TOKENS}
_METADATA = {
    "type": "object",
    "description": "task, sensitivity, user, run_id, thread_id, tags, max_cost_usd and so on;"
    " the headers x-aegis-* say the same.",
}
_SAMPLING = {
    "temperature": {"type": "number", "minimum": 0, "exclusiveMaximum": 2},
    "top_p": {"type": "number", "exclusiveMinimum": 0, "maximum": 1},
}
_MESSAGE = {
    "type": "object",
    "required": ["role"],
    "properties": {
        "role": {"enum": ["system", "developer", "user", "assistant", "tool"]},
        "content": {"type": ["string", "array", "null"], "items": _OBJECT},
        "name": _TEXT,
        "tool_call_id": _TEXT,
        "tool_calls": {"type": "array", "items": _OBJECT},
    },
}
_FUNCTION = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": _TEXT, "description": _TEXT, "parameters": _OBJECT, "strict": _FLAG},
}
_TOOL = {
    "type": "object",
    "required": ["type", "function"],
    "properties": {"type": {"const": "function"}, "function": _FUNCTION},
}
_FORMAT = {
    "type": "object",
    "required": ["type"],
    "properties": {
        "type": {"enum": ["text", "json_object", "json_schema"]},
        "json_schema": {"type": "object", "properties": {"name": _TEXT, "schema": _OBJECT}},
    },
}

_SCHEMAS: dict[str, Any] = {
    "ChatRequest": {
        "type": "object",
        "required": ["model", "messages"],
        "properties": {
            **_SAMPLING,
            "model": _MODEL,
            "messages": {"type": "array", "minItems": 1, "items": _MESSAGE},
            "tools": {"type": "array", "items": _TOOL},
            "tool_choice": {"type": ["string", "object"]},
            "parallel_tool_calls": _FLAG,
            "response_format": _FORMAT,
            "stop": {"type": ["string", "array"], "items": _TEXT},
            "seed": {"type": "integer", "minimum": 0},
            "presence_penalty": {"type": "number", "minimum": -2, "maximum": 2},
            "frequency_penalty": {"type": "number", "minimum": -2, "maximum": 2},
            "reasoning_effort": _TEXT,
            "max_tokens": _CAP,
            "max_completion_tokens": _CAP,
            "n": {"const": 1},
            "stream": _STREAM,
            "stream_options": {"type": "object", "properties": {"include_usage": _FLAG}},
            "metadata": _METADATA,
        },
    },
    "ResponseRequest": {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            **_SAMPLING,
            "model": _MODEL,
            "input": {"type": ["string", "array"], "items": _OBJECT},
            "instructions": _TEXT,
            "tools": {"type": "array", "items": _OBJECT},
            "text": {"type": "object", "properties": {"format": _OBJECT}},
            "max_output_tokens": _CAP,
            "stream": _STREAM,
            "metadata": _METADATA,
        },
    },
    "EmbeddingRequest": {
        "type": "object",
        "required": ["model", "input"],
        "properties": {
            "model": _MODEL,
            "input": {"type": ["string", "array"], "items": _TEXT, "minItems": 1},
            "encoding_format": {"enum": ["float", "base64"]},
            "dimensions": {"type": "integer"},
            "metadata": _METADATA,
        },
    },
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["message", "type", "param", "code"],
                "properties": {
                    "message": _TEXT,
                    "type": _TEXT,
                    "param": {"type": ["string", "null"]},
                    "code": {"type": ["string", "null"]},
                },
            }
        },
    },
}

_REFUSALS = {
    "400": "The request is wrong, or refused by every provider.",
    "401": "No key, or a wrong one.",
    "402": "A budget has no room.",
    "403": "The key is not for this, or no provider may see what is private.",
    "404": "There is no such model.",
    "408": "The body took too long.",
    "413": "The body is too large.",
    "429": "A limit has no room; Retry-After says when.",
    "503": "Every provider failed, or none may be asked for now.",
}


def openapi_document(root_path: str) -> dict[str, Any]:
    """The document.

    Args:
        root_path: The path under which the app is mounted; empty for the server's root.
    """
    posts = {
        "/v1/chat/completions": ("Answer a conversation.", "ChatRequest", True),
        "/v1/responses": ("Answer in OpenAI's newer form.", "ResponseRequest", True),
        "/v1/embeddings": ("Give the vectors of texts.", "EmbeddingRequest", False),
    }
    gets = {
        "/v1/models": "List the names that a request's model may have.",
        "/v1/models/{name}": "Look one of them up.",
    }
    paths: dict[str, Any] = {path: {"post": _post(*said)} for path, said in posts.items()}
    paths |= {path: {"get": _operation(text)} for path, text in gets.items()}
    paths["/v1/models/{name}"]["get"]["parameters"] = [
        {"name": "name", "in": "path", "required": True, "schema": {**_TEXT, "minLength": 1}}
    ]
    bearer = {"type": "http", "scheme": "bearer", "description": "Made by `aegis keys add`."}
    return {
        "openapi": "3.1.0",
        "info": {"title": "aegis", "version": version("aegis-graph")},
        "servers": [{"url": root_path or "/"}],
        "security": [{"key": []}],
        "paths": paths,
        "components": {"securitySchemes": {"key": bearer}, "schemas": _SCHEMAS},
    }


def _post(text: str, schema: str, streams: bool) -> dict[str, Any]:
    reference = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    operation = _operation(text)
    operation["requestBody"] = {"required": True, "content": {"application/json": reference}}
    if streams:
        operation["responses"]["200"]["content"]["text/event-stream"] = {"schema": _TEXT}
    return operation


def _operation(text: str) -> dict[str, Any]:
    error = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    answer = {"description": "Done.", "content": {"application/json": {"schema": _OBJECT}}}
    refusals = {
        status: {"description": what, "content": error} for status, what in _REFUSALS.items()
    }
    return {"summary": text, "responses": {"200": answer, **refusals}}
