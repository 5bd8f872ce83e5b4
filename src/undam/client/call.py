"""What a call of a model asks for, as one HTTP request."""

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
"""A question, or the whole conversation as the API writes it."""

IDLE_S = 300.0
"""Without heartbeats a long prompt is silent until its first token, which takes minutes on a busy
server; openai-python waits for 600 s. With heartbeats every 15 s, a minute is plenty."""

CONNECT_S = 10.0

_ANTHROPIC_VERSION = "2023-06-01"


class ChatOptions(TypedDict, total=False):
    """What may be set about a call, beside its URL, messages and model.

    Keys:
        api: "openai-chat", "openai-completions", "openai-responses" or "anthropic-messages"; by
            default told by the URL's path.
        api_key: sent as the API wants it; no environment variable is read.
        headers: more request headers; they replace this client's own.
        max_tokens: bound of the answer.
        body: more fields of the request body, such as tools or temperature.
        idle_timeout: seconds without any byte before IdleTimeout [300]; ``None`` is for ever.
        ttft_timeout: seconds from the call to the first content before TtftTimeout [none].
        connect_timeout: seconds to reach the server [10].
        resume: go on with Last-Event-ID when the connection breaks, if the server gives ids.
        max_event_bytes: bound of one event [16 MB].
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
class Call:
    """One call, ready to be sent; its headers and body hold secrets and are not shown."""

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
    """``url``, or where it is only an API's base (no path, or one that ends in /v1), its chat path.

    Raises:
        UsageError: it is no http or https URL.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        host = None
        parts = urlsplit("")
    if parts.scheme not in {"http", "https"} or not host:
        raise UsageError(f"{redact_url(url)[:200]!r} is no http:// or https:// URL")
    path = parts.path.rstrip("/")
    if path and not path.endswith("/v1"):
        return url
    return urlunsplit(parts._replace(path=f"{path or '/v1'}/chat/completions"))


def call_of(url: str, messages: Messages, model: str, options: ChatOptions) -> Call:
    """The call that these ask for.

    Raises:
        UsageError: no API is known for the URL, or a value that cannot be used.
    """
    url = endpoint(url)
    api = _api_of(url, options.get("api"))
    extra = options.get("body") or {}
    body = {**_body(api, messages, model, options.get("max_tokens")), **extra, "stream": True}
    limits = ("idle_timeout", IDLE_S), ("ttft_timeout", None), ("connect_timeout", CONNECT_S)
    idle, ttft, connect = (_seconds(name, options.get(name, usual)) for name, usual in limits)
    choices = extra.get("n")
    return Call(
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
            raise UsageError(f"api={name!r}: there are {', '.join(readable())}")
        return api_named(name)
    api = api_for_path(urlsplit(url).path)
    if api is PLAIN:
        raise UsageError(
            f"cannot tell the API of {redact_url(url)} by its path: pass api=, one of "
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
        raise UsageError("the completions API takes a prompt: give messages as one string")
    if api is RESPONSES:
        return {**body, "input": list(messages)}
    if api is MESSAGES:
        return {**body, **_without_system_role(messages)}
    return {**body, "messages": list(messages)}


def _without_system_role(messages: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """Anthropic's API has no system role: what has it stands beside the messages, as blocks."""
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
        # A hop that compresses a stream holds it back.
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
        raise UsageError(f"{name}={value!r}: seconds, more than 0, or None for no limit")
    return float(value)
