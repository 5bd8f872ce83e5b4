"""Which routes stream? Not every location does, and elsewhere a buffer is a good thing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

# Words that stand in the paths of streaming APIs. `v1` alone says so only where it ends the path:
# what follows it (`/v1/embeddings`, `/v1/users`) is told by its own name.
_PATH_WORDS = re.compile(
    r"(?<![a-z0-9])(?:"
    r"chat|completions?|responses|messages|generate|stream(?:s|ing)?|sse|events|mcp"
    r"|v1(?=[^a-z0-9]*$)"
    r")(?![a-z0-9])",
    re.IGNORECASE,
)
# Names under which engines and gateways run in compose files and clusters. The short ones must be
# words of their own: `fulfillment` has an llm in it, and `postgis` a tgi.
_ENGINE_NAMES = re.compile(
    r"sglang|ollama|llama|triton|lmdeploy|litellm|openai|anthropic|inference"
    r"|(?<![a-z])(?:v?llms?|tgi)(?![a-z])",
    re.IGNORECASE,
)
# An engine serves these, too, and none of them streams.
_STILL_WORDS = re.compile(
    r"(?<![a-z0-9])(?:healthz?|readyz?|livez?|ping|metrics|status|models|embeddings|rerank|tokenize"
    r"|static|assets|docs|favicon|robots|login|admin|ui"
    r"|css|js|png|jpe?g|gif|svg|ico|woff2?|html?)(?![a-z0-9])",
    re.IGNORECASE,
)
# Of the ports that engines come with only Ollama's is its own; 8000, 8080 and 30000 are anybody's.
_ENGINE_PORTS = frozenset({11434})
_PORT = re.compile(r":(\d{2,5})(?![\d:])")


class Streams(IntEnum):
    """How likely a route carries event streams."""

    NO = 0
    LIKELY = 1
    SURE = 2


@dataclass(frozen=True, slots=True)
class RouteHints:
    """What the user says of the routes.

    Args:
        paths: prefixes that stream (``--stream PATH``); where given, they decide alone.
    """

    paths: tuple[str, ...] = ()


def judge_route(path: str, upstreams: Iterable[str], hints: RouteHints) -> Streams:
    """Say whether a route streams.

    Args:
        path: the prefix or pattern of the route, as the configuration has it; "/" for all.
        upstreams: URLs, names and addresses it goes to.
    """
    if hints.paths:
        return Streams.SURE if any(_covers(path, hint) for hint in hints.paths) else Streams.NO
    if _PATH_WORDS.search(path):
        return Streams.LIKELY
    if _STILL_WORDS.search(path):
        return Streams.NO
    for upstream in upstreams:
        ports = {int(port) for port in _PORT.findall(upstream)}
        if ports & _ENGINE_PORTS or _ENGINE_NAMES.search(upstream):
            return Streams.LIKELY
    return Streams.NO


def _covers(path: str, hint: str) -> bool:
    """Whether a route with prefix ``path`` serves requests under ``hint``, or lies under it."""
    bare, wanted = path.rstrip("*/") + "/", hint.rstrip("*/") + "/"
    return wanted.startswith(bare) or bare.startswith(wanted)
