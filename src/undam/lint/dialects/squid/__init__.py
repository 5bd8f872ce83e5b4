"""squid.conf: limits on silence, duration and size, and delay pools. Squid does not buffer."""

from __future__ import annotations

import re

from undam.lint.diagnostics import unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.squid.parser import read_config
from undam.lint.dialects.squid.render import render
from undam.lint.dialects.squid.routes import streams_pass
from undam.lint.dialects.squid.rules import RULES, find
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_CONTENT = re.compile(r"^[ \t]*(?:http_access|cache_peer|http_port)[ \t]+\S", re.MULTILINE)


def recognises(path: str, text: str) -> bool:
    """Return whether a file is a squid.conf, by its name or by directives that only Squid has."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    return (name.startswith("squid") and name.endswith(".conf")) or bool(_CONTENT.search(text))


def lint(source: Source, settings: Settings, open_include: IncludeOpener) -> LintResult:
    """Find the problems of the streams that pass through.

    Raises:
        ConfigSyntaxError: a file cannot be parsed.
    """
    config = read_config(source, open_include)
    found = find(config, settings) if streams_pass(config, settings.hints) else ()
    return LintResult(unique_diagnostics(found), tuple(config.unread), tuple(config.included))


DIALECT = Dialect(
    name="squid",
    title="Squid",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
