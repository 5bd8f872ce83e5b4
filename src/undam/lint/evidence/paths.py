"""Evidence in a route's path."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from undam.lint.evidence.profiles import PROFILES

EXCLUDED = -100
"""Score of a path that does not carry event streams, whatever the server behind it is."""

SUFFICIENT = 3
"""Score from which on the evidence suffices."""

DECISIVE = 5
"""Score of a path that only streaming APIs have, whatever the server behind it is."""

_START, _END = r"(?<![a-z0-9])", r"(?![a-z0-9])"
# Characters that may follow the last word of a pattern.
_TAIL = r"(?:\.(?:php|py|cgi|ashx|jsp))?[/*$()?.+\\|]*$"

# Static files, video segments and playlists.
_FILE = re.compile(
    r"\.(?:css|m?js|map|png|jpe?g|gif|svg|ico|webp|avif|bmp|woff2?|ttf|otf|eot|html?|json|xml|txt"
    r"|pdf|csv|md|zip|gz|wasm|webmanifest|ts|m3u8|m4s|mpd|mp4|webm|mp3|ogg|flv|mov)" + _TAIL
)
_NEVER = re.compile(
    _START + r"(?:healthz?|health[-_]?checks?|readyz?|livez?|liveness|readiness|ping|metrics"
    r"|favicon|robots|static|assets|_next|fonts?|thumbnails?|avatars?|images?|img|css|js|media"
    r"|uploads?"
    r"|oauth2?|oidc|saml|sso|auth|login|logout|signin|signup|register|callback|password|captcha"
    r"|billing|invoices?|payments?|checkout|subscriptions|pricing|stats|statistics|hls|dash|rtmp"
    r"|webdav|caldav|carddav|videos?|cameras?|live|music|radio|audio|downloads?|socket\.io|ws|wss|websockets?|grafana|prometheus|phpmyadmin"
    r"|wp-admin|wp-content|nginx_status|acme-challenge)" + _END
)
# Paths that engines and gateways also serve, but without streaming.
_SELDOM = re.compile(
    _START
    + r"(?:models|embed(?:dings?)?|rerank|tags|ps|count[-_]?tokens|tokenize|detokenize|moderations"
    r"|files|batches|status|version|docs|redoc|swagger|openapi|admin|ui|dashboard|settings|config|users?|accounts?"
    r"|profile|feedback|history|export|import|reports?|audio"
    r"|calendar|mail|mailbox|e-?mail|pdf|survey|css|js|html?)" + _END
)

_DECISIVE = re.compile(
    _START + r"(?:chat/completions?|v1/chat|generate[-_/]?stream|stream[-_]?generate[-_]?content"
    r"|sse|server-sent-events|event[-_]?streams?|(?:chat|completion)-messages|mcp"
    r"|(?:chat|ask|query|runs|run|answer|generate)/(?:stream|sse|events))" + _TAIL
)
# Other APIs also have these paths. They are weaker evidence if the server is another program.
_STRONG = re.compile(
    _START + r"(?:(?:v1|openai|anthropic)/(?:completions|responses|messages)|completions?"
    r"|streams?|streaming|(?:messages|v\d+)/(?:stream|sse|events))" + _TAIL
)
_BASE = re.compile(
    _START + r"(?:(?<!api/)v1|api/chat|api/generate|completions?|openai|anthropic|llms?|copilot"
    r"|chatgpt|gpt|inference|ai/chat|chatbot|stream-chat)" + _TAIL
)
_WEAK = re.compile(
    _START + r"(?:chat|messages|responses|generate|generation|events?|ask|agents?|assistants?"
    r"|conversations?|threads|prompts?|completions?|stream(?:s|ing)?|sse|mcp|llms?|copilot|gpt"
    r"|inference|notifications)" + _END + "|" + _START + "api/v1" + _TAIL
)
_MODEL_WORDS = "|".join(
    sorted(
        {re.escape(name) for one in PROFILES for name in one.names if one.role != "hub"},
        key=len,
        reverse=True,
    )
)
_PROFILE_WORD = re.compile(f"{_START}(?:{_MODEL_WORDS}){_END}")
_PROFILE_PATH = re.compile(
    _START
    + "(?:"
    + "|".join(re.escape(path) for one in PROFILES for path in one.paths)
    + ")"
    + _END
)
_GROUP = re.compile(r"\((?:\?:)?([^()]*\|[^()]*)\)")
# Maximum number of alternatives examined per alternation.
_MAX_ALTERNATIVES = 16


@dataclass(frozen=True, slots=True)
class PathEvidence:
    """Score of a path, and a phrase that explains the score.

    Args:
        score: ``EXCLUDED``, 0 for none, 1 for weak, 2 for good, 3 for sufficient and
            ``DECISIVE`` for certain evidence.
    """

    score: int
    phrase: str = ""


@lru_cache(maxsize=4096)
def path_evidence(path: str) -> PathEvidence:
    """Return the strongest evidence among the alternatives of a path prefix or pattern."""
    return max(map(_evidence, _alternatives(path.lower())), key=lambda one: one.score)


def _alternatives(pattern: str) -> list[str]:
    group = _GROUP.search(pattern)
    if group is None:
        return [pattern]
    members = group[1].split("|")[:_MAX_ALTERNATIVES]
    return [pattern[: group.start()] + one + pattern[group.end() :] for one in members]


def _evidence(path: str) -> PathEvidence:
    for pattern, score in (
        (_FILE, EXCLUDED), (_NEVER, EXCLUDED), (_DECISIVE, DECISIVE), (_STRONG, SUFFICIENT),
    ):  # fmt: skip
        if found := pattern.search(path):
            return _found(found[0], path, score)
    if _SELDOM.search(path) and not _PROFILE_PATH.search(path):
        return _found("", path, EXCLUDED)
    for pattern, score in ((_PROFILE_PATH, 2), (_BASE, 2), (_PROFILE_WORD, 2), (_WEAK, 1)):
        if found := pattern.search(path):
            return _found(found[0], path, score)
    return PathEvidence(0)


def _found(word: str, path: str, score: int) -> PathEvidence:
    if score == EXCLUDED:
        return PathEvidence(score, f"the path {path} is not one of a model API")
    return PathEvidence(score, f"the path has {word.strip('/*$()?.+|')!r}")
