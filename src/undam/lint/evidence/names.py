"""Evidence in server names, server addresses, and the names of sites."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from undam.lint.evidence.profile import ServiceProfile, ServiceRole
from undam.lint.evidence.profiles import PROFILES

OTHER = -1
"""Score of a server whose name is that of some other program."""
NOT_A_MODEL = -3
"""Score of a server whose name is that of a program that does not stream."""

_SEPARATORS = re.compile(r"[-_. ]")


def _by_name() -> dict[str, ServiceProfile]:
    return {_SEPARATORS.sub("", name): one for one in PROFILES for name in one.names}


_PROFILES_BY_NAME = _by_name()
_NAMES = re.compile(
    r"(?<![a-z])(?:"
    + "|".join(
        sorted(
            (name.replace("-", "[-_. ]?") for one in PROFILES for name in one.names),
            key=len,
            reverse=True,
        )
    )
    + r")(?![a-z])"
)
# Typical parts of engine and gateway names in compose files and clusters. Short ones must be whole
# words, because `fulfillment` contains "llm" and `postgis` contains "tgi".
_ENGINE_WORD = re.compile(
    r"sglang|ollama|llama|triton|lmdeploy|litellm|openai|anthropic|inference"
    r"|(?<![a-z])(?:v?llms?|tgi|genai|ai[-_]?gateway|sse)(?![a-z])"
)
_HINT_WORD = re.compile(r"(?<![a-z])(?:streams?|streaming|gpt|copilot|chatbot)(?![a-z])")
_WEAK_WORD = re.compile(
    r"(?<![a-z])(?:chats?|ai|assistants?|agents?|bot|models?|events?|rag|llm)(?![a-z])"
)
# Auxiliary programs that are named after an engine or gateway, but do not stream.
_COMPANION = re.compile(
    r"(?<![a-z])(?:exporter|metrics|docs?|documentation|db|database|postgres(?:ql)?|mysql|mongo(?:db)?"
    r"|redis|valkey|cache|auth|admin|frontend|static|assets|backup|minio|s3|nginx|logs?|test|status"
    r"|website|blog|shop|site)(?![a-z])"
)
_OTHER_PROGRAM = re.compile(
    r"(?<![a-z])(?:vault|consul|grafana|prometheus|alertmanager|kibana|elasticsearch|opensearch|minio"
    r"|jenkins|gitlab|gitea|forgejo|harbor|nexus|registry|keycloak|authentik|authelia|casdoor|dex"
    r"|wordpress|nextcloud|jellyfin|plex|emby|icecast|frigate|mediamtx|mysql|postgres(?:ql)?|redis"
    r"|rabbitmq|kafka|billing|payments?|orders?|invoic\w*|cart|checkout|inventory|catalog\w*|mail\w*"
    r"|calendar|survey|pdf|cms|shop|blog|wiki|docs|frontend|site|website|www|phpmyadmin|php\w*)"
    r"(?![a-z])"
)
_GENERIC = re.compile(
    r"(?:api|apis|app|apps|application|back|backends?|be|server|servers|service|services|svc|srv"
    r"|upstreams?|origins?|proxy|proxied|nodes?|web|http|https|main|default|cluster|local|localhost"
    r"|pool|gateway|gw|edge|internal|prod|production|staging|dev|test|core|workers?|target|targets"
    r"|host|docker|python|node|fastapi|uvicorn|gunicorn|flask|django|starlette|express|asgi|wsgi"
    r"|instance|primary|secondary|blue|green|one|two|tcp|unix|sock|run|tmp|var|[a-z]?\d*|ξ+)"
)
# Words in the names of serverless functions, such as `openai-relay-function`.
_FUNCTION_WORD = re.compile(r"functions?|fn|lambda|relay|url|stack|handler|bridge|router|balance")
_ADDRESS = re.compile(r"(?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-f:.]*\]")
_SCHEME = re.compile(r"^[a-z][a-z0-9+.-]*://")
_PORT = re.compile(r":(\d{2,5})(?![\d:])")
_PLACEHOLDER = re.compile(
    r"\$\{([^}\n]{1,200})\}|\{\$([^}\n]{1,200})\}|\{\{([^}\n]{1,200})\}\}|<%[-=]*([^%\n]{1,200})%>"
)
_PLACEHOLDER_NAME = re.compile(r"[a-z][\w-]*(?:\.[\w-]+)*(?::\d{2,5})?")
_PORTS = {port: one for one in reversed(PROFILES) for port in one.ports}
_DECISIVE_PORTS = frozenset({11434})


@dataclass(frozen=True, slots=True)
class NameEvidence:
    """Score of a name, with an explanation. Names of other programs have a negative score."""

    score: int
    phrase: str = ""


_NONE = NameEvidence(0)


@dataclass(frozen=True, slots=True)
class UpstreamLocation:
    """Host, port and path of an upstream."""

    host: str
    port: int | None
    path: str


@lru_cache(maxsize=4096)
def address_of(upstream: str) -> UpstreamLocation:
    """Split a URL, a name or ``HOST:PORT`` into its parts, in lower case."""
    rest = _SCHEME.sub("", upstream.lower())
    authority, slash, path = rest.partition("/")
    port = _PORT.search(authority)
    # In a template, the port may be a placeholder.
    host = authority[: port.start()] if port else authority
    if not host.startswith(("[", "$")):
        host = host.partition(":")[0]
    return UpstreamLocation(host, int(port[1]) if port else None, slash + path)


def profile_named(text: str) -> ServiceProfile | None:
    """Return the service profile whose name occurs as a word in a lower-case text."""
    found = _NAMES.search(text)
    return _PROFILES_BY_NAME[_SEPARATORS.sub("", found[0])] if found else None


@lru_cache(maxsize=4096)
def upstream_evidence(upstream: str) -> NameEvidence:
    """Return the evidence in a server's URL, name or address."""
    at = address_of(upstream)
    if hosted := _hosted(at.host):
        return NameEvidence(3, f"the upstream {at.host} is the {hosted.title}")
    is_companion = _COMPANION.search(at.host)
    if is_companion and (profile_named(at.host) or _ENGINE_WORD.search(at.host)):
        return NameEvidence(OTHER)
    if known := profile_named(at.host):
        # Many of these names are also words: a server of Minecraft is a "bedrock" server.
        is_sure = known.role is not ServiceRole.HOSTED or _has_only_the_name(at.host)
        score = 3 if is_sure else 2
        return NameEvidence(score, f"the upstream {at.host!r} has the name of {known.title}")
    for one in PROFILES:
        if (at.host, at.port) in one.named_ports:
            return NameEvidence(3, f"the upstream {at.host}:{at.port} is usual for {one.title}")
    if word := _ENGINE_WORD.search(at.host):
        return NameEvidence(3, f"the upstream {at.host!r} has {word[0]!r} in its name")
    if _OTHER_PROGRAM.search(at.host):
        return NameEvidence(NOT_A_MODEL)
    if at.port in _PORTS:
        score = 3 if at.port in _DECISIVE_PORTS else 2
        return NameEvidence(score, f"port {at.port} is the default of {_PORTS[at.port].title}")
    for pattern, score in ((_HINT_WORD, 2), (_WEAK_WORD, 1)):
        if word := pattern.search(at.host):
            return NameEvidence(score, f"the upstream {at.host!r} has {word[0]!r} in its name")
    return _NONE if _is_neutral(at.host) else NameEvidence(OTHER)


