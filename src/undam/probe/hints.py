"""Hints for answers that are not streams: what to change in the next call."""

from __future__ import annotations

import re
from collections.abc import Mapping

from undam.apis import CHAT, COMPLETIONS, MESSAGES, PLAIN, RESPONSES
from undam.apis.meaning import load, mapping
from undam.probe.options import DEFAULT_MODEL
from undam.wire import Request

_CREDENTIALS = {
    "authorization": "Authorization",
    "x-api-key": "x-api-key",
    "api-key": "api-key",
    "x-goog-api-key": "x-goog-api-key",
}
_VARIABLES = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
_OPENAI = {CHAT.name, COMPLETIONS.name, RESPONSES.name}

_UNKNOWN = (
    r"(?:does not exist|not found|unknown|invalid|not supported|not available|no such|unrecognized"
    r"|not a valid|not loaded|no access|doesn.t exist)"
)
_UNKNOWN_MODEL = re.compile(rf"(?is)model.{{0,120}}?{_UNKNOWN}|{_UNKNOWN}.{{0,60}}?\bmodel\b")
_CSRF = re.compile(r"(?i)csrf|xsrf|forgery")

_COPY = "or copy the request from a browser: --curl 'curl …'"


def hint_for(
    status: int, *, api: str, request: Request, body: str, environ: Mapping[str, str]
) -> str:
    """Return a hint for the status of a refused request, or an empty string.

    Args:
        api: name of the API that was requested.
        body: the beginning of the response body.
        environ: environment from which an API key may have been taken.
    """
    if status == 401:
        return _unauthorized(api, request, environ)
    if status == 403:
        if _CSRF.search(body):
            return f"the endpoint needs a CSRF token and its cookie: add them with -H, {_COPY}"
        return "the key or this address may not use it"
    if status in {400, 404, 422} and api != PLAIN.name and _UNKNOWN_MODEL.search(body):
        return _unknown_model(request)
    if status == 404:
        return "is the path right? It usually ends in /v1/chat/completions"
    if status == 405:
        return _wrong_method(request)
    if status in {400, 415, 422}:
        return _wrong_body(status, api, request)
    return _OTHERS.get(status, "")


_OTHERS = {
    407: "the proxy requires a name and a password: --proxy http://USER:PASSWORD@HOST:PORT",
    426: "the server requires another protocol, such as TLS or HTTP/2: try https://",
    429: "the server limits requests: wait, or use another key",
}


def _unauthorized(api: str, request: Request, environ: Mapping[str, str]) -> str:
    sent = _sent_credential(request, environ)
    if sent:
        return f"{sent} was sent and refused: pass a valid one with -H"
    if api == MESSAGES.name:
        return "pass the key with -H 'x-api-key: …' or in ANTHROPIC_API_KEY"
    if api in _OPENAI:
        return "pass the key with -H 'Authorization: Bearer …' or in OPENAI_API_KEY"
    return f"pass the key with -H 'Authorization: Bearer …' or the cookie with -H, {_COPY}"


def _sent_credential(request: Request, environ: Mapping[str, str]) -> str:
    """Return the variable or header that contains the credential; empty if there is none."""
    for name, value in request.headers:
        if name.lower() not in _CREDENTIALS:
            continue
        for variable in _VARIABLES:
            key = environ.get(variable, "").strip()
            if key and value.endswith(key):
                return f"the key in {variable}"
        return f"the key in the header {_CREDENTIALS[name.lower()]}"
    if "@" in request.url.partition("://")[2].partition("/")[0]:
        return "the name and password in the URL"
    return ""


def _unknown_model(request: Request) -> str:
    try:
        model = mapping(load(request.body.decode("utf-8", "replace"))).get("model")
    except ValueError:
        model = None
    if model == DEFAULT_MODEL:
        return "no list of models was found at the server: name one with --model"
    return f"name another model with --model; the request named {str(model)[:100]!r}"


def _wrong_method(request: Request) -> str:
    if request.method in {"GET", "HEAD"}:
        return f"it does not accept {request.method}: send its body with --data '{{…}}', {_COPY}"
    return f"it does not accept {request.method}: try --method GET, {_COPY}"


def _wrong_body(status: int, api: str, request: Request) -> str:
    if not request.body:
        return f"the endpoint expects a body: send it with --data '{{…}}', {_COPY}"
    if status == 415:
        return "the body has another type: name it with -H 'Content-Type: …'"
    if api == PLAIN.name:
        return f"the body does not match the endpoint: correct --data, {_COPY}"
    if status == 400:
        return ""
    return "the body does not match the endpoint: pass it with --data, or the model with --model"
