"""Command-line arguments of `undam check`, parsed into `CheckOptions`."""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from undam.cli.ui.output import STDOUT, require_writable
from undam.errors import UsageError
from undam.probe import CheckOptions, Place
from undam.probe.options import api_of
from undam.wire import ClientConfig, parse_resolve, parse_url

# A larger body is not a prompt.
_MAX_DATA_BYTES = 16 << 20

_EXAMPLE = "undam check http://localhost:8000/v1/chat/completions"
_LIKE_A_URL = re.compile(r"\w+://|localhost\b|[\w.-]+:\d+(?:/|$)|\[[0-9a-fA-F:]+\]")


def url_and_json(url: str | None, json_to: str | None) -> tuple[str, str | None]:
    """Return the URL and the --json file, even if ``--json`` took the URL as its file.

    Raises:
        UsageError: no URL was given.
    """
    if url is not None:
        return url, json_to
    if json_to is not None and _LIKE_A_URL.match(json_to):
        return json_to, STDOUT
    if json_to is not None and json_to != STDOUT:
        raise UsageError(
            f"no URL was given (--json took {json_to!r} as its file). Example: {_EXAMPLE}"
        )
    raise UsageError(f"no URL was given. Example: {_EXAMPLE}")


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
            raise UsageError(f"--json and --record both name {record}")


def options_from(url: str, given: Mapping[str, object]) -> CheckOptions:
    """Return the options of a check.

    Args:
        given: the other parameters of the command, as click names and types them.

    Raises:
        UsageError: a value is invalid. The message repeats no secret.
    """
    places = _places(url, _texts(given["hops"]))
    _require_beacon(given)
    data = _text(given["data"])
    environ = dict(os.environ)
    return CheckOptions(
        places=places,
        model=_text(given["model"]),
        prompt=str(given["prompt"]),
        headers=tuple(_header(text) for text in _texts(given["headers"])),
        data=None if data is None else _data(data, places[0]),
        method=_text(given["method"]),
        streams=int(str(given["streams"])),
        beacon=bool(given["beacon"]),
        idle_s=None if given["idle"] is None else _seconds(given["idle"], "--idle"),
        cancel=bool(given["cancel"]),
        environ=environ,
        client=ClientConfig(
            proxy=_text(given["proxy"]),
            environ=environ,
            cacert=_text(given["cacert"]),
            cert=_text(given["cert"]),
            resolve=tuple(parse_resolve(text) for text in _texts(given["resolve"])),
            insecure=bool(given["insecure"]),
            timeout_s=_seconds(given["timeout"], "--timeout"),
        ),
    )


def _places(url: str, hops: tuple[str, ...]) -> tuple[Place, ...]:
    places = (Place("edge", url), *(_hop(text) for text in hops))
    names = [place.name for place in places]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two hops have the name {twice!r}; the URL itself has the name 'edge'")
    for place in places:
        parse_url(place.url)
    return places


def _require_beacon(given: Mapping[str, object]) -> None:
    if (given["idle"] is not None or given["cancel"]) and not given["beacon"]:
        option = "--idle" if given["idle"] is not None else "--cancel"
        raise UsageError(
            f"{option} needs a beacon: add --beacon, with `undam sim` or "
            f"undam.asgi.Beacon behind your proxies"
        )


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
        # Not repeated, because a URL may contain a password.
        raise UsageError("--hop: expected NAME=URL, such as origin=http://10.0.0.5:8000/v1/…")
    return Place(name.strip(), url.strip())


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        # Not repeated, because the text may be a key without its header name.
        raise UsageError("-H: expected 'Name: value', such as -H 'Authorization: Bearer KEY'")
    return name.strip(), value.strip()


def _data(text: str, edge: Place) -> bytes:
    body = _read(text) if text.startswith("@") else text.encode("utf-8", "surrogateescape")
    if api_of(edge).request is not None:
        _require_object(body, text)
    return body


def _read(text: str) -> bytes:
    try:
        if text == "@-":
            body = sys.stdin.buffer.read(_MAX_DATA_BYTES + 1)
        else:
            with Path(text[1:]).open("rb") as file:
                body = file.read(_MAX_DATA_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or error
        raise UsageError(f"--data {text}: {reason}") from None
    if len(body) > _MAX_DATA_BYTES:
        raise UsageError(f"--data {text}: larger than {_MAX_DATA_BYTES >> 20} MB")
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
