"""Rule CAD102: compression of event streams."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.caddy.parser import CaddyDirective
from undam.lint.dialects.caddy.routes import CaddyRoute
from undam.rules import Severity
from undam.textfiles.edits import Edit, line_ending
from undam.versions import CADDY_ENCODE_FLUSHES, CADDY_HEAD_AT_ONCE, Version, VersionRange

ENCODED = ConfigRule(
    code="CAD102",
    slug="encode-on-stream",
    severity=Severity.WARNING,
    message="encode compresses event streams and does not flush the compressed data",
    safety=Safety.UNSAFE,
    what="""
        Without a `match`, encode compresses every text/* response whose first write contains at
        least `minimum_length` bytes (512 by default). Before Caddy 2.9, flushing the stream does
        not flush the compressor.
    """,
    why="""
        A stream with a long first event is held: zstd releases it at the end, and gzip releases it
        in blocks. Setting `flush_interval -1` does not release the compressed data.
    """,
    detection="""
        An `encode` that has no `match`, or whose `match` includes event streams, applies to a
        streaming route. Since Caddy 2.9, only the response head is held, so the severity is info.
        Since Caddy 2.11.7, nothing is held. If no route in this file is known to stream, the
        severity is info.
    """,
    measured="""
        Caddy 2.6.2, with 150 events of 700 bytes sent 5 ms apart: with zstd, all events arrived
        after 0.75 s. With gzip, each read returned 66 events. Caddy forwarded events shorter than
        512 bytes immediately; with `minimum_length 1`, they arrived at the end of the stream.
    """,
    fix="""
        List the content types to compress. Caddy then no longer compresses other types.

            encode gzip {
                match {
                    header Content-Type text/html*
                }
            }
    """,
    source=(
        "measured on loopback with Caddy 2.6.2; caddyserver.com, encode; source code of Caddy "
        "2.9.1, modules/caddyhttp/encode"
    ),
    affected=CADDY_ENCODE_FLUSHES.before,
)

RULES = (ENCODED,)

_HEAD_HELD = VersionRange(CADDY_ENCODE_FLUSHES.since, CADDY_HEAD_AT_ONCE.since)
_EVENT_STREAM = "text/event-stream"
_TYPES = ("text/html*", "text/css*", "application/javascript*", "application/json*")


def find(route: CaddyRoute, version: Version | None) -> Iterator[Diagnostic]:
    """Find the `encode` directives that compress event streams on a route.

    Args:
        version: version of Caddy; newer ones hold only the response head.
    """
    for directive in route.around:
        if directive.name == "encode" and _compresses_streams(directive):
            edits = _add_type_list(directive)
            found = diagnostic_at(ENCODED, directive.source, directive.span, *edits)
            holds_head = version is not None and _HEAD_HELD.contains(version)
            yield _holding_the_head(found) if holds_head else found


def _holding_the_head(one: Diagnostic) -> Diagnostic:
    message = "encode compresses event streams: the response head waits for the first event"
    return replace(one, severity=Severity.INFO, message=message, affected=_HEAD_HELD)


def _compresses_streams(encode: CaddyDirective) -> bool:
    formats = [text for text in encode.texts if not text.startswith(("/", "@", "*"))]
    inner = [one.name for one in encode.inside("gzip", "zstd", "br")]
    matches = list(encode.inside("match"))
    if not matches:
        return bool(formats or inner) or not encode.texts
    tests = [(one.words[1:] if one.name == "match" else one.words) for one in _tests(matches)]
    words = [tuple(word.text.lower() for word in test) for test in tests]
    return any(
        test[:2] == ("header", "content-type")
        and any(_matches(pattern, _EVENT_STREAM) for pattern in test[2:])
        for test in words
    )


def _tests(matches: list[CaddyDirective]) -> Iterator[CaddyDirective]:
    for one in matches:
        yield one
        yield from one.block or ()


def _matches(pattern: str, text: str) -> bool:
    return text.startswith(pattern.rstrip("*")) if pattern.endswith("*") else pattern == text


def _add_type_list(encode: CaddyDirective) -> list[Edit]:
    """Return the edit that adds a list of types to a one-line `encode`; empty if not possible."""
    written = encode.source.text[encode.start : encode.words[-1].end]
    if encode.block is not None or "\n" in written:
        return []
    source, end = encode.source, line_ending(encode.source)
    indent = source.indent_at(encode.start)
    step = "\t" if "\t" in indent else "    "
    types = "".join(f"{indent}{step * 2}header Content-Type {one}{end}" for one in _TYPES)
    block = f" {{{end}{indent}{step}match {{{end}{types}{indent}{step}}}{end}{indent}}}"
    at = encode.words[-1].end
    return [Edit(at, at, block)]
