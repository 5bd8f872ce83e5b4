"""Rule CLD102: platforms that compress event streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.cloud.routes import CloudFact, CloudResource
from undam.rules import Severity
from undam.textfiles.source import Source

COMPRESSED = ConfigRule(
    code="CLD102",
    slug="platform-compresses-streams",
    severity=Severity.WARNING,
    message="{title}: {name} buffers events in order to compress them",
    safety=Safety.UNSAFE,
    what="""
        Fly.io's proxy compresses responses if `compress` is true; IIS does so if dynamic
        compression is on. A compressor collects data before it emits a block.
    """,
    why="Short events stay in the compressor, so the tokens arrive in bursts or at the end.",
    detection="""
        For a service that streams, fly.toml sets `compress = true` in `http_options`, or web.config
        sets `doDynamicCompression="true"`.
    """,
    measured="No; the rule relies on documentation.",
    fix="""
        Turn compression off. Alternatively, let the application send `Content-Encoding: none`
        (Fly.io), or let the application compress and flush the stream itself. If compression is
        off, other responses are not compressed either.

            compress = false
    """,
    source=(
        "fly.io/docs, reference/content-encoding (2025-06-17); learn.microsoft.com, IIS, "
        "urlCompression; accessed 2026-11"
    ),
)

RULES = (COMPRESSED,)


def find(resource: CloudResource, source: Source) -> Iterator[Diagnostic]:
    """Find platforms that compress event streams."""
    for one in resource.of(CloudFact.COMPRESSION):
        edits = (one.edit,) if one.edit is not None else ()
        yield diagnostic_at(
            COMPRESSED, source, one.span, *edits, title=resource.title, name=one.name
        )
