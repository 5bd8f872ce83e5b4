"""Catalogue of all rules, from which findings are created."""

from __future__ import annotations

from collections.abc import Mapping

from undam.rules import (
    capture,
    caveats,
    client,
    content,
    engine,
    heartbeat,
    integrity,
    proxy,
    server,
    standing,
    transport,
)
from undam.rules.model import Finding, Fix, Rule, Severity

RULES: tuple[Rule, ...] = (
    *proxy.RULES,
    *server.RULES,
    *client.RULES,
    *heartbeat.RULES,
    *engine.RULES,
    *integrity.RULES,
    *content.RULES,
    *transport.RULES,
    *standing.RULES,
    *caveats.RULES,
    *capture.RULES,
)

_BY_NAME = {key: rule for rule in RULES for key in (rule.code, rule.slug)}


def rule_named(name: str) -> Rule:
    """Return the rule with this code or slug; case is ignored.

    Raises:
        KeyError: there is no such rule.
    """
    return _BY_NAME[name.upper() if name.upper() in _BY_NAME else name.lower()]


def finding(
    code: str,
    hop: str,
    evidence: Mapping[str, object] | None = None,
    *,
    severity: Severity | None = None,
    fix: Fix | None = None,
    **more: object,
) -> Finding:
    """Create a finding for rule ``code`` at ``hop``.

    Args:
        evidence: values by name, which fill the placeholders of the rule's message; ``more`` is
            added to them.
        severity: overrides the severity of the rule.
    """
    rule = rule_named(code)
    values = {**(evidence or {}), **more}
    return Finding(
        rule.code,
        rule.slug,
        severity or rule.severity,
        hop,
        rule.message.format_map(values),
        values,
        fix,
    )
