"""Interface that every dialect implements. Each dialect is a package; `registry.py` lists them.

A dialect finds the routes of a configuration and assesses each of them, streaming or not:

    routes, found = [], []
    hints = settings.hints_for(source.path)
    for one in ...:
        assessment = assess_route(one.path, one.upstreams, hints, sites=..., recipes=...)
        route = AssessedRoute(source.path, one.line, one.path, one.upstream, assessment, one.path)
        routes.append(route)
        if route.assessment.is_considered:
            found += for_route(route, rules.find(one, settings))
    return LintResult(unique_diagnostics(found), routes=tuple(routes))

The engine does the rest, for every dialect in the same way:

- Diagnostics of a route that *streams* are reported as they are. Those of a route that *may* stream
  become one remark without edits. A dialect reports nothing for other routes.
- A diagnostic without a route concerns the whole server. If no route streams, wrap it in
  `if_anything_streams`.
- A diagnostic whose ``affected`` range does not contain the version of the program
  (``settings.target(NAME)``) is dropped. If the version is not known, its severity is at most a
  warning, and the message names the range.
- A conclusion from the absence of a setting is certain only if its whole scope was read. If an
  include was not opened, or the text has `holes` (parts of a template), wrap the diagnostic in
  `with_unread_part`; for dialects that do not, the engine does so for every fix that only inserts.

Idle limits are compared with ``settings.silence``, total limits with `total_limit_severity`.
A configuration inside another file (a ConfigMap, a here-document) arrives as a `Source` of the same
length in which everything else is blank, so offsets are those of the outer file.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from undam.errors import UsageError
from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.evidence.assessment import AssessedRoute
from undam.lint.settings import Settings
from undam.textfiles.source import Source, UnreadPart
from undam.versions import Version

IncludeOpener = Callable[[str], list[Source]]
"""Return the files that match an include, sorted by name. Missing files are omitted.

The argument is the pattern as written in the configuration, which may be a glob. The opener
decides which folder a relative pattern starts from. If it opens only some of the matching files, it
returns them as `PartlyOpened`."""


class PartlyOpened(list[Source]):
    """The files that match an include, except some that were not opened."""


# Characters that have no special meaning in any dialect.
_LITERAL = re.compile(r"[A-Za-z0-9_./:\[\]~%@+,=*-]+")
# Files from a program's distribution that do not affect streaming.
_STOCK_INCLUDE = re.compile(r"(?:mime\.types|_params|\.types)$")


def no_includes(_pattern: str) -> list[Source]:
    """Return no files: the ``IncludeOpener`` for a text that is linted without its includes."""
    return []


@dataclass(frozen=True, slots=True)
class LintResult:
    """Diagnostics for a configuration file and the files that it includes.

    Args:
        unread: parts that could not be parsed and were therefore not analyzed.
        included: the files that the ``IncludeOpener`` returned. A diagnostic is located in one of
            them or in the linted file; suppression comments and fixes need their text.
        routes: every route that was found, streaming or not.
        unopened: patterns of includes that were not opened.
        knows_scopes: the dialect itself has taken into account what was not read.
    """

    diagnostics: tuple[Diagnostic, ...] = ()
    unread: tuple[UnreadPart, ...] = ()
    included: tuple[Source, ...] = ()
    routes: tuple[AssessedRoute, ...] = ()
    unopened: tuple[str, ...] = ()
    knows_scopes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RenderRequest:
    """Parameters for rendering a configuration.

    Args:
        upstream: origin server, ``http://HOST:PORT``.
        path: prefix of the streaming route.
        idle_s: maximum silence of a stream, in seconds.
        listen: ``HOST:PORT`` to listen on.
        target: version of the program; ``None`` writes a configuration for all versions.
    """

    upstream: str
    path: str = "/"
    idle_s: float = 3600.0
    listen: str = "127.0.0.1:8080"
    target: Version | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """A type of configuration file that the linter can read.

    Args:
        name: value of ``--dialect``.
        title: display name of the program.
        recognises: ``(path, text) -> bool``; decides by file name and content.
        lint: raises ConfigSyntaxError if the text cannot be parsed.
        render: returns a complete configuration that the program accepts without changes.
        comment: characters that start a comment; ``undam: allow`` follows them.
        is_additional: its files may also be files of another dialect, and are then linted in both.
            Scripts and Dockerfiles may be among them.
        reads_programs: the dialect reads source code. Other dialects are not tried on it.
    """

    name: str
    title: str
    rules: tuple[ConfigRule, ...]
    recognises: Callable[[str, str], bool]
    lint: Callable[[Source, Settings, IncludeOpener], LintResult]
    render: Callable[[RenderRequest], str]
    comment: str = "#"
    is_additional: bool = False
    reads_programs: bool = False


def has_any(text: str, *words: str) -> bool:
    """Return whether a text contains at least one of the words.

    A substring search is much faster than an expression that is tried at each line, so dialects
    decide with it first whether a text can be theirs.
    """
    return any(word in text for word in words)


def has_name_or_content(
    path: str,
    text: str,
    *,
    name: re.Pattern[str],
    not_name: re.Pattern[str],
    content: re.Pattern[str],
) -> bool:
    """Return whether the name of a file, or else its content, indicates a dialect.

    Args:
        name: names for which the content does not matter. Names are compared in lower case.
        not_name: names of other files, whatever their content is.
    """
    low = path.replace("\\", "/").lower()
    if name.search(low):
        return True
    return not not_name.search(low) and content.search(text) is not None


def is_stock_include(pattern: str) -> bool:
    """Return whether an include names a distribution file that does not affect streaming."""
    return bool(_STOCK_INCLUDE.search(pattern))


def require_literal_values(request: RenderRequest, program: str) -> None:
    """Check that no value has a special meaning in a configuration for ``program``.

    Raises:
        UsageError: a value contains a character that could have one.
    """
    for value in (request.upstream, request.path, request.listen):
        if not _LITERAL.fullmatch(value):
            raise UsageError(f"{value!r} cannot be written in a configuration for {program}")
