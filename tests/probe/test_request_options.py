"""The request for each URL has the body for its API, and never another API's key."""

from __future__ import annotations

import json
from typing import Any

import pytest

from undam.probe import DEFAULT_PROMPT, CheckOptions, Place
from undam.probe.options import request_for
from undam.wire import ClientConfig, Request

KEYS = {"OPENAI_API_KEY": "openai-key", "ANTHROPIC_API_KEY": "anthropic-key"}


def asked(url: str, query: str | None = None, model: str | None = None, **more: Any) -> Request:
    place = Place("edge", url)
    options = CheckOptions(places=(place,), **{"environ": KEYS, **more})
    return request_for(options, place, model=model, query=query)


def header(request: Request, name: str) -> list[str]:
    return [value for key, value in request.headers if key.lower() == name.lower()]


@pytest.mark.parametrize(
    ("path", "prompt", "key"),
    [
        ("/v1/chat/completions", ["messages"], ("Authorization", "Bearer openai-key")),
        ("/v1/chat/completions?x=1", ["messages"], ("Authorization", "Bearer openai-key")),
        ("/v1/completions", ["prompt"], ("Authorization", "Bearer openai-key")),
        ("/v1/responses/", ["input"], ("Authorization", "Bearer openai-key")),
        ("/v1/messages", ["messages"], ("x-api-key", "anthropic-key")),
    ],
)
def test_body_and_key_of_each_api(path: str, prompt: list[str], key: tuple[str, str]) -> None:
    request = asked(f"http://h{path}")
    body = json.loads(request.body)
    assert request.method == "POST"
    assert body["stream"] is True
    assert body["model"] == "default"
    assert DEFAULT_PROMPT in json.dumps(body[prompt[0]])
    assert header(request, "content-type") == ["application/json"]
    assert header(request, key[0]) == [key[1]]
    assert sum("-key" in value for _, value in request.headers) == 1
    assert json.loads(asked(f"http://h{path}", model="m", prompt="Hi").body)["model"] == "m"


def test_completions_request_more_than_sixteen_tokens() -> None:
    assert json.loads(asked("http://h/v1/completions").body)["max_tokens"] >= 256
    # Newer OpenAI models reject this field in chat completions.
    assert "max_tokens" not in json.loads(asked("http://h/v1/chat/completions").body)


@pytest.mark.parametrize("path", ["/", "/events", "/v1/models", "/completions/list", "/message"])
def test_other_paths_are_fetched_as_given_and_get_no_key(path: str) -> None:
    request = asked(f"http://h{path}")
    assert (request.method, request.body) == ("GET", b"")
    assert "key" not in repr(request.headers)
    assert header(request, "content-type") == []


def test_user_options_take_precedence() -> None:
    request = asked(
        "http://h/v1/chat/completions", data=b'{"a": 1}', method="PUT", query="clock",
        headers=(("authorization", "Bearer mine"), ("content-type", "text/x"), ("Accept", "a/b")),
    )  # fmt: skip
    assert (request.method, request.body) == ("PUT", b'{"a": 1}')
    assert header(request, "authorization") == ["Bearer mine"]
    assert header(request, "content-type") == ["text/x"]
    assert header(request, "accept") == ["a/b"]
    assert header(request, "undam-beacon") == ["clock"]
    assert asked("http://h/events", data=b"x").method == "POST"
    assert json.loads(asked("http://h/v1/messages", model="b").body)["model"] == "b"
    mine = CheckOptions(places=(Place("edge", "http://h/v1/messages"),), model="mine")
    assert json.loads(request_for(mine, mine.edge, model="b").body)["model"] == "mine"


@pytest.mark.parametrize("key", ["", "  ", "\n"])
def test_empty_key_is_ignored(key: str) -> None:
    request = asked("http://h/v1/chat/completions", environ={"OPENAI_API_KEY": key})
    assert header(request, "authorization") == []


def test_every_source_of_secrets_is_known() -> None:
    options = CheckOptions(
        places=(
            Place("edge", "http://me:pass-of-edge@h/v1/chat/completions"),
            Place("inner", "http://h/v1/messages?api_key=key-of-inner"),
        ),
        headers=(("X-Session", "own-session"), ("Accept", "text/event-stream")),
        environ={**KEYS, "https_proxy": "http://p:pass-of-env@proxy"},
        client=ClientConfig(proxy="q:pass-of-proxy@proxy:3128"),
    )
    wanted = {
        "pass-of-edge", "key-of-inner", "own-session", "openai-key", "anthropic-key",
        "pass-of-env", "pass-of-proxy",
    }  # fmt: skip
    assert wanted <= set(options.secrets)
    assert "text/event-stream" not in options.secrets
