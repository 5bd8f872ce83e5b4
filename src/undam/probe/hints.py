"""Hints for answers that are not streams: what to change in the next call."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

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
_USUAL_PATH = "/v1/chat/completions"
_CSRF = re.compile(r"(?i)csrf|xsrf|forgery")

_COPY = "or copy the request from a browser: --curl 'curl …'"


def hint_for(
    status: int,
    *,
    api: str,
    request: Request,
    body: str,
    environ: Mapping[str, str],
    challenge: str = "",
) -> str:
    """Return a hint for the status of a refused request, or an empty string.

    Args:
        api: name of the API that was requested.
        body: the beginning of the response body.
        environ: environment from which an API key may have been taken.
        challenge: value of the WWW-Authenticate header.
    """
    if status in {400, 404, 415, 422} and _is_mcp(request):
        return "is the path right? It usually ends in /mcp" if status == 404 else ""
    if status == 401:
        return _unauthorized(api, request, environ, challenge)
    if status == 403:
        if _CSRF.search(body):
            return f"the endpoint needs a CSRF token and its cookie: add them with -H, {_COPY}"
        return "the key or this address may not use it"
    if (
        status in {400, 404, 422}
        and not (api == PLAIN.name or _is_azure(request))
        and _names_unknown_model(body)
    ):
        return _unknown_model(request)
    if status == 404:
        return _wrong_path(request)
    if status == 405:
        return _wrong_method(request)
    if status in {400, 415, 422}:
        return _wrong_body(status, api, request)
    if 300 <= status < 400:
        return "it redirects, but not to a URL that can be requested"
    return _OTHERS.get(status, "")


_OTHERS = {
    502: "a proxy answered, but could not reach the server behind it: check that server's URL",
    503: "the server is starting or overloaded, or a proxy has no server behind it: try again",
    504: "a proxy waited too long for the server behind it: check that server's URL",
    407: "the proxy requires a name and a password: --proxy http://USER:PASSWORD@HOST:PORT",
    426: "the server requires another protocol, such as TLS or HTTP/2: try https://",
    429: "the server limits requests: wait, or use another key",
}


def _is_mcp(request: Request) -> bool:
    return any(name.lower() == "mcp-protocol-version" for name, _ in request.headers)


def _unauthorized(api: str, request: Request, environ: Mapping[str, str], challenge: str) -> str:
    credential = _sent_credential(request, environ)
    if credential is None:
        return _missing_key(api, request, challenge)
    name, value = credential
    if not value.isascii():
        return f"{name} has a character that is not ASCII, such as a copied quotation mark"
    if _is_azure(request) and name.endswith(_VARIABLES):
        return f"{name} was sent in Authorization: Azure expects it with -H 'api-key: …'"
    return f"{name} was sent and refused: pass a valid one with -H"


def _missing_key(api: str, request: Request, challenge: str) -> str:
    if challenge.lower().startswith("basic"):
        return "it asks for a name and a password: put them into the URL, as in USER:PASSWORD@HOST"
    if _is_azure(request):
        return "pass the key with -H 'api-key: …'"
    if api == MESSAGES.name:
        return "pass the key with -H 'x-api-key: …' or in ANTHROPIC_API_KEY"
    if api in _OPENAI:
        return "pass the key with -H 'Authorization: Bearer …' or in OPENAI_API_KEY"
    return f"pass the key with -H 'Authorization: Bearer …' or the cookie with -H, {_COPY}"


def _sent_credential(request: Request, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the credential of a request as a phrase, with its value; ``None`` without one."""
    for name, value in request.headers:
        if name.lower() not in _CREDENTIALS:
            continue
        for variable in _VARIABLES:
            key = environ.get(variable, "").strip()
            if key and value.endswith(key):
                return f"the key in {variable}", value
        return f"the key in the header {_CREDENTIALS[name.lower()]}", value
    userinfo, at, _ = _authority(request).rpartition("@")
    return ("the password in the URL", userinfo) if at else None


def _authority(request: Request) -> str:
    return request.url.partition("://")[2].partition("/")[0]


def _path(request: Request) -> str:
    return urlsplit(request.url).path.rstrip("/")


def _is_azure(request: Request) -> bool:
    """Return whether the URL is that of a deployment in Azure OpenAI."""
    return "/openai/deployments/" in _path(request)


def _names_unknown_model(body: str) -> bool:
    """Return whether an error says that the model is unknown, and not one of its parameters."""
    try:
        parameter = mapping(mapping(load(body)).get("error")).get("param")
    except ValueError:
        parameter = None
    return parameter in {None, "", "model"} and _UNKNOWN_MODEL.search(body) is not None


def _unknown_model(request: Request) -> str:
    try:
        model = mapping(load(request.body.decode("utf-8", "replace"))).get("model")
    except ValueError:
        model = None
    if model == DEFAULT_MODEL:
        return "no list of models was found at the server: name one with --model"
    return f"name another model with --model; the request named {str(model)[:100]!r}"


def _wrong_path(request: Request) -> str:
    if _is_azure(request):
        return "check the deployment's name in the path and the api-version in the query"
    if _path(request).endswith(_USUAL_PATH):
        return "the server has no such path: give the full URL of the endpoint that streams"
    return f"is the path right? It usually ends in {_USUAL_PATH}"


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
