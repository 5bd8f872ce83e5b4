"""Rules for cloud resources and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.cloud.routes import CloudResource
from undam.lint.dialects.cloud.rules import buffering, compression, limits
from undam.lint.limits import ExpectedSilence
from undam.textfiles.source import Source

RULES: tuple[ConfigRule, ...] = (*buffering.RULES, *compression.RULES, *limits.RULES)


def find(
    resource: CloudResource, source: Source, silence: ExpectedSilence, *, only_explicit: bool
) -> Iterator[Diagnostic]:
    """Find all problems with a cloud resource.

    Args:
        only_explicit: do not report defaults, because nothing is known about the resource.
    """
    yield from buffering.find(resource, source, only_explicit=only_explicit)
    yield from compression.find(resource, source)
    yield from limits.find(resource, source, silence, only_explicit=only_explicit)
