"""Construction of the HTTP request for a chat call."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypedDict
from urllib.parse import urlsplit, urlunsplit

from undam.apis import COMPLETIONS, MESSAGES, PLAIN, RESPONSES, Api, api_for_path, api_named
from undam.client.deltas import readable
from undam.client.reading import MAX_EVENT_BYTES
from undam.errors import UsageError
from undam.record import redact_url

Messages = str | Sequence[Mapping[str, object]]
"""A single user message, or the whole conversation in the API's format."""

IDLE_S = 300.0
"""Default idle timeout. Without heartbeats, a stream is silent until its first token, which may
take minutes on a busy server; openai-python waits 600 s. With heartbeats every 15 s, 60 s are
enough."""

CONNECT_S = 10.0

_ANTHROPIC_VERSION = "2023-06-01"


class ChatOptions(TypedDict, total=False):
    """Options of `chat` and `achat`.

    Keys:
        api: "openai-chat", "openai-completions", "openai-responses" or "anthropic-messages". By
            default it is derived from the path of the URL.
        api_key: API key, sent in the API's header. Environment variables are not read.
        headers: additional request headers; they replace the defaults of the same name.
        max_tokens: maximum number of tokens in the answer.
        body: additional fields of the request body, such as tools or temperature.
        idle_timeout: seconds without any byte before IdleTimeout (default 300); ``None`` for no
            limit.
        ttft_timeout: seconds from the call to the first content before TtftTimeout (no default).
        connect_timeout: seconds to connect to the server (default 10).
        resume: after a broken connection, reconnect with Last-Event-ID if the server sends IDs.
        max_event_bytes: maximum size of one event (default 16 MB).
    """

    api: str | None
    api_key: str | None
    headers: Mapping[str, str] | None
    max_tokens: int | None
    body: Mapping[str, object] | None
    idle_timeout: float | None
    ttft_timeout: float | None
    connect_timeout: float | None
    resume: bool
    max_event_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """Request that is ready to be sent.

    ``repr`` omits URL, headers and body, because they may contain secrets.
    """

    url: str = field(repr=False)
    api: Api
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    choices: int = 1
    idle_s: float | None = IDLE_S
    ttft_s: float | None = None
    connect_s: float | None = CONNECT_S
    resume: bool = False
    max_event_bytes: int = MAX_EVENT_BYTES


def endpoint(url: str) -> str:
    """Return the endpoint for ``url``; the path of the chat API is appended to a base URL.

    A base URL has no path, or a path that ends in /v1.

    Raises:
        UsageError: ``url`` is not an http or https URL.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not host:
        raise UsageError(f"{redact_url(url)[:200]!r} is not an http:// or https:// URL")
    path = parts.path.rstrip("/")
    if path and not path.endswith("/v1"):
        return url
    return urlunsplit(parts._replace(path=f"{path or '/v1'}/chat/completions"))


def build_request(url: str, messages: Messages, model: str, options: ChatOptions) -> ChatRequest:
    """Build the request for ``url``.

    Raises:
        UsageError: the API cannot be derived from the URL, or a value is invalid.
    """
    url = endpoint(url)
    api = _api_of(url, options.get("api"))
    extra = options.get("body") or {}
    body = {**_body(api, messages, model, options.get("max_tokens")), **extra, "stream": True}
    limits = ("idle_timeout", IDLE_S), ("ttft_timeout", None), ("connect_timeout", CONNECT_S)
    idle, ttft, connect = (_seconds(name, options.get(name, usual)) for name, usual in limits)
    choices = extra.get("n")
    return ChatRequest(
        url=url,
        api=api,
        headers=_headers(api, options.get("api_key"), options.get("headers") or {}),
        body=json.dumps(body).encode(),
        choices=choices if type(choices) is int else 1,
        idle_s=idle,
        ttft_s=ttft,
        connect_s=connect,
        resume=options.get("resume", False),
        max_event_bytes=options.get("max_event_bytes", MAX_EVENT_BYTES),
    )


def _api_of(url: str, name: str | None) -> Api:
    if name is not None:
        if name not in readable():
            raise UsageError(f"api={name!r} is unknown; use one of {', '.join(readable())}")
        return api_named(name)
    api = api_for_path(urlsplit(url).path)
    if api is PLAIN:
        raise UsageError(
            f"cannot derive the API of {redact_url(url)} from its path: pass api=, one of "
            f"{', '.join(readable())}"
        )
    return api


def _body(api: Api, messages: Messages, model: str, max_tokens: int | None) -> dict[str, object]:
    assert api.request is not None
    prompt = messages if isinstance(messages, str) else ""
    body = dict(api.request(model, prompt, max_tokens))
    if isinstance(messages, str):
        return body
    if api is COMPLETIONS:
        raise UsageError("the completions API takes a prompt: pass messages as one string")
    if api is RESPONSES:
        return {**body, "input": list(messages)}
    if api is MESSAGES:
        return {**body, **_without_system_role(messages)}
    return {**body, "messages": list(messages)}


def _without_system_role(messages: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Move system messages to the field ``system``, because Anthropic's API has no system role."""
    blocks: list[object] = []
    for message in messages:
        if message.get("role") == "system":
            content = message.get("content")
            blocks += content if isinstance(content, list) else [{"type": "text", "text": content}]
    rest = [message for message in messages if message.get("role") != "system"]
    return {"messages": rest, **({"system": blocks} if blocks else {})}


def _headers(api: Api, api_key: str | None, given: Mapping[str, str]) -> dict[str, str]:
    own = {
        "Accept": "text/event-stream",
        # Accept no compression, because a hop that compresses a stream also buffers it.
        "Accept-Encoding": "identity",
        "Content-Type": "application/json",
    }
    if api is MESSAGES:
        own["anthropic-version"] = _ANTHROPIC_VERSION
        if api_key:
            own["x-api-key"] = api_key
    elif api_key:
        own["Authorization"] = f"Bearer {api_key}"
    names = {name.lower() for name in given}
    return {**{name: own[name] for name in own if name.lower() not in names}, **given}


def _seconds(name: str, value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise UsageError(
            f"{name}={value!r} must be a positive number of seconds, or None for no limit"
        )
    return float(value)
