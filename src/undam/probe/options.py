"""Options for `undam check`, and the request for each URL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from undam.apis import COMPLETIONS, MESSAGES, PLAIN, Api, api_for_path
from undam.probe.secrecy import names_secret, secrets_in
from undam.secrecy import is_secret_header
from undam.timing.numbered_text import WORD, format_word
from undam.wire import ClientConfig, Request, parse_url

# The answer is long enough to fill several 4 KB blocks in any API's chunk format, and ends within a
# few seconds. An engine with speculative decoding cannot predict the answer, so each step yields
# few tokens.
DEFAULT_PROMPT = (
    "Write 120 random English words from unrelated subjects, separated by commas. Do not repeat a "
    "word. Write nothing else."
)

DEFAULT_MODEL = "default"
"""Model of a request if the user named none and the server lists none."""

# With OpenAI and vLLM, the completions API returns only 16 tokens by default, which fit into one
# block. Other APIs need no explicit limit.
_COMPLETION_TOKENS = 512
_ANTHROPIC_VERSION = "2023-06-01"

_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
_CREDENTIALS = frozenset({"api-key", "authorization", "x-api-key", "x-goog-api-key"})
_PROVIDERS = frozenset({("https", "api.openai.com", 443), ("https", "api.anthropic.com", 443)})


@dataclass(frozen=True, slots=True)
class Place:
    """URL of a hop, with the user's name for the hop and the request settings for it.

    Args:
        headers: headers for this hop; they replace those of the options.
        data, model, method, proxy: as in the options, for this hop only.
    """

    name: str
    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    data: bytes | None = field(default=None, repr=False)
    model: str | None = None
    method: str | None = None
    proxy: str | None = field(default=None, repr=False)

    @property
    def origin(self) -> tuple[str, str, int]:
        """Return the URL's origin; an API key for this hop is sent only there."""
        return parse_url(self.url).origin


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckOptions:
    """Options for `undam check`.

    Args:
        places: outermost first; the last is the one nearest to the model.
        headers: headers for every hop; credentials among them are sent only to the edge's origin.
        data: request body to use instead of the default one of the API, at the edge and at hops
            with the same API.
        idle_s: longest silence to try on purpose; ``None`` to skip that trial.
        proxy_hops: whether requests to inner hops also go through the forward proxy.
        tools: whether to ask for a tool call as well, and to read it to its end.
        experiments: whether further requests may be sent if the first ones do not give a verdict.
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
    proxy_hops: bool = False
    tools: bool = False
    experiments: bool = True
    environ: Mapping[str, str] = field(default_factory=dict)
    client: ClientConfig = field(default_factory=ClientConfig)

    @property
    def edge(self) -> Place:
        """Return the edge: the outermost place, which users connect to."""
        return self.places[0]

    @property
    def secrets(self) -> tuple[str, ...]:
        """Return all secret values in the options and the environment."""
        headers = [header for place in self.places for header in request_headers(self, place)]
        headers += [(name, self.environ[name]) for name in _KEYS if name in self.environ]
        urls = [place.url for place in self.places]
        urls += [place.proxy for place in self.places if place.proxy is not None]
        urls += [self.client.proxy] if self.client.proxy is not None else []
        urls += [url for name, url in self.environ.items() if name.lower().endswith("_proxy")]
        return secrets_in(headers, urls)


def api_of(place: Place) -> Api:
    """Return the API to use for ``place``."""
    return api_for_path(urlsplit(place.url).path)


def client_for(options: CheckOptions, place: Place) -> ClientConfig:
    """Return the connection options for ``place``.

    A forward proxy is for the edge, which users reach through it. Requests to an inner hop are sent
    directly, unless it has its own proxy, or the options set the proxy for all hops.
    """
    if place.proxy is not None:
        return replace(options.client, proxy=place.proxy)
    if place.name != options.edge.name and not options.proxy_hops:
        return direct_client(options.client)
    return options.client


def direct_client(client: ClientConfig) -> ClientConfig:
    """Return the connection options for ``place``, without a forward proxy."""
    environ = {k: v for k, v in client.environ.items() if not k.lower().endswith("_proxy")}
    return replace(client, proxy=None, environ=environ)


def request_for(
    options: CheckOptions, place: Place, *, model: str | None = None, query: str | None = None
) -> Request:
    """Build the request for ``place``.

    Args:
        model: model to use if the user named none.
        query: value of the beacon header, if any.
    """
    headers = list(request_headers(options, place))
    body = _body_for(options, place, model, query)
    method = place.method or options.method or ("GET" if body is None else "POST")
    if body is not None:
        _default(headers, "Content-Type", "application/json")
    accept = "text/event-stream, application/x-ndjson;q=0.9, */*;q=0.1"
    _default(headers, "Accept", accept)
    if query is not None:
        headers.append(("Undam-Beacon", query))
    return Request(url=place.url, method=method, headers=tuple(headers), body=body or b"")


def request_headers(options: CheckOptions, place: Place) -> tuple[tuple[str, str], ...]:
    """Return the headers for ``place``, including an API key from the environment.

    A key is sent only to paths of its own API, and only to the edge's origin or that of the API's
    provider. It is not added if other credentials were given, in a header or in the URL.
    """
    is_edge = place.origin == options.edge.origin
    own = {name.lower() for name, _ in place.headers}
    shared = [
        (name, value)
        for name, value in options.headers
        if name.lower() not in own and (is_edge or not is_secret_header(name, value))
    ]
    headers = [*place.headers, *shared]
    api, environ = api_of(place), options.environ
    if api is MESSAGES:
        _default(headers, "anthropic-version", _ANTHROPIC_VERSION)
    named = any(name.lower() in _CREDENTIALS for name, _ in headers) or names_secret(place.url)
    if named or api is PLAIN or not (is_edge or place.origin in _PROVIDERS):
        return tuple(headers)
    if api is MESSAGES:
        if key := environ.get("ANTHROPIC_API_KEY", "").strip():
            headers.append(("x-api-key", key))
    elif key := environ.get("OPENAI_API_KEY", "").strip():
        headers.append(("Authorization", f"Bearer {key}"))
    return tuple(headers)


def data_for(options: CheckOptions, place: Place) -> bytes | None:
    """Return the request body that the user gave for ``place``, if any."""
    if place.data is None and api_of(place) is api_of(options.edge):
        return options.data
    return place.data


def _body_for(
    options: CheckOptions, place: Place, model: str | None, query: str | None
) -> bytes | None:
    """Return the request body for ``place``, with the beacon query in its prompt."""
    api, data = api_of(place), data_for(options, place)
    if data is not None:
        if place.model is not None:
            data = _with_model(data, place.model)
        return data if query is None else data.replace(WORD.encode(), format_word(query).encode())
    prompt = options.prompt if query is None else f"{options.prompt} {format_word(query)}"
    return _body(api, place.model or options.model or model or DEFAULT_MODEL, prompt)


def _body(api: Api, model: str, prompt: str) -> bytes | None:
    if api.request is None:
        return None
    most = _COMPLETION_TOKENS if api is COMPLETIONS else None
    return json.dumps(api.request(model, prompt, most)).encode()


def _with_model(data: bytes, model: str) -> bytes:
    """Return a JSON body with its model replaced; any other body is returned unchanged."""
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        return data
    return json.dumps({**body, "model": model}).encode() if isinstance(body, dict) else data


def _default(headers: list[tuple[str, str]], name: str, value: str) -> None:
    if all(key.lower() != name.lower() for key, _ in headers):
        headers.append((name, value))
