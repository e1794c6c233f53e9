# mypy: ignore-errors
"""Asks the server with LiteLLM: an answer, a stream, a tool, a schema, vectors, a refusal."""

import json
import os
import sys

import litellm

litellm.telemetry = False
litellm.suppress_debug_info = True
URL = sys.argv[1]
AT = {"api_base": URL, "api_key": os.environ["KEY"], "num_retries": 0, "max_retries": 0}
ASK = [{"role": "user", "content": "Where is the Louvre?"}]
TOOL = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}

whole = litellm.completion(model="openai/auto", messages=ASK, **AT)
stream = litellm.completion(model="openai/fast", messages=ASK, stream=True, **AT)
called = litellm.completion(model="openai/auto", messages=ASK, tools=[TOOL], **AT)
schema = {"name": "city", "schema": {"type": "object", "properties": {"name": {"type": "string"}}}}
form = {"type": "json_schema", "json_schema": schema}
found = {
    "text": whole.choices[0].message.content,
    "tokens": whole.usage.total_tokens,
    "stream": "".join(piece.choices[0].delta.content or "" for piece in stream),
    "tool": called.choices[0].message.tool_calls[0].function.name,
    "parsed": json.loads(
        litellm.completion(model="openai/auto", messages=ASK, response_format=form, **AT)
        .choices[0]
        .message.content
    ),
    "vectors": len(
        litellm.embedding(model="openai/vectors", input=["a", "b"], **AT).data,
    ),
}
try:
    litellm.completion(model="openai/gpt-9", messages=ASK, **AT)
except litellm.NotFoundError as error:
    found["refusal"] = error.status_code
print(json.dumps(found))
