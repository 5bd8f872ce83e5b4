"""Which routes stream? Not every location does, and elsewhere a buffer is a good thing."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum

_PATH_WORDS = re.compile(
    r"(?:^|[/_.-])(?:v1|chat|completions?|responses|messages|generate|stream(?:ing)?|sse|events?|mcp)(?:$|[/_.-])",
    re.IGNORECASE,
)
# Names under which engines run in compose files and clusters, and the ports they come with.
_ENGINE_NAMES = re.compile(
    r"vllm|sglang|tgi|ollama|llama|llm|triton|lmdeploy|litellm|openai|anthropic|inference",
    re.IGNORECASE,
)
_ENGINE_PORTS = frozenset({11434, 30000, 8000, 8080, 4000})
_SURE_PORTS = frozenset({11434})


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
    for upstream in upstreams:
        port = re.search(r":(\d{2,5})(?:/|$)", upstream)
        if port and int(port[1]) in _SURE_PORTS:
            return Streams.LIKELY
        if _ENGINE_NAMES.search(upstream):
            return Streams.LIKELY
    return Streams.NO


def _covers(path: str, hint: str) -> bool:
    """Whether a route with prefix ``path`` serves requests under ``hint``, or lies under it."""
    bare, wanted = path.rstrip("*/") or "/", hint.rstrip("*/") or "/"
    return wanted.startswith(bare) or bare.startswith(wanted)
