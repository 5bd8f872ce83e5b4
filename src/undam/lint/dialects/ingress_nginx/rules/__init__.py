"""Rules for ingress-nginx and their checks, one module per topic.

By default ingress-nginx turns buffering off and uses HTTP/1.1, unlike nginx itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from undam.lint.diagnostics import ConfigRule, Diagnostic
from undam.lint.dialects.ingress_nginx.parser import StringMap
from undam.lint.dialects.ingress_nginx.routes import Ingress
from undam.lint.dialects.ingress_nginx.rules import buffering, ineffective, limits, protocol
from undam.lint.settings import Settings
from undam.textfiles.source import Source

RULES: tuple[ConfigRule, ...] = (
    *buffering.RULES,
    *protocol.RULES,
    *ineffective.RULES,
    *limits.RULES,
)


def find_in_ingress(
    ingress: Ingress, config_maps: Sequence[StringMap], source: Source, settings: Settings
) -> Iterator[Diagnostic]:
    """Find all problems with an Ingress that streams or may stream.

    Args:
        config_maps: the settings of the controller in the same file.
    """
    yield from limits.find_in_ingress(ingress, config_maps, source, settings.silence)
    if ingress.annotations is not None:
        yield from buffering.find_in_ingress(ingress, ingress.annotations, source)
        yield from protocol.find(ingress.annotations, source)
        yield from ineffective.find_in_snippet(ingress.annotations, source)
        yield from ineffective.find_unquoted(ingress.annotations, source)
        yield from ineffective.find_units(ingress.annotations, source)


def find_in_config_map(data: StringMap, source: Source, settings: Settings) -> Iterator[Diagnostic]:
    """Find all ConfigMap settings that affect streams in the cluster."""
    yield from buffering.find_in_config_map(data, source)
    yield from ineffective.find_unquoted(data, source)
    yield from limits.find_in_config_map(data, source, settings.silence)
