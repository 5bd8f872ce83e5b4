"""Same endpoints as in with_undam.py, written with sse-starlette; see docs/endpoints.md."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fastapi import FastAPI, Response
from fastapi.encoders import jsonable_encoder
from flask import Flask, request, stream_with_context
from flask import Response as FlaskResponse
from langchain_core.load import dumpd
from langgraph.graph.state import CompiledStateGraph
from openai import APIStatusError, AsyncOpenAI
from sse_starlette import EventSourceResponse


def passthrough(app: FastAPI, client: AsyncOpenAI) -> None:
    """Relay the stream of an OpenAI-compatible upstream."""

    # begin: passthrough
    @app.post("/v1/chat/completions", response_model=None)
    async def complete(body: dict[str, Any]) -> Response:
        try:
            chunks = await client.chat.completions.create(**body)
        except APIStatusError as error:
            names = ("retry-after", "content-type")
            kept = {n: v for n, v in error.response.headers.items() if n in names}
            return Response(error.response.content, error.status_code, kept)

        async def source() -> AsyncIterator[str]:
            try:
                async with chunks:
                    async for chunk in chunks:
                        yield chunk.model_dump_json(exclude_unset=True)
            except Exception as error:
                yield json.dumps({"error": {"message": str(error), "type": "server_error"}})
                raise
            yield "[DONE]"

        return EventSourceResponse(source(), headers={"X-Accel-Buffering": "no"})

    # end: passthrough


def agent(app: FastAPI, graph: CompiledStateGraph[Any]) -> None:
    """Send the events of a LangGraph agent."""

    # begin: agent
    @app.post("/agent", response_model=None)
    async def run(body: dict[str, Any]) -> Response:
        async def source() -> AsyncIterator[str]:
            try:
                async for event in graph.astream_events(body, version="v2"):
                    yield json.dumps(jsonable_encoder(event, custom_encoder={object: dumpd}))
            except Exception:
                yield json.dumps({"error": "the stream failed"})
                raise

        return EventSourceResponse(source())

    # end: agent


def flask_tokens(app: Flask, tokens: Any) -> None:
    """Send tokens from a generator written for Flask, which sse-starlette does not support."""

    # begin: flask
    @app.get("/tokens")
    def stream() -> FlaskResponse:
        def source() -> Iterator[str]:
            try:
                for token in tokens(request.args["q"]):
                    lines = token.replace("\r\n", "\n").replace("\r", "\n").split("\n")
                    yield "".join(f"data: {line}\n" for line in lines) + "\n"
            except Exception:
                yield 'event: error\ndata: {"error": "the stream failed"}\n\n'
                raise

        headers = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
        return FlaskResponse(
            stream_with_context(source()), mimetype="text/event-stream", headers=headers
        )

    # end: flask
