"""The streaming APIs of model servers: what to ask, and what each event means."""

from undam.apis.anthropic import MESSAGES
from undam.apis.meaning import Api, Kind, Meaning
from undam.apis.openai import CHAT, COMPLETIONS, RESPONSES
from undam.apis.plain import PLAIN

APIS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES, PLAIN)
"""All of them, for look-up by name."""

# The longer suffix first: every chat path also ends in "completions".
_BY_PATH = (
    ("/chat/completions", CHAT),
    ("/completions", COMPLETIONS),
    ("/responses", RESPONSES),
    ("/messages", MESSAGES),
)


def api_for_path(path: str) -> Api:
    """The API that a URL's path (without its query) belongs to; ``PLAIN`` for any other."""
    trimmed = path.rstrip("/")
    for suffix, api in _BY_PATH:
        if trimmed.endswith(suffix):
            return api
    return PLAIN


def api_named(name: str) -> Api:
    """The API with this name; raises KeyError."""
    return {api.name: api for api in APIS}[name]


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
    "api_for_path",
    "api_named",
]
