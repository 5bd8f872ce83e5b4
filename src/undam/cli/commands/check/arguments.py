"""Command-line arguments of `undam check`, parsed into `CheckOptions`."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from undam.cli.commands.check.hop_arguments import with_own_requests
from undam.cli.commands.check.request_parts import (
    parse_header,
    read_curl,
    read_given,
    text_or_file,
)
from undam.cli.ui.output import STDOUT, require_writable
from undam.client.chat_request import endpoint
from undam.errors import UsageError
from undam.probe import CheckOptions, Place
from undam.probe.curl.command import CurlCommand
from undam.probe.options import api_of
from undam.wire import ClientConfig, parse_resolve, parse_url
from undam.wire.config import HttpVersion

_EXAMPLE = "undam check http://localhost:8000/v1/chat/completions"
_LIKE_A_URL = re.compile(r"\w+://|localhost\b|[\w.-]+:\d+(?:/|$)|\[[0-9a-fA-F:]+\]")


def url_and_json(
    url: str | None, json_to: str | None, default: str | None = None
) -> tuple[str, str | None]:
    """Return the URL and the --json file, even if ``--json`` took the URL as its value.

    Args:
        default: the URL to use if none was given.

    Raises:
        UsageError: no URL was given.
    """
    if url is not None:
        return url, json_to
    if json_to is not None and _LIKE_A_URL.match(json_to):
        return json_to, STDOUT
    if default is not None:
        return default, json_to
    if json_to is not None and json_to != STDOUT:
        raise UsageError(
            f"no URL was given (--json took {json_to!r} as its file). Example: {_EXAMPLE}"
        )
    raise UsageError(f"no URL was given, and OPENAI_BASE_URL is not set. Example: {_EXAMPLE}")


def default_url(given: Mapping[str, object], environ: Mapping[str, str]) -> str | None:
    """Return the URL from ``--curl``, or else the chat endpoint of OPENAI_BASE_URL.

    Raises:
        UsageError: the curl command cannot be used.
    """
    curl = _curl(given, environ)
    if curl is not None:
        return curl.url
    base = environ.get("OPENAI_BASE_URL", "").strip()
    return chat_of_base(base) if base else None


def chat_of_base(base: str) -> str:
    """Return the chat endpoint for OPENAI_BASE_URL, built as OpenAI's own client builds it."""
    return f"{base.rstrip('/').removesuffix('/chat/completions')}/chat/completions"


def _curl(given: Mapping[str, object], environ: Mapping[str, str]) -> CurlCommand | None:
    text = _text(given.get("curl"))
    return None if text is None else read_curl(text, environ, "--curl")


def require_outputs(record: str | None, json_to: str | None) -> None:
    """Reject output files that cannot be written, before anything is measured.

    Raises:
        UsageError: a file cannot be written, or both are the same.
    """
    json_file = None if json_to in {None, STDOUT} else json_to
    if json_file is not None:
        require_writable(json_file, "--json")
    if record is not None:
        require_writable(record, "--record")
        if json_file is not None and Path(record).resolve() == Path(json_file).resolve():
            raise UsageError(f"--json and --record both name {record}; use two files")


def options_from(url: str, given: Mapping[str, object]) -> CheckOptions:
    """Return the `CheckOptions` for the command-line arguments.

    Args:
        given: the other parameters of the command, as click names and types them.

    Raises:
        UsageError: a value is invalid. The message does not contain secrets.
    """
    environ = dict(os.environ)
    curl = _curl(given, environ)
    mcp = bool(given.get("mcp"))
    as_given = mcp or curl is not None or str(given["method"]).upper() == "GET"
    places = _places(url, _texts(given["hops"]), as_given=as_given)
    places = with_own_requests(places, given, environ)
    _require_beacon(given)
    curl = curl or CurlCommand(url=url)
    data = _text(given["data"])
    resolve = (*_texts(given["resolve"]), *curl.resolve)
    return CheckOptions(
        places=places,
        model=_text(given["model"]),
        prompt=str(given["prompt"]),
        headers=_merged(_headers(_texts(given["headers"])), curl.headers),
        data=curl.data if data is None else _data(data, places[0]),
        method=_text(given["method"]) or curl.method,
        streams=int(str(given["streams"])),
        beacon=bool(given["beacon"]),
        idle_s=None if given["idle"] is None else _seconds(given["idle"], "--idle"),
        cancel=bool(given["cancel"]),
        proxy_hops=bool(given.get("proxy_hops")),
        tools=bool(given.get("tools")),
        experiments=not given.get("no_experiments"),
        environ=environ,
        client=ClientConfig(
            proxy=_text(given["proxy"]) or curl.proxy,
            environ=environ,
            cacert=_text(given["cacert"]) or curl.cacert,
            cert=_text(given["cert"]) or curl.cert,
            resolve=tuple(parse_resolve(text) for text in resolve),
            insecure=bool(given["insecure"]) or curl.insecure,
            follow_origins=bool(given.get("location") or given.get("location_internal")),
            follow_internal=bool(given.get("location_internal")),
            http_version=_http_version(_text(given.get("http_version")) or curl.http_version),
            timeout_s=_seconds(given["timeout"], "--timeout"),
        ),
    )


