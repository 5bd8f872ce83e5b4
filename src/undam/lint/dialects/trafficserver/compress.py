"""compress.config: sections of settings, one of all sites and one each of some."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from itertools import pairwise

from undam.lint.diagnostics import Diagnostic, diagnostic_at
from undam.lint.dialects.trafficserver.catalogue import NO_FLUSH
from undam.rules import Severity
from undam.textfiles.edits import Edit, insert_line_after
from undam.textfiles.source import Source

_LINE = re.compile(r"^[ \t]*([\w-]+)[ \t]+([^#\s][^#\r\n]*)", re.MULTILINE)
_SITE = re.compile(r"^[ \t]*\[[^\]\r\n]*\]", re.MULTILINE)
# With and without a charset, since the plugin compares the whole header.
_STREAMS = ("text/event-stream", "text/event-stream; charset=utf-8")
# Longer patterns and more stars than any real type has would be slow to match.
_LONGEST = 100


@dataclass(slots=True)
class _Section:
    """The settings of one site."""

    types: list[tuple[str, int, int]] = field(default_factory=list)
    flush: tuple[str, int, int] | None = None
    enabled: bool = True


def find_unflushed(source: Source, *, told: bool) -> Iterator[Diagnostic]:
    """Sections that compress event streams and do not flush.

    Args:
        told: whether the user said that something streams.
    """
    for section in _sections(source):
        matching = _matching(section)
        if matching is None or not section.enabled:
            continue
        if section.flush is not None and section.flush[0] == "true":
            continue
        pattern, start, end = matching
        sure = told or "event-stream" in pattern
        yield diagnostic_at(
            NO_FLUSH,
            source,
            (start, end),
            *((_flushed(source, section, start),) if sure else ()),
            severity=None if sure else Severity.INFO,
            pattern=pattern,
        )


def _flushed(source: Source, section: _Section, start: int) -> Edit:
    if section.flush is None:
        return insert_line_after(source, start, "flush true")
    _, first, last = section.flush
    return Edit(first, last, "true")


def _sections(source: Source) -> Iterator[_Section]:
    bounds = [0, *(found.start() for found in _SITE.finditer(source.text)), len(source.text)]
    for first, last in pairwise(bounds):
        section = _Section()
        for line in _LINE.finditer(source.text, first, last):
            _note(section, line)
        yield section


def _note(section: _Section, line: re.Match[str]) -> None:
    name, value, start = line[1], line[2].rstrip(), line.start(2)
    end = start + len(value)
    if name == "compressible-content-type":
        section.types.append((value, start, end))
    elif name == "flush":
        section.flush = (value.lower(), start, end)
    elif name == "enabled":
        section.enabled = value.lower() != "false"


def _matching(section: _Section) -> tuple[str, int, int] | None:
    """The pattern by which an event stream is compressed; the last that matches decides."""
    for stream in _STREAMS:
        for pattern, start, end in reversed(section.types):
            bare = pattern.removeprefix("!").lower()
            if len(bare) <= _LONGEST and fnmatchcase(stream, _few_stars(bare)):
                if pattern.startswith("!"):
                    break
                return pattern, start, end
    return None


def _few_stars(pattern: str) -> str:
    """Stars in a row as one, and no brackets, which the plugin does not know."""
    return re.sub(r"\*+", "*", pattern).replace("[", "[[]")
