"""Options of a check, and the request for each URL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from undam.apis import COMPLETIONS, MESSAGES, PLAIN, Api, api_for_path
from undam.probe.secrecy import names_secret, secrets_in
from undam.wire import ClientConfig, Request

# The answer fills several 4 KB blocks in any chunk format, and ends within a few seconds.
DEFAULT_PROMPT = "Count from 1 to 120 in words, separated by commas. Write nothing else."

DEFAULT_MODEL = "default"
"""Model of a request if the user named none and the server lists none."""

# Only this API defaults to 16 tokens (OpenAI and vLLM), which fit into one block.
_COMPLETION_TOKENS = 512
_ANTHROPIC_VERSION = "2023-06-01"

_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
_CREDENTIALS = frozenset({"api-key", "authorization", "x-api-key", "x-goog-api-key"})


@dataclass(frozen=True, slots=True)
class Place:
    """URL of a hop, with the user's name for it."""

    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """Options of a check.

    Args:
        places: outermost first; the last is the one nearest to the model.
        data: request body to use instead of the default one of the API.
        idle_s: longest silence to try on purpose; ``None`` to skip that trial.
        environ: environment that may contain API keys.
    """

    places: tuple[Place, ...]
    model: str | None = None
    prompt: str = DEFAULT_PROMPT
    headers: tuple[tuple[str, str], ...] = ()
    data: bytes | None = None
    method: str | None = None
    streams: int = 1
    beacon: bool = False
    idle_s: float | None = None
    cancel: bool = False
    environ: Mapping[str, str] = field(default_factory=dict)
    client: ClientConfig = field(default_factory=ClientConfig)

    @property
    def edge(self) -> Place:
        """Return the outermost place, which users reach."""
        return self.places[0]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return all secret values, from the options and from the environment."""
        headers = [header for place in self.places for header in request_headers(self, place)]
        headers += [(name, self.environ[name]) for name in _KEYS if name in self.environ]
        urls = [place.url for place in self.places]
        urls += [self.client.proxy] if self.client.proxy is not None else []
        urls += [url for name, url in self.environ.items() if name.lower().endswith("_proxy")]
        return secrets_in(headers, urls)


def api_of(place: Place) -> Api:
    """Return the API to use for a place."""
    return api_for_path(urlsplit(place.url).path)


def request_for(
    options: CheckOptions, place: Place, *, model: str | None = None, query: str | None = None
) -> Request:
    """Build the request for ``place``.

    Args:
        model: model to use if the user named none.
        query: value of the beacon header, if any.
    """
    api = api_of(place)
    headers = list(request_headers(options, place))
    body = options.data if options.data is not None else _body(options, api, model)
    method = options.method or ("GET" if body is None else "POST")
    if body is not None:
        _default(headers, "Content-Type", "application/json")
    accept = "text/event-stream, application/x-ndjson;q=0.9, */*;q=0.1"
    _default(headers, "Accept", accept)
    if query is not None:
        headers.append(("Undam-Beacon", query))
    return Request(url=place.url, method=method, headers=tuple(headers), body=body or b"")


def request_headers(options: CheckOptions, place: Place) -> tuple[tuple[str, str], ...]:
    """Return the user's headers, and the API key from the environment if the API has one.

    A key is sent only to paths of its own API. It is not added if the user gave other credentials,
    in a header or in the URL.
    """
    headers = list(options.headers)
    api, environ = api_of(place), options.environ
    if api is MESSAGES:
        _default(headers, "anthropic-version", _ANTHROPIC_VERSION)
    named = any(name.lower() in _CREDENTIALS for name, _ in headers) or names_secret(place.url)
    if named or api is PLAIN:
        return tuple(headers)
    if api is MESSAGES:
        if key := environ.get("ANTHROPIC_API_KEY", "").strip():
            headers.append(("x-api-key", key))
    elif key := environ.get("OPENAI_API_KEY", "").strip():
        headers.append(("Authorization", f"Bearer {key}"))
    return tuple(headers)


def _body(options: CheckOptions, api: Api, model: str | None) -> bytes | None:
    if api.request is None:
        return None
    asked = options.model or model or DEFAULT_MODEL
    most = _COMPLETION_TOKENS if api is COMPLETIONS else None
    return json.dumps(api.request(asked, options.prompt, most)).encode()


def _default(headers: list[tuple[str, str]], name: str, value: str) -> None:
    if all(key.lower() != name.lower() for key, _ in headers):
        headers.append((name, value))
