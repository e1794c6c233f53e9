"""Errors as providers send them: the status, the headers and the body, and what is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from aegis_graph.errors import (
    AuthenticationError,
    BadRequestError,
    ContentRefusedError,
    ContextTooLongError,
    ModelAccessError,
    ModelLoadingError,
    ProviderError,
    ProviderUnavailableError,
    QuotaError,
    RateLimitError,
    UnfitAnswerError,
)

Remembered = Literal["at once", "by a second request", "never"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One refusal, and what becomes of it."""

    status: int | None
    """``None`` for an error inside an answer of status 200."""
    body: Any
    """JSON, or a text that is none."""
    error: type[ProviderError]
    remembered: Remembered = "never"
    """Whether the key or the model is left alone because of it."""
    again_s: float | None = None
    """Seconds after which the same provider is asked again; ``None``: the next one is asked."""
    basis: Literal["none", "held"] = "none"
    headers: Mapping[str, str] = field(default_factory=dict)
    kind: str = "openai"


def of_error(message: str, **fields: Any) -> dict[str, Any]:
    """An error object of OpenAI's dialect."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, **fields}}


LONG = "This model's maximum context length is 4096 tokens. However, you requested 9000 tokens"
DETAIL = {"detail": [{"loc": ["body", "messages"], "msg": "Field required", "type": "missing"}]}
GOOGLE = "type.googleapis.com/google.rpc"
HTML = "<html><head><title>{0}</title></head><body><center><h1>{0}</h1></center></body></html>"
AFFORD = "This request requires more credits, or fewer max_tokens. You can only afford 1200"
TPM = "Request too large for model `m` on tokens per minute (TPM): Limit 6000, Requested 9000"

OPENAI: Mapping[str, Sample] = {
    "too long": Sample(400, of_error(LONG, code="context_length_exceeded"), ContextTooLongError),
    "content": Sample(400, of_error("no", code="content_policy_violation"), ContentRefusedError),
    "parameter": Sample(400, of_error("no", code="unsupported_parameter"), BadRequestError),
    "bare 400": Sample(400, of_error("no"), BadRequestError),
    "key": Sample(401, of_error("no", code="invalid_api_key"), AuthenticationError, "at once"),
    "country": Sample(
        403,
        of_error("no", code="unsupported_country_region_territory", type="request_forbidden"),
        ModelAccessError,
        "at once",
    ),
    "bare 403": Sample(403, of_error("no"), ModelAccessError, "by a second request"),
    "model": Sample(404, of_error("no", code="model_not_found"), ModelAccessError, "at once"),
    "requests": Sample(
        429,
        of_error("slow", code="rate_limit_exceeded", type="requests"),
        RateLimitError,
        again_s=1,
    ),
    "quota": Sample(
        429,
        of_error("no", code="insufficient_quota", type="insufficient_quota"),
        QuotaError,
        "at once",
    ),
    "500": Sample(500, of_error("no", type="server_error"), ProviderUnavailableError, again_s=1),
    "503": Sample(503, of_error("no", code="slow_down"), ProviderUnavailableError, again_s=1),
    "not again": Sample(
        500, of_error("no"), ProviderUnavailableError, headers={"x-should-retry": "false"}
    ),
    "tokens": Sample(
        429,
        of_error("slow", code="rate_limit_exceeded", type="tokens"),
        RateLimitError,
        again_s=6.5,
        headers={
            "x-ratelimit-remaining-requests": "9",
            "x-ratelimit-reset-requests": "1h0m0s",
            "x-ratelimit-remaining-tokens": "0",
            "x-ratelimit-reset-tokens": "6s500ms",
        },
    ),
}

AZURE: Mapping[str, Sample] = {
    "content": Sample(
        400,
        of_error(
            "The response was filtered",
            code="content_filter",
            status=400,
            innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": {}},
        ),
        ContentRefusedError,
    ),
    "deployment": Sample(
        404, {"error": {"code": "DeploymentNotFound", "message": "no"}}, ModelAccessError, "at once"
    ),
    "429": Sample(
        429,
        {"error": {"code": "429", "message": "Please retry after 7 seconds."}},
        RateLimitError,
        again_s=7,
    ),
    "429 in ms": Sample(
        429,
        {"error": {"code": "429", "message": "Slow down."}},
        RateLimitError,
        again_s=2.5,
        headers={"retry-after-ms": "2500", "retry-after": "3"},
    ),
}

OPENROUTER: Mapping[str, Sample] = {
    "afford": Sample(402, {"error": {"code": 402, "message": AFFORD}}, QuotaError),
    "no credit": Sample(
        402,
        {"error": {"code": 402, "message": "Insufficient credits"}},
        QuotaError,
        "by a second request",
    ),
    "moderation": Sample(
        403,
        {
            "error": {
                "code": 403,
                "message": "no",
                "metadata": {"reasons": ["violence"], "flagged_input": "..."},
            }
        },
        ContentRefusedError,
    ),
    "no tools": Sample(
        404,
        {"error": {"code": 404, "message": "No endpoints found that support tool use"}},
        BadRequestError,
    ),
    "no model": Sample(
        404,
        {"error": {"code": 404, "message": "No endpoints found for m"}},
        ModelAccessError,
        "by a second request",
    ),
    "raw": Sample(
        400,
        {
            "error": {
                "code": 400,
                "message": "Provider returned error",
                "metadata": {"raw": '{"error":{"code":"context_length_exceeded"}}'},
            }
        },
        ContextTooLongError,
    ),
    "429 of a key": Sample(
        429,
        {
            "error": {
                "code": 429,
                "message": "Rate limit exceeded",
                "metadata": {"headers": {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"}},
            }
        },
        RateLimitError,
        again_s=12,
    ),
    "429 in 200": Sample(
        None, {"error": {"message": "Rate limit", "code": 429}}, RateLimitError, again_s=1
    ),
    "502 in 200": Sample(
        None, {"error": {"message": "no", "code": 502}}, ProviderUnavailableError, basis="held"
    ),
    "503 in 200": Sample(
        None, {"error": {"message": "no", "code": "503"}}, ProviderUnavailableError, again_s=1
    ),
    "402 in 200": Sample(None, {"error": {"code": 402, "message": AFFORD}}, QuotaError),
    "unknown in 200": Sample(
        None, {"error": {"message": "Oops"}}, ProviderUnavailableError, basis="held"
    ),
}

OTHER_CLOUDS: Mapping[str, Sample] = {
    "xai key as 400": Sample(
        400,
        {"code": "Client specified an invalid argument", "error": "Incorrect API key provided"},
        AuthenticationError,
        "by a second request",
    ),
    "groq 413": Sample(
        413, of_error(TPM, type="tokens", code="rate_limit_exceeded"), ContextTooLongError
    ),
    "groq 413 reworded": Sample(
        413, of_error("too much", type="tokens", code="rate_limit_exceeded"), ContextTooLongError
    ),
    "groq 429": Sample(
        429,
        of_error("Please try again in 7.66s. Visit", type="tokens", code="rate_limit_exceeded"),
        RateLimitError,
        again_s=7.66,
    ),
    "groq tool": Sample(400, of_error("no", code="tool_use_failed"), UnfitAnswerError),
    "groq flex": Sample(498, of_error("no", code="capacity_exceeded"), RateLimitError, again_s=1),
    "mistral model": Sample(
        400,
        {"object": "error", "message": "no", "type": "invalid_model", "code": "1500"},
        ModelAccessError,
        "at once",
    ),
    "mistral 429": Sample(
        429, {"message": "Requests rate limit exceeded"}, RateLimitError, again_s=1
    ),
    "mistral too long": Sample(
        400,
        {
            "object": "error",
            "message": "Prompt contains 40000 tokens, too large for model with "
            "32768 maximum context length",
            "type": "invalid_request_error",
            "code": "3051",
        },
        ContextTooLongError,
    ),
    "deepseek balance": Sample(
        402,
        of_error("Insufficient Balance", type="unknown_error", code="invalid_request_error"),
        QuotaError,
        "by a second request",
    ),
    "deepseek key": Sample(
        401,
        of_error("no", type="authentication_error", code="invalid_request_error"),
        AuthenticationError,
        "at once",
    ),
    "together 429": Sample(429, of_error("no", type="model_rate_limit"), RateLimitError, again_s=1),
    "moonshot quota": Sample(
        429, of_error("no", type="exceeded_current_quota_error"), QuotaError, "at once"
    ),
    "anthropic too long": Sample(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "prompt is too long: 210000 tokens > 200000 maximum",
            },
        },
        ContextTooLongError,
    ),
    "anthropic no credit": Sample(
        400,
        {
            "type": "error",
            "error": {
                "type": "invalid_request_error",
                "message": "Your credit balance is too low to access the Anthropic API.",
            },
        },
        QuotaError,
        "by a second request",
    ),
    "anthropic large": Sample(
        413, {"type": "error", "error": {"type": "request_too_large"}}, ContextTooLongError
    ),
    "anthropic overloaded": Sample(
        529,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ProviderUnavailableError,
        again_s=1,
    ),
    "anthropic overloaded in 200": Sample(
        None,
        {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}},
        ProviderUnavailableError,
        again_s=1,
    ),
    "anthropic 429": Sample(
        429,
        {"type": "error", "error": {"type": "rate_limit_error"}},
        RateLimitError,
        again_s=20,
        headers={
            "date": "Wed, 21 Oct 2026 07:28:00 GMT",
            "anthropic-ratelimit-requests-remaining": "0",
            "anthropic-ratelimit-requests-reset": "2026-10-21T07:28:20Z",
        },
    ),
    "gemini key": Sample(
        400,
        [
            {
                "error": {
                    "code": 400,
                    "status": "INVALID_ARGUMENT",
                    "message": "API key not valid.",
                    "details": [{"@type": f"{GOOGLE}.ErrorInfo", "reason": "API_KEY_INVALID"}],
                }
            }
        ],
        AuthenticationError,
        "at once",
    ),
    "gemini too long": Sample(
        400,
        {
            "error": {
                "code": 400,
                "status": "INVALID_ARGUMENT",
                "message": "The input token count "
                "(1200000) exceeds the maximum number of tokens allowed (1048576).",
            }
        },
        ContextTooLongError,
    ),
    "gemini 429": Sample(
        429,
        {
            "error": {
                "code": 429,
                "status": "RESOURCE_EXHAUSTED",
                "message": "no",
                "details": [{"@type": f"{GOOGLE}.RetryInfo", "retryDelay": "34s"}],
            }
        },
        RateLimitError,
        again_s=34,
    ),
    "gemini 503": Sample(
        503, {"error": {"code": 503, "status": "UNAVAILABLE"}}, ProviderUnavailableError, again_s=1
    ),
    "gemini place": Sample(
        400, {"error": {"code": 400, "status": "FAILED_PRECONDITION"}}, ModelAccessError, "at once"
    ),
    "bedrock throttled": Sample(
        400, {"Error": {"Code": "ThrottlingException", "Message": "no"}}, RateLimitError, again_s=1
    ),
    "bedrock key": Sample(
        403,
        {"Error": {"Code": "UnrecognizedClientException", "Message": "no"}},
        AuthenticationError,
        "at once",
    ),
    "bedrock too long": Sample(
        400,
        {"Error": {"Code": "ValidationException", "Message": "Input is too long for requested m"}},
        ContextTooLongError,
    ),
    "dashscope too long": Sample(
        400,
        {"code": "InvalidParameter", "message": "Range of input length should be [1, 30720]"},
        ContextTooLongError,
        kind="dashscope",
    ),
    "dashscope too long, newer": Sample(
        400,
        {
            "code": "InvalidParameter",
            "message": "<400> InternalError.Algo.InvalidParameter: Range of input length should be",
        },
        ContextTooLongError,
        kind="dashscope",
    ),
    "dashscope's other protocol": Sample(
        400, of_error("no", code="Arrearage", type="Arrearage"), QuotaError, "at once"
    ),
    "xai too long": Sample(
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "This model's maximum prompt "
            "length is 131072 but the request contains 200000 tokens.",
        },
        ContextTooLongError,
    ),
    "dashscope arrears": Sample(
        400, {"code": "Arrearage", "message": "no"}, QuotaError, "at once", kind="dashscope"
    ),
    "dashscope throttled": Sample(
        429,
        {"code": "Throttling.RateQuota", "message": "no"},
        RateLimitError,
        again_s=1,
        kind="dashscope",
    ),
}

SERVERS: Mapping[str, Sample] = {
    "vllm too long": Sample(
        400,
        {"object": "error", "message": LONG, "type": "BadRequestError", "code": 400},
        ContextTooLongError,
    ),
    "vllm nested": Sample(
        400,
        of_error(
            "The decoder prompt (length 9000) is longer than the maximum model length of 4096",
            type="BadRequestError",
            code=400,
        ),
        ContextTooLongError,
    ),
    "vllm model": Sample(
        404,
        {
            "object": "error",
            "message": "The model `m` does not exist.",
            "type": "NotFoundError",
            "param": None,
            "code": 404,
        },
        ModelAccessError,
        "by a second request",
    ),
    "llama.cpp too long": Sample(
        400,
        {
            "error": {
                "code": 400,
                "type": "exceed_context_size_error",
                "message": "no",
                "n_prompt_tokens": 9000,
                "n_ctx": 4096,
            }
        },
        ContextTooLongError,
    ),
    "llama.cpp loading": Sample(
        503,
        {"error": {"code": 503, "type": "unavailable_error", "message": "Loading model"}},
        # Waited for within the attempt; when that was in vain, the next provider is asked.
        ModelLoadingError,
    ),
    "Hugging Face loading": Sample(
        503,
        {"error": "Model Qwen/Qwen3-8B is currently loading", "estimated_time": 20.0},
        ModelLoadingError,
    ),
    "Triton loading": Sample(
        503, {"error": "Model with name qwen is not ready."}, ModelLoadingError
    ),
    "Ollama loading": Sample(
        500, {"error": "unexpected server status: llm server loading model"}, ModelLoadingError
    ),
    "llama.cpp 501": Sample(
        501,
        {"error": {"code": 501, "type": "not_supported_error", "message": "no"}},
        BadRequestError,
    ),
    "ollama no tools": Sample(
        400,
        {"error": "registry.ollama.ai/library/m does not support tools"},
        BadRequestError,
        kind="ollama",
    ),
    "ollama no thinking": Sample(
        400, {"error": '"m" does not support thinking'}, BadRequestError, kind="ollama"
    ),
    "ollama no model": Sample(
        404,
        {"error": "model 'm' not found"},
        ModelAccessError,
        "by a second request",
        kind="ollama",
    ),
    "ollama too long": Sample(
        400,
        {"error": "the input length exceeds the context length"},
        ContextTooLongError,
        kind="ollama",
    ),
    "ollama busy": Sample(
        503,
        {"error": "server busy, please try again. maximum pending requests exceeded"},
        ProviderUnavailableError,
        again_s=4,
        headers={"retry-after": "4"},
        kind="ollama",
    ),
    "lm studio": Sample(
        400,
        {
            "error": "Trying to keep the first 5000 tokens when context the overflows. However, "
            "the model is loaded with context length of only 4096 tokens"
        },
        ContextTooLongError,
    ),
    "tgi": Sample(
        422,
        {
            "error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. "
            "Given: 9000 `inputs` tokens and 20 `max_new_tokens`",
            "error_type": "validation",
        },
        ContextTooLongError,
    ),
    "fastapi": Sample(422, DETAIL, BadRequestError),
    "fastapi text": Sample(403, {"detail": "Forbidden"}, ModelAccessError, "by a second request"),
    "litellm too long": Sample(
        400,
        of_error("litellm.ContextWindowExceededError: litellm.BadRequestError: no", code="400"),
        ContextTooLongError,
    ),
    "litellm budget": Sample(
        400, of_error("no", type="budget_exceeded", code="400"), QuotaError, "at once"
    ),
    "litellm key": Sample(
        401, of_error("no", type="auth_error", code="401"), AuthenticationError, "at once"
    ),
    "a key as 400": Sample(
        400, of_error("no", type="authentication_error"), AuthenticationError, "at once"
    ),
    "nginx 413": Sample(413, HTML.format("413 Request Entity Too Large"), BadRequestError),
    "nginx 502": Sample(502, HTML.format("502 Bad Gateway"), ProviderUnavailableError, again_s=1),
    "cloudflare 403": Sample(
        403,
        HTML.format("Attention Required! | Cloudflare: you have been blocked by our policy"),
        ModelAccessError,
        "by a second request",
    ),
    "cloudflare 524": Sample(524, HTML.format("timeout"), ProviderUnavailableError, again_s=1),
    "github 403": Sample(
        403, {"message": "API rate limit exceeded for user ID 1."}, RateLimitError, again_s=1
    ),
    "a text in 200": Sample(None, {"error": "rate limit exceeded"}, RateLimitError, again_s=1),
    "a status beside a text in 200": Sample(
        None, {"StatusCode": 429, "Status": "429", "error": "no"}, RateLimitError, again_s=1
    ),
    "vllm in a stream": Sample(
        None,
        {"object": "error", "message": LONG, "type": "BadRequestError", "code": 400},
        ContextTooLongError,
    ),
    "a crash in 200": Sample(
        None, {"error": "model runner has stopped"}, ProviderUnavailableError, basis="held"
    ),
    "empty 400": Sample(400, "", BadRequestError),
    "405": Sample(405, "Method Not Allowed", ModelAccessError, "by a second request"),
    "409": Sample(409, of_error("no"), ProviderUnavailableError, again_s=1),
    "418": Sample(418, "I'm a teapot", BadRequestError),
}

SAMPLES: Mapping[str, Sample] = {
    f"{group} {name}": sample
    for group, samples in (
        ("openai", OPENAI),
        ("azure", AZURE),
        ("openrouter", OPENROUTER),
        ("cloud", OTHER_CLOUDS),
        ("server", SERVERS),
    )
    for name, sample in samples.items()
}
