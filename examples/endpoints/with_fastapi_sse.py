"""Same endpoints as in with_undam.py, written with fastapi.sse; see docs/endpoints.md."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import Depends, FastAPI, HTTPException
from fastapi.encoders import jsonable_encoder
from fastapi.sse import EventSourceResponse, ServerSentEvent
from langchain_core.load import dumpd
from langgraph.graph.state import CompiledStateGraph
from openai import APIStatusError, AsyncOpenAI


def passthrough(app: FastAPI, client: AsyncOpenAI) -> None:
    """Relay the stream of an OpenAI-compatible upstream."""

    # begin: passthrough
    async def asked(body: dict[str, Any]) -> Any:
        try:
            return await client.chat.completions.create(**body)
        except APIStatusError as error:
            names = ("retry-after",)
            kept = {n: v for n, v in error.response.headers.items() if n in names}
            raise HTTPException(error.status_code, error.body, kept) from error

    @app.post("/v1/chat/completions", response_class=EventSourceResponse)
    async def complete(chunks: Any = Depends(asked)) -> AsyncIterator[ServerSentEvent]:  # noqa: B008
        try:
            async with chunks:
                async for chunk in chunks:
                    yield ServerSentEvent(raw_data=chunk.model_dump_json(exclude_unset=True))
        except Exception as error:
            yield ServerSentEvent(data={"error": {"message": str(error), "type": "server_error"}})
            raise
        yield ServerSentEvent(raw_data="[DONE]")

    # end: passthrough


def agent(app: FastAPI, graph: CompiledStateGraph[Any]) -> None:
    """Send the events of a LangGraph agent."""

    # begin: agent
    @app.post("/agent", response_class=EventSourceResponse)
    async def run(body: dict[str, Any]) -> AsyncIterator[Any]:
        try:
            async for event in graph.astream_events(body, version="v2"):
                yield jsonable_encoder(event, custom_encoder={object: dumpd})
        except Exception:
            yield {"error": "the stream failed"}
            raise

    # end: agent
