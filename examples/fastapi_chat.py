# A chat endpoint that any OpenAI client can read: a stub, or a model behind it with openai-python.
# Run:  pip install undam fastapi uvicorn openai && uvicorn --app-dir examples fastapi_chat:app
#       (OPENAI_BASE_URL and OPENAI_API_KEY put a real model behind it) and then:
#       curl -N localhost:8000/v1/chat/completions --json '{"messages": [], "stream": true}'
"""A FastAPI application whose answers leave token by token."""

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
    """What is used of an OpenAI chat request."""

    messages: list[dict[str, Any]]
    model: str = "stub"
    stream: Literal[True] = True  # a request for a whole answer is refused


async def ask_stub(chat: Chat) -> AsyncIterator[str | Usage]:
    """A model that counts, a word each 20 ms."""
    for number in range(1, 61):
        await asyncio.sleep(0.02)
        yield f"{number}, " if number < 60 else f"{number}."
    yield Usage(prompt_tokens=len(chat.messages), completion_tokens=60)


async def ask_upstream(chat: Chat) -> AsyncIterator[str | Finish]:
    """The answer of the model at OPENAI_BASE_URL; when the reader leaves, the model learns it."""
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
