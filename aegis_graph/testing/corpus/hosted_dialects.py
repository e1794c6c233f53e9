"""The words in which hosted models refuse on OpenAI's wire, each in a dialect of its own."""

from __future__ import annotations

from collections.abc import Mapping

from aegis_graph.testing.corpus.changes import Document
from aegis_graph.testing.corpus.refusals import (
    ACCESS,
    AUTH,
    BAD,
    DOWN,
    FILTER,
    LIMIT,
    LONG,
    QUOTA,
    Refusal,
)


def _openai(code: object, message: str, kind: object = "invalid_request_error") -> Document:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _google(code: int, status: str, message: str) -> Document:
    return {"error": {"code": code, "message": message, "status": status}}


HOSTED: Mapping[str, Refusal] = {
    "Gemini, key as 400": Refusal(
        400,
        _google(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
        (AUTH,),
    ),
    "Gemini, key in a list": Refusal(
        400,
        {
            "": [],
            "error": {
                **_google(400, "INVALID_ARGUMENT", "API key not valid.")["error"],
                "details": [{"reason": "API_KEY_INVALID"}],
            },
        },
        (AUTH,),
    ),
    "Gemini, too long": Refusal(
        400,
        _google(
            400,
            "INVALID_ARGUMENT",
            "The input token count (9000) exceeds the maximum number of tokens allowed (4096).",
        ),
        (LONG,),
    ),
    "Gemini, exhausted": Refusal(429, _google(429, "RESOURCE_EXHAUSTED", "quota"), (LIMIT, QUOTA)),
    "Gemini, permission": Refusal(403, _google(403, "PERMISSION_DENIED", "denied"), (ACCESS, AUTH)),
    "Gemini, billing": Refusal(
        400, _google(400, "FAILED_PRECONDITION", "User location is not supported"), (ACCESS, BAD)
    ),
    "Gemini, overloaded": Refusal(503, _google(503, "UNAVAILABLE", "overloaded"), (DOWN,)),
    "Mistral, key": Refusal(401, {"message": "Unauthorized", "request_id": "r"}, (AUTH,)),
    "Mistral, too long": Refusal(
        400,
        {
            "object": "error",
            "message": "Prompt contains 40000 tokens,"
            " too large for model with 32768 maximum context length",
            "type": "invalid_request_prompt",
            "code": "3051",
        },
        (LONG,),
    ),
    "Mistral, capacity": Refusal(
        429,
        {"object": "error", "message": "Service tier capacity exceeded", "code": "3505"},
        (LIMIT,),
    ),
    "DeepSeek, balance": Refusal(
        402, _openai("invalid_request_error", "Insufficient Balance", "unknown_error"), (QUOTA,)
    ),
    "xAI, key as 400": Refusal(
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided"},
        (AUTH,),
    ),
    "xAI, too long": Refusal(
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt length is 131072"
            " but the request contains 200000 tokens.",
        },
        (LONG,),
    ),
    "Cohere, no tokens": Refusal(
        400,
        {"message": "too many tokens: total number of tokens in the prompt exceeds the limit"},
        (LONG,),
    ),
    "Bedrock, too long": Refusal(
        400, {"message": "Input is too long for requested model."}, (LONG,)
    ),
    "Bedrock, throttled": Refusal(
        429, {"__type": "ThrottlingException", "message": "Too many requests"}, (LIMIT,)
    ),
    "LM Studio, context": Refusal(
        400,
        {
            "error": "Trying to keep the first 5000 tokens when context the overflows."
            " However, the model is loaded with context length of only 4096 tokens"
        },
        (LONG,),
    ),
    "Together, too long": Refusal(
        422,
        _openai(
            None,
            "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193."
            " Given: 9000 `inputs` tokens",
        ),
        (LONG, BAD),
    ),
    "DashScope, length": Refusal(
        400,
        _openai("invalid_parameter_error", "Range of input length should be [1, 30720]"),
        (LONG,),
    ),
    "DashScope, arrears": Refusal(
        400,
        _openai("Arrearage", "Access denied, please make sure your account is in good standing."),
        (QUOTA,),
    ),
    "DashScope, inspection": Refusal(
        400, _openai("data_inspection_failed", "inappropriate content"), (FILTER,)
    ),
    "a proxy, expired": Refusal(401, {"error": "token expired"}, (AUTH,)),
    "a proxy, budget": Refusal(
        400,
        _openai(
            "400", "Budget has been exceeded! Current cost: 1, Max budget: 1", "budget_exceeded"
        ),
        (QUOTA,),
    ),
}
"""What the providers of hosted models, and proxies before them, say."""
