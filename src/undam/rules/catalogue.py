"""Every rule that a probe can find, by hand, and how a rule becomes a finding."""

from __future__ import annotations

from collections.abc import Mapping

from undam.rules import caveats, client, engine, heartbeat, integrity, proxy, server
from undam.rules.model import Finding, Fix, Rule, Severity

RULES: tuple[Rule, ...] = (
    *proxy.RULES,
    *server.RULES,
    *client.RULES,
    *heartbeat.RULES,
    *engine.RULES,
    *integrity.RULES,
    *caveats.RULES,
)

_BY_NAME = {key: rule for rule in RULES for key in (rule.code, rule.slug)}


def rule_named(name: str) -> Rule:
    """The rule with this code (any case) or slug; raises KeyError."""
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
    """Find rule ``code`` at ``hop``; the evidence fills the rule's message.

    Args:
        evidence: figures and names, by the message's placeholders and beyond; ``more`` adds to it.
        severity: instead of the rule's own, where the circumstances make it worse or harmless.
    """
    rule = rule_named(code)
    known = {**(evidence or {}), **more}
    return Finding(
        rule.code,
        rule.slug,
        severity or rule.severity,
        hop,
        rule.message.format_map(known),
        known,
        fix,
    )
