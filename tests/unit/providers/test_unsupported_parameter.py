"""Which argument a refusal says that the server does not take."""

from __future__ import annotations

import pytest

from aegis_graph.providers.error_body import read_error_body
from aegis_graph.providers.unsupported_parameter import unsupported_parameter

OPENAI = {
    "error": {
        "message": "Unsupported parameter: 'max_tokens' is not supported with this model. Use"
        " 'max_completion_tokens' instead.",
        "type": "invalid_request_error",
        "param": "max_tokens",
        "code": "unsupported_parameter",
    }
}
TEMPERATURE = {
    "error": {
        "message": "Unsupported value: 'temperature' does not support 0.2 with this model. Only the"
        " default (1) value is supported.",
        "param": "temperature",
        "code": "unsupported_value",
    }
}
MISTRAL = {
    "object": "error",
    "message": {
        "detail": [
            {
                "type": "extra_forbidden",
                "loc": ["body", "max_completion_tokens"],
                "msg": "Extra inputs are not permitted",
            }
        ]
    },
    "type": "invalid_request_error",
}


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (OPENAI, "max_tokens"),
        (OPENAI["error"], "max_tokens"),
        ({"error": {"code": "unsupported_parameter", "param": "max_tokens"}}, "max_tokens"),
        (TEMPERATURE, "temperature"),
        (MISTRAL, "max_completion_tokens"),
        (
            {"detail": [{"type": "extra_forbidden", "loc": ["body", "stream_options"]}]},
            "stream_options",
        ),
        (
            {"error": {"message": "Unrecognized request argument supplied: stream_options"}},
            "stream_options",
        ),
        (
            {"object": "error", "message": "response_format is not supported", "code": 400},
            "response_format",
        ),
        ({"error": "unknown field `stream_options`, expected one of `model`"}, "stream_options"),
        (
            {"error": {"message": "Unknown parameter: 'response_format.json_schema'."}},
            "response_format",
        ),
        (
            {"error": {"code": "unknown_parameter", "param": "response_format.type"}},
            "response_format",
        ),
    ],
)
def test_the_argument_that_a_server_does_not_know_is_named(body: object, name: str) -> None:
    assert unsupported_parameter(read_error_body(body)) == name


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "max_tokens is too large: 5000", "param": "max_tokens"}},
        {"error": {"message": "max_tokens must be at least 1", "code": "invalid_value"}},
        {"error": {"message": "This model's maximum context length is 4096 tokens"}},
        {"error": {"message": "tools are not supported"}},
        {"error": {"message": "Invalid schema for response_format 'City': In context=()"}},
        {"error": {"message": "JSON schema conversion failed: unsupported pattern"}},
        {"error": {"message": "Failed to parse grammar"}},
        {"error": None, "detail": {"loc": 3}, "message": ["x", 1, None]},
        "<html>not supported</html>",
        None,
        [],
        7,
    ],
)
def test_a_value_out_of_range_and_anything_else_names_none(body: object) -> None:
    assert unsupported_parameter(read_error_body(body)) is None
