# A chat endpoint for OpenAI clients, with a stub model or a real model through openai-python.
# Run:  pip install undam fastapi uvicorn openai && uvicorn --app-dir examples fastapi_chat:app
#       (set OPENAI_BASE_URL and OPENAI_API_KEY to use a real model), and then:
#       curl -N localhost:8000/v1/chat/completions --json '{"messages": [], "stream": true}'
"""A FastAPI application that sends its answers token by token."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel

from undam.asgi import Finish, OpenAIAnswer, Usage
from undam.asgi.fastapi import EventStreamRoute
from undam.asgi.starlette import EventStreamResponse


class Chat(BaseModel):
    """The fields of an OpenAI chat request that this example uses."""

    messages: list[dict[str, Any]]
    model: str = "stub"
    stream: Literal[True] = True  # other requests are rejected


async def ask_stub(chat: Chat) -> AsyncIterator[str | Usage]:
    """Yield numbers, one every 20 ms."""
    for number in range(1, 61):
        await asyncio.sleep(0.02)
        yield f"{number}, " if number < 60 else f"{number}."
    yield Usage(prompt_tokens=len(chat.messages), completion_tokens=60)


async def ask_upstream(chat: Chat) -> AsyncIterator[str | Finish]:
    """Relay the answer of the model at OPENAI_BASE_URL; a disconnect cancels the request."""
    key = os.environ.get("OPENAI_API_KEY", "none")
    messages: Any = chat.messages
    async with AsyncOpenAI(api_key=key) as client:
        chunks = await client.chat.completions.create(
            model=chat.model, messages=messages, stream=True
        )
        async with chunks:
            async for chunk in chunks:
                for choice in chunk.choices:
                    if choice.delta.content:
                        yield choice.delta.content
                    if choice.finish_reason:
                        yield Finish(choice.finish_reason)


app = FastAPI()
app.router.route_class = EventStreamRoute
ask = ask_upstream if os.environ.get("OPENAI_BASE_URL") else ask_stub


@app.post("/v1/chat/completions")
async def complete(chat: Chat) -> EventStreamResponse:
    """Stream the answer, with heartbeats while the model is silent."""
    return EventStreamResponse(ask(chat), openai=OpenAIAnswer(model=chat.model))
