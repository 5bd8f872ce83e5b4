"""The endpoints in docs/endpoints.md work as documented, and the table states their line counts."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import openai
import pytest
from fastapi import FastAPI
from flask import Flask

from support import upstream_app
from support.uvicorn_thread import under_uvicorn
from undam.asgi import StreamBroken
from undam.sse import Event, Parser
from undam.testing import open_stream

_ROOT = Path(__file__).parents[3]
_FOLDER = _ROOT / "examples" / "endpoints"


PACKAGES = ("undam", "sse_starlette", "fastapi_sse")


def _loaded(package: str = "undam") -> ModuleType:
    path = _FOLDER / f"with_{package}.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _lines(package: str, endpoint: str) -> int:
    text = (_FOLDER / f"with_{package}.py").read_text()
    found = re.search(rf"# begin: {endpoint}\n(.*)# end: {endpoint}\n", text, re.DOTALL)
    if found is None:
        return 0
    lines = [line.strip() for line in found[1].splitlines()]
    return len([line for line in lines if line and not line.startswith("#")])


def test_the_table_has_the_lines_of_code() -> None:
    table = (_ROOT / "docs" / "endpoints.md").read_text()
    rows = re.findall(r"^\| F.*\|$", table, re.MULTILINE)
    written = [[int(n) for n in re.findall(r"\| (\d+)", row)] for row in rows]
    counted = [
        [count for package in PACKAGES if (count := _lines(package, endpoint))]
        for endpoint in ("passthrough", "agent", "flask")
    ]
    assert written == counted


@pytest.mark.live
@pytest.mark.parametrize("package", PACKAGES)
def test_the_pass_through_gives_deltas_and_status(package: str) -> None:
    with under_uvicorn(upstream_app.app) as upstream:
        for mode, status in (("ok", 200), ("refuse-429", 429)):
            base = f"{upstream}/{mode}/v1"
            client = openai.AsyncOpenAI(base_url=base, api_key="k", max_retries=0)

            @contextlib.asynccontextmanager
            async def closing(
                _app: FastAPI, client: openai.AsyncOpenAI = client
            ) -> AsyncIterator[None]:
                yield
                await client.close()

            app = FastAPI(lifespan=closing)
            _loaded(package).passthrough(app, client)
            with under_uvicorn(app) as url:
                body = {"model": "m", "messages": [], "stream": True}
                response = httpx.post(f"{url}/v1/chat/completions", json=body)
            assert response.status_code == status
            if status == 429:
                assert response.headers["retry-after"] == "7"
                continue
            items = Parser().receive_data(response.content)
            data = [one.data for one in items if isinstance(one, Event)]
            assert [json.loads(one) for one in data[:-1]] == upstream_app.CHAT


@pytest.mark.parametrize("package", PACKAGES)
def test_the_events_of_an_agent_are_json(package: str) -> None:
    # Importing these packages at module level would delay every process that collects this file.
    from langchain_core.language_models.fake_chat_models import GenericFakeChatModel  # noqa: PLC0415
    from langchain_core.messages import AIMessage  # noqa: PLC0415
    from langgraph.graph import END, START, MessagesState, StateGraph  # noqa: PLC0415

    model = GenericFakeChatModel(messages=iter([AIMessage("Hello big world")]))

    async def node(state: Any) -> Any:
        return {"messages": [await model.ainvoke(state["messages"])]}

    graph: Any = StateGraph(MessagesState)
    graph.add_node("n", node)
    graph.add_edge(START, "n")
    graph.add_edge("n", END)
    app = FastAPI()
    _loaded(package).agent(app, graph.compile())
    with open_stream(app, "/agent", json={"messages": [["user", "hi"]]}) as stream:
        events = [json.loads(event.data) for event in stream.read()]
        assert stream.complete, stream.error
    assert events[0]["event"] == "on_chain_start"
    assert events[-1]["event"] == "on_chain_end"
    if package == "undam":
        chunks = [one["data"]["chunk"] for one in events if "model_stream" in one["event"]]
        assert "".join(chunk["content"] for chunk in chunks) == "Hello big world"


def test_the_flask_generator_streams_and_fails() -> None:
    def tokens(text: str) -> Any:
        yield from text.split()
        if "fail" in text:
            raise ValueError("expected")

    app = Flask(__name__)
    _loaded().flask_tokens(app, tokens)
    body = app.test_client().get("/tokens?q=a+b").data
    found = [one for one in Parser().receive_data(body) if isinstance(one, Event)]
    assert [one.data for one in found] == ["a", "b"]
    with pytest.raises(StreamBroken):
        _ = app.test_client().get("/tokens?q=fail").data
