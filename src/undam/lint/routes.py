"""Estimates which routes carry event streams. On other routes, buffering is not a problem."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, StrEnum

# Words in the paths of streaming APIs. `v1` counts only at the end of a path; otherwise the word
# after it decides (`/v1/embeddings`, `/v1/users`).
_STREAMING_PATH = re.compile(
    r"(?<![a-z0-9])(?:"
    r"chat|completions?|responses|messages|generate|stream(?:s|ing)?|sse|events|mcp"
    r"|v1(?=[^a-z0-9]*$)"
    r")(?![a-z0-9])",
    re.IGNORECASE,
)
# Common host names of engines and LLM gateways in compose files and clusters. The short ones must
# be whole words: `fulfillment` contains "llm", and `postgis` contains "tgi".
_ENGINE_NAMES = re.compile(
    r"sglang|ollama|llama|triton|lmdeploy|litellm|openai|anthropic|inference"
    r"|(?<![a-z])(?:v?llms?|tgi)(?![a-z])",
    re.IGNORECASE,
)
# Engines also serve these paths, but do not stream on them.
_NON_STREAMING_PATH = re.compile(
    r"(?<![a-z0-9])(?:healthz?|readyz?|livez?|ping|metrics|status|models|embeddings|rerank|tokenize"
    r"|static|assets|docs|favicon|robots|login|admin|ui"
    r"|css|js|png|jpe?g|gif|svg|ico|woff2?|html?)(?![a-z0-9])",
    re.IGNORECASE,
)
# Ollama's default port identifies it. Other engines use 8000, 8080 or 30000, like many servers.
_ENGINE_PORTS = frozenset({11434})
_PORT = re.compile(r":(\d{2,5})(?![\d:])")

_NOT_PATH = re.compile(r"[^\w/.-]+")
_LITERAL_PREFIX = re.compile(r"\^?((?:\\?[/._-]|\w)*)")
# Shorter fragments occur in too many paths to identify a route.
_MIN_FRAGMENT = 3


class StreamLikelihood(IntEnum):
    """Likelihood that a route carries event streams."""

    NO = 0
    LIKELY = 1
    CERTAIN = 2


class PathMatch(StrEnum):
    """Part of a path that a route pattern must match."""

    PREFIX = "prefix"
    """The beginning of the path or the whole path."""
    PART = "part"
    """Any part of the path."""
    REGEX = "regex"


@dataclass(frozen=True, slots=True)
class RouteHints:
    """Information from the user about the routes.

    Args:
        paths: prefixes of the routes that stream (``--stream PREFIX``). If any are given, all other
            routes are assumed not to stream.
    """

    paths: tuple[str, ...] = ()


def classify_route(path: str, upstreams: Iterable[str], hints: RouteHints) -> StreamLikelihood:
    """Estimate the likelihood that a route streams.

    Args:
        path: prefix or pattern of the route as configured; "/" for all requests.
        upstreams: URLs, names and addresses of the servers behind it.
    """
    if hints.paths:
        covered = any(_overlap(path, hint) for hint in hints.paths)
        return StreamLikelihood.CERTAIN if covered else StreamLikelihood.NO
    if _STREAMING_PATH.search(path):
        return StreamLikelihood.LIKELY
    if _NON_STREAMING_PATH.search(path):
        return StreamLikelihood.NO
    for upstream in upstreams:
        ports = {int(port) for port in _PORT.findall(upstream)}
        if ports & _ENGINE_PORTS or _ENGINE_NAMES.search(upstream):
            return StreamLikelihood.LIKELY
    return StreamLikelihood.NO


def classify_pattern(
    pattern: str, match: PathMatch, upstreams: Iterable[str], hints: RouteHints
) -> StreamLikelihood:
    """Estimate the likelihood that the route of a pattern streams.

    Regular expressions are never executed.

    Args:
        pattern: prefix, part or regular expression, depending on ``match``.
        upstreams: URLs, names and addresses of the servers behind the route.
    """
    if match is PathMatch.PREFIX or not hints.paths:
        return classify_route(pattern, upstreams, hints)
    if match is PathMatch.REGEX and pattern.startswith("^"):
        return classify_route(literal_prefix(pattern), upstreams, hints)
    parts = (part.strip("/") for part in _NOT_PATH.split(pattern))
    fragments = [part for part in parts if len(part.strip("/.")) >= _MIN_FRAGMENT]
    hinted = any(fragment in hint for fragment in fragments for hint in hints.paths)
    return StreamLikelihood.CERTAIN if hinted else StreamLikelihood.NO


def literal_prefix(regex: str) -> str:
    """Return the path with which every match of an anchored expression begins; "/" if none."""
    match = _LITERAL_PREFIX.match(regex)
    assert match is not None  # the expression also matches the empty text
    literal = match[1].replace("\\", "")
    if regex[match.end() :].startswith(("*", "?", "{")):
        literal = literal[:-1]  # the last character is optional
    return literal or "/"


def _overlap(path: str, hint: str) -> bool:
    """Return whether one of two prefixes contains the other."""
    route, wanted = path.rstrip("*/") + "/", hint.rstrip("*/") + "/"
    return wanted.startswith(route) or route.startswith(wanted)
