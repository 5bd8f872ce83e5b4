"""CAD102: compression of event streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.caddy.parser import CaddyDirective
from undam.lint.dialects.caddy.routes import CaddyRoute
from undam.rules import Severity
from undam.textfiles.edits import Edit, line_ending

ENCODED = ConfigRule(
    code="CAD102",
    slug="encode-on-stream",
    severity=Severity.WARNING,
    message="encode compresses event streams, and before Caddy 2.9 it holds what it compresses",
    safety=Safety.UNSAFE,
    what="""
        Without a `match`, encode compresses every text/* response whose first write is at least
        `minimum_length` long (512 bytes by default). Before 2.9, flushing the stream does not flush
        the compressor.
    """,
    why="""
        A stream with a long first event is held: to its end with zstd, in blocks with gzip.
        `flush_interval -1` has no effect on this.
    """,
    detection="""
        An `encode` without `match`, or with one that includes event streams, applies to a streaming
        route.
    """,
    measured="""
        Caddy 2.6.2, 150 events of 700 bytes, 5 ms apart: with zstd all of them arrived after
        0.75 s, with gzip 66 per read. Events below 512 bytes passed at once; with
        `minimum_length 1` they arrived at the end.
    """,
    fix="""
        List the types to compress; other types are then no longer compressed. From Caddy 2.9 on,
        each event is flushed, so allow the rule there.

            encode gzip {
                match {
                    header Content-Type text/html*
                }
            }
    """,
    source=(
        "measured on loopback with Caddy 2.6.2; caddyserver.com, encode; "
        "modules/caddyhttp/encode of v2.9.1, which flushes the encoder"
    ),
)

RULES = (ENCODED,)

_EVENT_STREAM = "text/event-stream"
_TYPES = ("text/html*", "text/css*", "application/javascript*", "application/json*")


def find(route: CaddyRoute) -> Iterator[Diagnostic]:
    """Find the `encode` directives that compress event streams of a route."""
    for directive in route.around:
        if directive.name == "encode" and _compresses_streams(directive):
            edits = _add_type_list(directive)
            yield diagnostic_at(ENCODED, directive.source, directive.span, *edits)


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
    """Limit a one-line `encode` to a list of types."""
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
