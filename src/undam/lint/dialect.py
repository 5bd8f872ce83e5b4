"""The interface of a dialect. Each dialect is a package; `registry.py` lists all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from undam.errors import UsageError
from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.settings import Settings
from undam.textfiles.source import Source, UnreadPart

IncludeOpener = Callable[[str], list[Source]]
"""Return the files that match an include, sorted by name. Missing files are omitted.

The argument is the pattern as written in the configuration, which may be a glob. The opener
decides which folder a relative pattern starts from."""

# Characters without a special meaning in any dialect.
_LITERAL = re.compile(r"[A-Za-z0-9_./:\[\]~%@+,=*-]+")


def no_includes(_pattern: str) -> list[Source]:
    """Return no files; the ``IncludeOpener`` for a text that is linted without its includes."""
    return []


@dataclass(frozen=True, slots=True)
class LintResult:
    """Diagnostics of one configuration file and the files it includes.

    Args:
        unread: parts that could not be parsed and were therefore not analyzed.
        included: the files that the ``IncludeOpener`` returned. A diagnostic is located in one of
            them or in the linted file; suppression comments and fixes need their text.
    """

    diagnostics: tuple[Diagnostic, ...] = ()
    unread: tuple[UnreadPart, ...] = ()
    included: tuple[Source, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRequest:
    """Parameters of a configuration to render.

    Args:
        upstream: origin server, ``http://HOST:PORT``.
        path: prefix of the streaming route.
        idle_s: maximum silence of a stream, in seconds.
        listen: ``HOST:PORT`` to listen on.
    """

    upstream: str
    path: str = "/"
    idle_s: float = 3600.0
    listen: str = "127.0.0.1:8080"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """Dialect: one type of configuration file.

    Args:
        name: value of ``--dialect``.
        title: display name of the program.
        recognises: ``(path, text) -> bool``; decides by file name and content.
        lint: raises ConfigSyntaxError if the text cannot be parsed.
        render: returns a complete configuration that the program accepts without changes.
        comment: characters that start a comment; ``undam: allow`` follows them.
    """

    name: str
    title: str
    rules: tuple[ConfigRule, ...]
    recognises: Callable[[str, str], bool]
    lint: Callable[[Source, Settings, IncludeOpener], LintResult]
    render: Callable[[RenderRequest], str]
    comment: str = "#"


def require_literal_values(request: RenderRequest, program: str) -> None:
    """Check that no value to render has a special meaning in a configuration of ``program``.

    Raises:
        UsageError: a value contains a character that could have one.
    """
    for value in (request.upstream, request.path, request.listen):
        if not _LITERAL.fullmatch(value):
            raise UsageError(f"{value!r} cannot be written in a configuration of {program}")
