"""Rules for Istio and their checks, one module per topic."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.istio.routes import MeshRoute
from undam.lint.dialects.istio.rules import buffering, limits
from undam.lint.kubernetes.resources import Resource
from undam.lint.limits import ExpectedSilence
from undam.textfiles.source import Source

RULES: tuple[ConfigRule, ...] = (*buffering.RULES, *limits.RULES)


def find_in_route(route: MeshRoute, source: Source) -> Iterator[Diagnostic]:
    """Find all problems with a route that streams or may stream."""
    yield from limits.find_in_route(route, source)


def find_in_filter(
    resource: Resource, source: Source, silence: ExpectedSilence
) -> Iterator[Diagnostic]:
    """Find all problems in the patches of an EnvoyFilter."""
    yield from buffering.find_in_filter(resource, source)
    yield from limits.find_in_filter(resource, source, silence)
