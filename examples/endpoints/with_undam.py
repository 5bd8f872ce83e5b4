"""Three streaming endpoints with undam; docs/endpoints.md compares undam with other packages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from flask import Flask, Response, request
from langgraph.graph.state import CompiledStateGraph
from openai import AsyncOpenAI

from undam.asgi.starlette import EventStreamResponse, relay
from undam.wsgi.flask import event_stream_response


def passthrough(app: FastAPI, client: AsyncOpenAI) -> None:
    """Relay the stream of an OpenAI-compatible upstream."""

    # begin: passthrough
    @app.post("/v1/chat/completions")
    async def complete(body: dict[str, Any]) -> EventStreamResponse:
        return relay(lambda: client.chat.completions.create(**body))

    # end: passthrough


def agent(app: FastAPI, graph: CompiledStateGraph[Any]) -> None:
    """Send the events of a LangGraph agent."""

    # begin: agent
    @app.post("/agent")
    async def run(body: dict[str, Any]) -> EventStreamResponse:
        return EventStreamResponse(graph.astream_events(body, version="v2"))

    # end: agent


def flask_tokens(app: Flask, tokens: Any) -> None:
    """Send tokens from a generator in Flask."""

    # begin: flask
    @app.get("/tokens")
    def stream() -> Response:
        def source() -> Iterator[str]:
            yield from tokens(request.args["q"])

        return event_stream_response(source())

    # end: flask
