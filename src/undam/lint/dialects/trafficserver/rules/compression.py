"""Rule ATS101: compression without flushing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fnmatch import fnmatchcase

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.trafficserver.parser import CompressSection, read_compress
from undam.rules import Severity
from undam.textfiles.edits import Edit, insert_line_after
from undam.textfiles.source import Source
from undam.textfiles.tokens import Word

NO_FLUSH = ConfigRule(
    code="ATS101",
    slug="compress-without-flush",
    severity=Severity.ERROR,
    message=(
        "text/event-stream is compressed ({pattern}) and flushed only at the end: "
        "'flush true' is missing"
    ),
    safety=Safety.SAFE,
    what="""
        The compress plugin keeps its output until its buffer is full, unless `flush` is true
        (default: false).
    """,
    why="The response head arrives immediately, but no event arrives until the model has finished.",
    detection="""
        An enabled section of compress.config has a compressible-content-type that matches event
        streams, but the section does not set `flush true`. If event streams match only through a
        wildcard (text/*), the severity is error with `--stream` and info without it.
    """,
    measured="""
        Traffic Server 9.2, with events sent 25 ms apart for 3 s: the head arrived after 1 ms, and
        all events arrived together after 3.0 s. With `flush true`, events arrived 0.3 ms late. A
        pattern without `*` does not match a Content-Type with a charset parameter.
    """,
    fix="""
        Set `flush true`, so that the compressor sends each event immediately. The compressed data
        is then split into more pieces and is slightly larger.

            compressible-content-type text/event-stream*
            flush true
    """,
    source=(
        "measured on loopback with Traffic Server 9.2; docs.trafficserver.apache.org, "
        "Compress Plugin"
    ),
)

RULES = (NO_FLUSH,)

# Both forms are checked, because the plugin matches against the whole header, including any
# charset.
_EVENT_STREAMS = ("text/event-stream", "text/event-stream; charset=utf-8")
# Longer patterns are ignored, because they match no real type and would be slow to match.
_MAX_PATTERN_CHARS = 100


def find(source: Source, *, has_hints: bool) -> Iterator[Diagnostic]:
    """Find sections that compress event streams without flushing.

    Args:
        has_hints: the user has stated which paths stream.
    """
    for section in read_compress(source):
        matching = _matching_type(section)
        if matching is None or not section.enabled:
            continue
        if section.flush is not None and section.flush.text == "true":
            continue
        is_certain = has_hints or "event-stream" in matching.text
        yield diagnostic_at(
            NO_FLUSH,
            source,
            matching.span,
            *((_set_flush(source, section, matching.start),) if is_certain else ()),
            severity=None if is_certain else Severity.INFO,
            pattern=matching.text,
        )


def _set_flush(source: Source, section: CompressSection, start: int) -> Edit:
    if section.flush is None:
        return insert_line_after(source, start, "flush true")
    return Edit(*section.flush.span, "true")


def _matching_type(section: CompressSection) -> Word | None:
    """Return the last type pattern that includes event streams; the last match takes precedence."""
    for stream in _EVENT_STREAMS:
        for word in reversed(section.types):
            bare = word.text.removeprefix("!").lower()
            if len(bare) <= _MAX_PATTERN_CHARS and fnmatchcase(stream, _glob(bare)):
                if word.text.startswith("!"):
                    break
                return word
    return None


def _glob(pattern: str) -> str:
    """Merge repeated stars, because they are slow to match, and escape literal brackets."""
    return re.sub(r"\*+", "*", pattern).replace("[", "[[]")
