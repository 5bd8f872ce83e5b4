# Answers that survive a page reload and can be stopped, and one stream for many readers.
# Run:  pip install undam fastapi uvicorn && uvicorn --app-dir examples/answers server:app
#       and open http://localhost:8000/ (reload it while an answer arrives, or press Stop) and
#       http://localhost:8000/news.html in several windows.
#       With several processes: pip install 'undam[redis]', and set REDIS_URL.
"""Example server for chat answers with a key and an owner each, and for a broadcast."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated

from fastapi import Cookie, FastAPI, Response
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel

from undam.asgi import Answers, AnswerStatus, AnswerStore, Event, MemoryReplay
from undam.asgi.starlette import EventStreamResponse


def store() -> AnswerStore:
    """Return a store in Redis, or in this process if Redis is not configured."""
    if url := os.environ.get("REDIS_URL"):
        from undam.asgi.redis import RedisReplay  # noqa: PLC0415 (an optional package)

        return RedisReplay(url)
    return MemoryReplay()


answers = Answers(store())
app = FastAPI()


class Question(BaseModel):
    """Question sent by the page."""

    prompt: str


async def tokens(prompt: str, start: int = 0) -> AsyncIterator[Event]:
    """Yield the answer word by word, followed by an ``end`` event."""
    words = [f"{word} " for word in f"You asked: {prompt}. ".split() * 10]
    for word in words[start:]:
        await asyncio.sleep(0.1)
        yield Event(word)
    yield Event("", "end")


@app.post("/answers")
async def ask(question: Question, user: Annotated[str, Cookie()]) -> EventStreamResponse:
    """Start an answer and return its stream. The first event contains the key."""

    def source_from(position: int) -> AsyncIterator[Event]:
        return tokens(question.prompt, position)

    answer = await answers.start(lambda: source_from(0), owner=user, source_from=source_from)
    return EventStreamResponse(answer)


@app.get("/answers/{key}")
async def read(key: str, user: Annotated[str, Cookie()]) -> EventStreamResponse:
    """Continue an answer after the last event ID, after a reload or in another window."""
    return EventStreamResponse(answers.attach(key, owner=user))


@app.get("/answers")
async def unfinished(user: Annotated[str, Cookie()]) -> list[AnswerStatus]:
    """Return the current user's answers, newest first."""
    return await answers.list(owner=user)


@app.delete("/answers/{key}")
async def stop(key: str, user: Annotated[str, Cookie()]) -> bool:
    """Stop an answer, even if another process runs it."""
    return await answers.stop(key, owner=user)


@app.get("/news")
async def news() -> EventStreamResponse:
    """Return the broadcast stream, which all readers share."""
    return EventStreamResponse(answers.subscribe("news"))


@app.post("/news")
async def publish(question: Question) -> str:
    """Send an event to every reader in every process."""
    return await answers.publish("news", {"text": question.prompt})


@app.get("/session")
async def session(response: Response, user: Annotated[str | None, Cookie()] = None) -> None:
    """Assign an ID to a new visitor. In this example, the ID replaces a login."""
    if user is None:
        response.set_cookie("user", secrets.token_urlsafe(), httponly=True, samesite="strict")


_PACKAGE = Path(__file__).parents[2] / "packages" / "undam-stream" / "src"
app.mount("/undam-stream", StaticFiles(directory=_PACKAGE))
app.mount("/", StaticFiles(directory=Path(__file__).parent, html=True))
