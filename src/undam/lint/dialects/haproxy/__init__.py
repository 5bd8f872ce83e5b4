"""haproxy.cfg: the kernel's 200 ms, compression, awaited bodies, timeouts."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.haproxy.buffering import find_awaited_bodies, find_held_packets
from undam.lint.dialects.haproxy.catalogue import RULES
from undam.lint.dialects.haproxy.compression import find_compression
from undam.lint.dialects.haproxy.limits import find_limits
from undam.lint.dialects.haproxy.reader import read_config
from undam.lint.dialects.haproxy.render import render
from undam.lint.dialects.haproxy.routes import streaming_routes, unread_choices
from undam.lint.settings import Settings
from undam.textfiles.source import Source

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


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Every mistake on the routes that stream. Raises ConfigSyntaxError."""
    config = read_config(source)
    diagnostics: list[Diagnostic] = []
    for route in streaming_routes(config, settings.hints):
        diagnostics += find_held_packets(route, source)
        diagnostics += find_compression(route, source)
        diagnostics += find_awaited_bodies(route, source)
        diagnostics += find_limits(route, source, settings.heartbeat_s)
    unread = (*config.unread, *unread_choices(config, source))
    return LintResult(unique_diagnostics(diagnostics), unread)


DIALECT = Dialect(
    name="haproxy",
    title="HAProxy",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
