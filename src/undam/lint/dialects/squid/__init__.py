"""squid.conf: limits of silence, of time and of size, and delay pools; it buffers nothing."""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.squid.catalogue import RULES
from undam.lint.dialects.squid.reader import read_config
from undam.lint.dialects.squid.render import render
from undam.lint.dialects.squid.rules import find_limits, find_pools, find_sizes, streams_pass
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_SIGN = re.compile(r"^[ \t]*(?:http_access|cache_peer|http_port)[ \t]+\S", re.MULTILINE)


def recognises(path: str, text: str) -> bool:
    """squid*.conf, or a text with its access rules, ports or peers."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    return (name.startswith("squid") and name.endswith(".conf")) or bool(_SIGN.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Every mistake, if streams pass. Raises ConfigSyntaxError."""
    config = read_config(source, open_include)
    diagnostics: list[Diagnostic] = []
    if streams_pass(config, settings.hints):
        diagnostics += find_pools(config)
        diagnostics += find_limits(config, settings.heartbeat_s)
        diagnostics += find_sizes(config, settings.hints)
    return LintResult(unique_diagnostics(diagnostics), tuple(config.unread), tuple(config.included))


DIALECT = Dialect(
    name="squid",
    title="Squid",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
