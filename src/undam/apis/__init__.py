"""Streaming APIs of model servers and applications: request bodies and the meaning of events."""

from undam.apis.anthropic import MESSAGES
from undam.apis.meaning import Api, Kind, Meaning
from undam.apis.openai import CHAT, COMPLETIONS, RESPONSES
from undam.apis.plain import PLAIN
from undam.apis.shape import DATA_STREAM, FORM_APIS, LANGGRAPH, LANGSERVE, ShapeReader

APIS = (
    CHAT,
    COMPLETIONS,
    RESPONSES,
    MESSAGES,
    PLAIN,
    DATA_STREAM,
    LANGSERVE,
    LANGGRAPH,
    *FORM_APIS.values(),
)
"""All APIs, for lookup by name."""

_BY_NAME = {api.name: api for api in APIS}

# The longer suffix comes first, because every chat path also ends in "completions".
_BY_PATH = (
    ("/chat/completions", CHAT),
    ("/completions", COMPLETIONS),
    ("/responses", RESPONSES),
    ("/messages", MESSAGES),
)


def api_for_path(path: str) -> Api:
    """Return the API that the path of a URL (without its query) suggests, or ``PLAIN``."""
    trimmed = path.rstrip("/")
    for suffix, api in _BY_PATH:
        if trimmed.endswith(suffix):
            return api
    return PLAIN


def api_named(name: str) -> Api:
    """Return the API with this name.

    Raises:
        KeyError: no API has this name.
    """
    return _BY_NAME[name]


__all__ = [
    "APIS",
    "CHAT",
    "COMPLETIONS",
    "MESSAGES",
    "PLAIN",
    "RESPONSES",
    "Api",
    "Kind",
    "Meaning",
    "ShapeReader",
    "api_for_path",
    "api_named",
]
