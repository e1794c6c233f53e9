"""Which argument of a call a server does not take at all, where its refusal says so.

A value that is out of range is another thing: to send it under another name would not help.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from aegis_graph.providers.error_body import ErrorBody

_CODES = frozenset(
    {
        "extra_forbidden",
        "invalid_parameter_name",
        "unknown_field",
        "unknown_parameter",
        "unrecognized_parameter",
        "unsupported_parameter",
        "unsupported_value",
    }
)
"""Codes of OpenAI and Azure, and pydantic's type of a field that is unknown (Mistral, vLLM, TGI).

OpenAI says ``unsupported_value`` of a model that takes the default of an argument only.
"""

_PHRASES = re.compile(
    r"not (?:supported|permitted|allowed|recognized)|unsupported|unknown|unrecogni[sz]ed"
    r"|unexpected (?:keyword|argument|field|property)|extra (?:inputs|fields)"
    r"|does(?: not|n't) support"
)
"""How messages put it, in lower case, where a code says nothing."""

_NAME = re.compile(r"[A-Za-z_]{1,40}")
_NAMED = re.compile(
    r"\b(max_completion_tokens|max_tokens|parallel_tool_calls|reasoning_effort|response_format"
    r"|stream_options|temperature|tool_choice|top_p)\b"
)
"""Arguments that a message is searched for: the first that it names is the one refused."""

RESPONSE_FORMAT = "response_format"
"""The argument with which a schema is sent."""

_FORM_OF_ANSWERS = re.compile(
    r"response.?format|json.?(?:schema|object|mode)|structured.?output|guided.?(?:json|decoding)|grammar"
)
_ONE_SCHEMA = re.compile(
    r"(?:invalid|unsupported|broken) (?:json )?schema|schema (?:conversion|contains|is invalid)"
    r"|(?:invalid|parse|parsing|compile) (?:the )?grammar"
)
"""How messages, in lower case, name a form of answers that a server has not, and a schema for which
it has it not: another one may be taken."""


def unsupported_parameter(body: ErrorBody) -> str | None:
    """The argument that an error's body says the server does not take.

    Example:
        >>> unsupported_parameter(ErrorBody(text="unrecognized argument: stream_options"))
        'stream_options'
        >>> unsupported_parameter(ErrorBody(text="this response_format type is unavailable now"))
        'response_format'
        >>> unsupported_parameter(ErrorBody(text="max_tokens is too large"))
    """
    if _FORM_OF_ANSWERS.search(body.text):
        return None if _ONE_SCHEMA.search(body.text) else RESPONSE_FORMAT
    coded = any(word.casefold() in _CODES for word in body.words)
    if not coded and not _PHRASES.search(body.text):
        return None
    named = next((name for name in map(_named_by, body.objects) if name), None)
    found = named or _NAMED.search(body.text)
    return found.group() if found else None


def _named_by(fault: Mapping[str, object]) -> re.Match[str] | None:
    param, place = fault.get("param"), fault.get("loc")
    if isinstance(param, str) and param:
        return _NAME.match(param)
    # Pydantic names the way to the field: ("body", "stream_options").
    if isinstance(place, Sequence) and not isinstance(place, str):
        names = [part for part in place if isinstance(part, str) and part != "body"]
        return _NAME.match(names[0]) if names else None
    return None