def _http_version(text: str | None) -> HttpVersion:
    return "1.1" if text == "1.1" else "2" if text == "2" else "auto"


def _merged(
    given: list[tuple[str, str]], curl: tuple[tuple[str, str], ...]
) -> tuple[tuple[str, str], ...]:
    """Combine the headers of the curl command and of the options; the options take precedence."""
    names = {name.lower() for name, _ in given}
    return (*given, *(line for line in curl if line[0].lower() not in names))


def _places(url: str, hops: tuple[str, ...], *, as_given: bool) -> tuple[Place, ...]:
    places = [Place("edge", url), *(_hop(text) for text in hops)]
    first = 1 if as_given else 0
    places[first:] = [replace(place, url=_endpoint(place.url)) for place in places[first:]]
    names = [place.name for place in places]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two hops have the name {twice!r}; the URL itself has the name 'edge'")
    for place in places:
        parse_url(place.url)
    return tuple(places)


def _endpoint(url: str) -> str:
    """Return the chat endpoint for a base URL; return any other URL unchanged."""
    with suppress(UsageError):  # An invalid URL is rejected later, with a specific message.
        return endpoint(url)
    return url


def _require_beacon(given: Mapping[str, object]) -> None:
    if given.get("mcp"):
        _reject_with_mcp(given)
        return
    if (given["idle"] is not None or given["cancel"]) and not given["beacon"]:
        option = "--idle" if given["idle"] is not None else "--cancel"
        raise UsageError(
            f"{option} needs a beacon: add --beacon, with `undam sim` or "
            f"undam.asgi.Beacon behind your proxies"
        )


def _reject_with_mcp(given: Mapping[str, object]) -> None:
    """Reject options that have no effect on the standing stream of an MCP server."""
    for name, option in (
        ("hops", "--hop"), ("beacon", "--beacon"), ("cancel", "--cancel"), ("data", "--data"),
        ("tools", "--tools"),
    ):  # fmt: skip
        if given.get(name):
            raise UsageError(f"{option} cannot be combined with --mcp")


def _texts(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _seconds(value: object, option: str) -> float:
    seconds = float(str(value))
    if math.isnan(seconds):
        raise UsageError(f"{option} {value}: expected a number of seconds")
    return seconds


def _hop(text: str) -> Place:
    name, equals, url = text.partition("=")
    if not equals or not name.strip() or "://" in name:
        # Leave the value out of the message, because a URL may contain a password.
        raise UsageError("--hop: expected NAME=URL, such as origin=http://10.0.0.5:8000/v1/…")
    return Place(name.strip(), url.strip())


def _headers(texts: tuple[str, ...]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for text in texts:
        if text.startswith("@"):
            lines = read_given(text, "-H").decode("utf-8", "surrogateescape").splitlines()
            found += [parse_header(line) for line in lines if line.strip()]
        else:
            found.append(parse_header(text))
    return found


def _data(text: str, edge: Place) -> bytes:
    body = text_or_file(text, "--data")
    if api_of(edge).request is not None:
        _require_object(body, text)
    return body


def _require_object(body: bytes, text: str) -> None:
    """Reject a body that is not a JSON object, with a clearer message than a server would give."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError) as error:
        if not text.startswith("@") and _is_file(text):
            raise UsageError(f"--data: to send the file {text}, write --data @{text}") from None
        why = str(error).partition(" (char")[0] if isinstance(error, ValueError) else "too deep"
        raise UsageError(f"--data: not JSON: {why}") from None
    if not isinstance(value, dict):
        raise UsageError("--data: this API expects a JSON object, such as '{\"model\": …}'")


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):
        return False