def named_in_placeholders(text: str) -> list[str]:
    """Return the names in template placeholders that suggest a stream.

    Names of variables, such as ``${VLLM_HOST}``, and their default values are examined.
    """
    inner = [part.lower() for groups in _PLACEHOLDER.findall(text) for part in groups]
    names = (name for part in inner for name in _PLACEHOLDER_NAME.findall(part))
    return [name for name in names if upstream_evidence(name).score > 0]


@lru_cache(maxsize=4096)
def site_evidence(kind: str, name: str) -> NameEvidence:
    """Return the evidence in the name of a site or file.

    Args:
        kind: kind of the name: ``server name`` or ``file name``.
    """
    low = name.lower()
    if _COMPANION.search(low):
        return _NONE
    if known := profile_named(low):
        return NameEvidence(2, f"the {kind} {name!r} has the name of {known.title}")
    if word := _ENGINE_WORD.search(low):
        return NameEvidence(2, f"the {kind} {name!r} has {word[0]!r}")
    if kind != "file name" and (word := _WEAK_WORD.search(low)):
        return NameEvidence(1, f"the {kind} {name!r} has {word[0]!r}")
    return _NONE


def _hosted(host: str) -> ServiceProfile | None:
    for one in PROFILES:
        for end in one.hosts:
            is_end = host == end or host.endswith(end if end.startswith("-") else f".{end}")
            if is_end or ("." not in end and host.startswith(end)):
                return one
    return None


def _has_only_the_name(host: str) -> bool:
    """Return whether every word of a host besides the name is generic or suggests a model."""
    rest = _SEPARATORS.split(_NAMES.sub("-", host.partition(".")[0]))
    hints = (_GENERIC, _HINT_WORD, _WEAK_WORD, _ENGINE_WORD, _FUNCTION_WORD)
    return all(not part or any(one.fullmatch(part) for one in hints) for part in rest)


def _is_neutral(host: str) -> bool:
    """Return whether a host is an address, a variable, or a name that has only generic words."""
    if not host or host[0] in "$%{@<*" or _ADDRESS.fullmatch(host):
        return True
    first = host.partition(".")[0] if "." in host else host
    return all(_GENERIC.fullmatch(part) for part in re.split(r"[-_.]", first))
