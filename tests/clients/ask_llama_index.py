# mypy: ignore-errors
"""Asks the server with LlamaIndex: an answer, a stream, a tool."""

import json
import os
import sys

from llama_index.core.llms import ChatMessage
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike

model = OpenAILike(
    model="auto",
    api_base=sys.argv[1],
    api_key=os.environ["KEY"],
    is_chat_model=True,
    is_function_calling_model=True,
    max_retries=0,
)
ASK = [ChatMessage(role="user", content="Where is the Louvre?")]


def weather(city: str) -> str:
    """Say what the weather is."""
    return f"sun in {city}"


tool = FunctionTool.from_defaults(weather)
whole = model.chat(ASK)
stream = "".join(piece.delta or "" for piece in model.stream_chat(ASK))
called = model.chat_with_tools([tool], user_msg="How is it?")
(call,) = model.get_tool_calls_from_response(called)
print(
    json.dumps(
        {
            "text": whole.message.content,
            "stream": stream,
            "tool": call.tool_name,
            "args": call.tool_kwargs,
        }
    )
)
