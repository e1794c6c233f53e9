"""The words in which Ollama and DashScope refuse, on wires of their own."""

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


def _ollama(message: str) -> Document:
    return {"error": message}


OLLAMA: Mapping[str, Refusal] = {
    "no model": Refusal(404, _ollama('model "m" not found, try pulling it first'), (ACCESS,)),
    "no model, newer": Refusal(404, _ollama("model 'm' not found"), (ACCESS,)),
    "no thinking": Refusal(400, _ollama('"m" does not support thinking'), (BAD, ACCESS)),
    "no tools": Refusal(400, _ollama("registry.ollama.ai/m does not support tools"), (BAD, ACCESS)),
    "too long": Refusal(400, _ollama("the input length exceeds the context length"), (LONG,)),
    "too long, its runner": Refusal(
        500, _ollama("input length exceeds maximum context length"), (LONG, DOWN)
    ),
    "not chat": Refusal(400, _ollama('"m" does not support chat'), (ACCESS, BAD)),
    "memory": Refusal(
        500,
        _ollama("model requires more system memory (9.0 GiB) than is available (4.0 GiB)"),
        (DOWN, ACCESS),
    ),
    "runner": Refusal(500, _ollama("llama runner process has terminated: exit status 2"), (DOWN,)),
    "busy": Refusal(
        503,
        _ollama("server busy, please try again. maximum pending requests exceeded"),
        (DOWN, LIMIT),
    ),
    "unauthorized": Refusal(401, _ollama("unauthorized"), (AUTH,)),
    "cloud limit": Refusal(
        429, _ollama("you have reached your weekly usage limit"), (LIMIT, QUOTA)
    ),
    "cloud payment": Refusal(402, _ollama("payment required"), (QUOTA,)),
    "format": Refusal(400, _ollama("invalid JSON schema in format"), (BAD,)),
    "a table": Refusal(400, {"error": {"message": "bad", "code": 400}}, (BAD,)),
    "StatusError": Refusal(403, {"StatusCode": 403, "error": "forbidden"}, (ACCESS,)),
}
"""What Ollama says."""


def _native(code: object, message: str) -> Document:
    return {"code": code, "message": message, "request_id": "r"}


DASHSCOPE: Mapping[str, Refusal] = {
    "key": Refusal(401, _native("InvalidApiKey", "Invalid API-key provided."), (AUTH,)),
    "length": Refusal(
        400, _native("InvalidParameter", "Range of input length should be [1, 30720]"), (LONG,)
    ),
    "length, newer": Refusal(
        400,
        _native(
            "InvalidParameter",
            "<400> InternalError.Algo.InvalidParameter: Range of input length should be [1, 98304]",
        ),
        (LONG,),
    ),
    "a parameter": Refusal(
        400, _native("InvalidParameter", "Temperature should be in [0, 2)"), (BAD,)
    ),
    "no model": Refusal(404, _native("ModelNotFound", "Model can not be found."), (ACCESS,)),
    "no model, newer": Refusal(400, _native("Model.NotExist", "Model not exist."), (ACCESS,)),
    "access": Refusal(403, _native("AccessDenied", "Access denied."), (ACCESS,)),
    "access to a model": Refusal(
        403, _native("Model.AccessDenied", "Model access denied."), (ACCESS,)
    ),
    "access without purchase": Refusal(
        403, _native("AccessDenied.Unpurchased", "not purchased"), (ACCESS, QUOTA)
    ),
    "free tier": Refusal(403, _native("AllocationQuota.FreeTierOnly", "exhausted"), (QUOTA,)),
    "arrears": Refusal(400, _native("Arrearage", "Access denied, overdue"), (QUOTA,)),
    "unpurchased": Refusal(403, _native("CommodityNotPurchased", "not purchased"), (QUOTA,)),
    "overdue": Refusal(400, _native("PrepaidBillOverdue", "overdue"), (QUOTA,)),
    "overdue afterwards": Refusal(400, _native("PostpaidBillOverdue", "overdue"), (QUOTA,)),
    "throttled": Refusal(429, _native("Throttling", "Requests throttling triggered."), (LIMIT,)),
    "throttled, rate": Refusal(429, _native("Throttling.RateQuota", "rate limit"), (LIMIT,)),
    "throttled, burst": Refusal(429, _native("Throttling.BurstRate", "burst"), (LIMIT,)),
    "throttled, allocation": Refusal(
        429, _native("Throttling.AllocationQuota", "Allocated quota exceeded"), (LIMIT, QUOTA)
    ),
    "inspection": Refusal(400, _native("DataInspectionFailed", "inappropriate content"), (FILTER,)),
    "inspection, snake": Refusal(
        400, _native("data_inspection_failed", "inappropriate"), (FILTER,)
    ),
    "inspection of the input": Refusal(
        400, _native("InternalError.Algo.DataInspectionFailed", "Input data may contain"), (FILTER,)
    ),
    "timeout": Refusal(500, _native("RequestTimeOut", "Request timed out"), (DOWN,)),
    "internal": Refusal(500, _native("InternalError", "An internal error"), (DOWN,)),
    "internal, algorithm": Refusal(500, _native("InternalError.Algo", "inference error"), (DOWN,)),
    "unavailable": Refusal(503, _native("ModelUnavailable", "unavailable"), (DOWN,)),
    "serving": Refusal(503, _native("ModelServingError", "Too many requests"), (DOWN, LIMIT)),
    "url": Refusal(400, _native("InvalidURL", "url error"), (BAD,)),
    "case": Refusal(401, _native("invalidapikey", "Invalid"), (AUTH,)),
    "OpenAI's form": Refusal(401, {"error": {"code": "invalid_api_key", "message": "x"}}, (AUTH,)),
    "a number as code": Refusal(429, _native(429, "limit"), (LIMIT,)),
    "a code that is null": Refusal(400, _native(None, "bad"), (BAD,)),
    "a code that is a list": Refusal(500, _native([], "bad"), (DOWN,)),
    "no code": Refusal(500, {"message": "bad"}, (DOWN,)),
}
"""What DashScope's own wire says."""
