# A chat endpoint for OpenAI clients, with a stub model or a real model through openai-python.
# Run:  pip install undam fastapi uvicorn openai && uvicorn --app-dir examples fastapi_chat:app
#       (set OPENAI_BASE_URL and OPENAI_API_KEY to use a real model), and then:
#       curl -N localhost:8000/v1/chat/completions --json '{"messages": [], "stream": true}'
"""FastAPI application that sends its answers token by token."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import FastAPI
from openai import AsyncOpenAI
from pydantic import BaseModel, ConfigDict

from undam.asgi import OpenAIAnswer, Usage
from undam.asgi.fastapi import EventStreamRoute
from undam.asgi.starlette import EventStreamResponse, relay


class Chat(BaseModel):
    """OpenAI chat request. Fields that are not declared here are forwarded to the upstream."""

    model_config = ConfigDict(extra="allow")

    messages: list[dict[str, Any]]
    model: str = "stub"
    stream: Literal[True] = True  # requests without stream=true are rejected


async def ask_stub(chat: Chat) -> AsyncIterator[str | Usage]:
    """Yield numbers, one every 20 ms."""
    for number in range(1, 61):
        await asyncio.sleep(0.02)
        yield f"{number}, " if number < 60 else f"{number}."
    yield Usage(prompt_tokens=len(chat.messages), completion_tokens=60)


app = FastAPI()
app.router.route_class = EventStreamRoute
upstream = AsyncOpenAI(max_retries=0) if os.environ.get("OPENAI_BASE_URL") else None


@app.post("/v1/chat/completions")
async def complete(chat: Chat) -> EventStreamResponse:
    """Stream the answer, and send heartbeats while the model sends nothing."""
    if upstream is None:
        return EventStreamResponse(ask_stub(chat), openai=OpenAIAnswer(model=chat.model))
    body: Any = chat.model_dump(exclude_unset=True) | {"stream": True}
    client = upstream
    # Tool calls, reasoning and usage are forwarded unchanged. A 429 from the upstream is returned
    # to the client as a 429.
    return relay(lambda: client.chat.completions.create(**body))
