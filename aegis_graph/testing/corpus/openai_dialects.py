"""The words in which OpenAI's wire is refused: by OpenAI, and by what copies it."""

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
    ODD,
    QUOTA,
    Refusal,
)


def _openai(code: object, message: str, kind: object = "invalid_request_error") -> Document:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def _vllm(code: int, message: str, kind: str = "BadRequestError") -> Document:
    return {"object": "error", "message": message, "type": kind, "param": None, "code": code}


def _anthropic(kind: str, message: str) -> Document:
    return {"type": "error", "error": {"type": kind, "message": message}}


_LONG_OPENAI = (
    "This model's maximum context length is 4096 tokens. However, your messages resulted in 9000"
    " tokens. Please reduce the length of the messages."
)

OPENAI: Mapping[str, Refusal] = {
    "OpenAI, context": Refusal(400, _openai("context_length_exceeded", _LONG_OPENAI), (LONG,)),
    "OpenAI, string too long": Refusal(
        400, _openai("string_above_max_length", "Invalid 'messages'"), (LONG, BAD)
    ),
    "OpenAI, no model": Refusal(404, _openai("model_not_found", "does not exist"), (ACCESS,)),
    "OpenAI, no model as 400": Refusal(400, _openai("model_not_found", "no such"), (ACCESS,)),
    "OpenAI, key": Refusal(401, _openai("invalid_api_key", "Incorrect API key"), (AUTH,)),
    "OpenAI, no credit": Refusal(
        429,
        _openai("insufficient_quota", "You exceeded your current quota", "insufficient_quota"),
        (QUOTA,),
    ),
    "OpenAI, hard limit": Refusal(
        400, _openai("billing_hard_limit_reached", "hard limit"), (QUOTA,)
    ),
    "OpenAI, tokens a minute": Refusal(
        429, _openai("rate_limit_exceeded", "Rate limit reached for TPM", "tokens"), (LIMIT,)
    ),
    "OpenAI, filter": Refusal(400, _openai("content_policy_violation", "rejected"), (FILTER,)),
    "OpenAI, country": Refusal(
        403,
        _openai("unsupported_country_region_territory", "not supported", "request_forbidden"),
        (ACCESS,),
    ),
    "OpenAI, overloaded": Refusal(503, _openai(None, "overloaded", "server_error"), (DOWN,)),
    "OpenAI, invalid prompt": Refusal(
        400, _openai("invalid_prompt", "Invalid prompt"), (BAD, FILTER)
    ),
    "Azure, filter": Refusal(
        400,
        {
            "error": {
                "message": "The response was filtered",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
        (FILTER,),
    ),
    "Azure, deployment": Refusal(
        404, {"error": {"code": "DeploymentNotFound", "message": "does not exist"}}, (ACCESS,)
    ),
    "Azure, key": Refusal(
        401,
        {"statusCode": 401, "message": "Access denied due to invalid subscription key"},
        (AUTH,),
    ),
    "Azure, limit": Refusal(
        429, {"error": {"code": "429", "message": "Requests have exceeded"}}, (LIMIT,)
    ),
    "llama.cpp, context": Refusal(
        400,
        {
            "error": {
                "code": 400,
                "message": "the request exceeds the available context size",
                "type": "exceed_context_size_error",
                "n_prompt_tokens": 9000,
                "n_ctx": 4096,
            }
        },
        (LONG,),
    ),
    "llama.cpp, key": Refusal(
        401,
        {"error": {"code": 401, "message": "Invalid API Key", "type": "authentication_error"}},
        (AUTH,),
    ),
    "llama.cpp, template": Refusal(
        500,
        {"error": {"code": 500, "message": "Jinja exception", "type": "server_error"}},
        (DOWN, BAD),
    ),
    "vLLM, context": Refusal(400, _vllm(400, _LONG_OPENAI), (LONG,)),
    "vLLM, context in its newer form": Refusal(
        400, {"error": {"message": _LONG_OPENAI, "type": "BadRequestError", "code": 400}}, (LONG,)
    ),
    "vLLM, no model": Refusal(
        404, _vllm(404, "The model `m` does not exist.", "NotFoundError"), (ACCESS,)
    ),
    "vLLM, tools": Refusal(
        400, _vllm(400, '"auto" tool choice requires --enable-auto-tool-choice'), (BAD, ACCESS)
    ),
    "FastAPI, validation": Refusal(
        422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}, (BAD,)
    ),
    "FastAPI, text": Refusal(404, {"detail": "Not Found"}, (ACCESS,)),
    "Groq, too large": Refusal(
        413,
        _openai(
            "rate_limit_exceeded",
            "Request too large for model on tokens per minute (TPM)",
            "tokens",
        ),
        (LIMIT, LONG),
    ),
    "Groq, a failed tool call": Refusal(
        400,
        _openai("tool_use_failed", "Failed to call a function", "invalid_request_error"),
        (BAD, ODD, "UnfitAnswerError"),
    ),
    "Groq, a model that is gone": Refusal(
        400, _openai("model_decommissioned", "has been decommissioned"), (ACCESS,)
    ),
    "OpenRouter, credit": Refusal(
        402, {"error": {"code": 402, "message": "Insufficient credits"}}, (QUOTA,)
    ),
    "OpenRouter, can only afford": Refusal(
        402,
        {
            "error": {
                "code": 402,
                "message": "You requested up to 4096 tokens, but can only afford 1200",
            }
        },
        (QUOTA, BAD, LONG),
    ),
    "OpenRouter, moderation": Refusal(
        403,
        {"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}},
        (FILTER,),
    ),
    "OpenRouter, no tools": Refusal(
        404,
        {"error": {"code": 404, "message": "No endpoints found that support tool use"}},
        (ACCESS, BAD),
    ),
    "OpenRouter, upstream": Refusal(
        502, {"error": {"code": 502, "message": "Provider returned error"}}, (DOWN,)
    ),
    "OpenRouter, policy": Refusal(
        404,
        {"error": {"code": 404, "message": "No endpoints found matching your data policy"}},
        (ACCESS,),
    ),
    "Anthropic, too long": Refusal(
        400,
        _anthropic("invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
        (LONG,),
    ),
    "Anthropic, too large": Refusal(413, _anthropic("request_too_large", "exceeds"), (LONG, BAD)),
    "Anthropic, credit": Refusal(
        400,
        _anthropic("invalid_request_error", "Your credit balance is too low to access the API"),
        (QUOTA,),
    ),
    "Anthropic, key": Refusal(
        401, _anthropic("authentication_error", "invalid x-api-key"), (AUTH,)
    ),
    "Anthropic, permission": Refusal(
        403, _anthropic("permission_error", "no permission"), (ACCESS,)
    ),
    "Anthropic, no model": Refusal(404, _anthropic("not_found_error", "model: m"), (ACCESS,)),
    "Anthropic, limit": Refusal(
        429, _anthropic("rate_limit_error", "Number of requests"), (LIMIT,)
    ),
    "Anthropic, overloaded": Refusal(
        529, _anthropic("overloaded_error", "Overloaded"), (DOWN, LIMIT)
    ),
    "Anthropic, api error": Refusal(500, _anthropic("api_error", "Internal server error"), (DOWN,)),
}
"""What OpenAI, Azure, Anthropic and the servers and gateways that copy OpenAI's wire say."""
