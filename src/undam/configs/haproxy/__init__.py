"""haproxy.cfg: the kernel's 200 ms, compression, awaited bodies, timeouts."""

from __future__ import annotations

import re

from undam.configs.dialect import Dialect, Linted, OpenFile
from undam.configs.found import once_each
from undam.configs.haproxy.buffering import find_awaited_bodies, find_held_packets
from undam.configs.haproxy.catalogue import RULES
from undam.configs.haproxy.compression import find_compression
from undam.configs.haproxy.limits import find_limits
from undam.configs.haproxy.reader import read_config
from undam.configs.haproxy.render import render
from undam.configs.haproxy.routes import streaming_routes, unread_choices
from undam.configs.mistake import Mistake
from undam.configs.settings import Settings
from undam.configs.source import Source

_SECTION = re.compile(
    r"^(?:frontend|backend|listen)[ \t]+[\w.:-]+[ \t]*(?:(?:#|from\b)[^\n]*)?\r?$", re.MULTILINE
)
_LINE = re.compile(
    r"^[ \t]+(?:mode (?:http|tcp)\b|server \S+ \S+|bind \S+|default_backend |use_backend )",
    re.MULTILINE,
)


def recognises(path: str, text: str) -> bool:
    """haproxy*.cfg, or sections of haproxy with their lines."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    if "haproxy" in name and name.endswith((".cfg", ".conf")):
        return True
    return bool(_SECTION.search(text) and _LINE.search(text))


def lint(source: Source, settings: Settings, _open_file: OpenFile) -> Linted:
    """Every mistake on the routes that stream. Raises ConfigSyntaxError."""
    config = read_config(source)
    mistakes: list[Mistake] = []
    for route in streaming_routes(config, settings.hints):
        mistakes += find_held_packets(route, source)
        mistakes += find_compression(route, source)
        mistakes += find_awaited_bodies(route, source)
        mistakes += find_limits(route, source, settings.heartbeat_s)
    unread = (*config.unread, *unread_choices(config, source))
    return Linted(tuple(once_each(mistakes)), unread)


DIALECT = Dialect(
    name="haproxy",
    title="HAProxy",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
    check_command="haproxy -c -f FILE",
)
