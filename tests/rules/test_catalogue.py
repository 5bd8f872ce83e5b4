"""Tests that the catalogue of probe rules is complete and its texts are consistent."""

from __future__ import annotations

import importlib
import pkgutil
import re
from string import Formatter

import pytest

import undam.rules
from undam.rules import RULES, Fix, Rule, Severity, finding, rule_named

CATEGORIES = {
    "proxy": "1",
    "server": "2",
    "client": "3",
    "heartbeat": "4",
    "engine": "5",
    "integrity": "6",
    "content": "6",
    "transport": "[16]",  # one hop with both HTTP versions (1), and broken HTTP/2 streams (6)
    "capture": "9",
    "standing": "6",
    "caveats": "9",
}
each_rule = pytest.mark.parametrize("rule", RULES, ids=[rule.code for rule in RULES])


def rules_by_module() -> dict[str, tuple[Rule, ...]]:
    """Return the RULES tuple of each module in the package, except for the catalogue itself."""
    found = {}
    for module in pkgutil.iter_modules(undam.rules.__path__):
        loaded = importlib.import_module(f"undam.rules.{module.name}")
        if module.name != "catalogue" and hasattr(loaded, "RULES"):
            found[module.name] = loaded.RULES
    return found


def placeholders(message: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(message) if name is not None]


def test_catalogue_contains_every_rule_of_the_package_once() -> None:
    listed = [rule.code for rules in rules_by_module().values() for rule in rules]
    assert sorted(listed) == sorted(rule.code for rule in RULES)
    assert len(set(listed)) == len(listed)


def test_each_module_is_one_category() -> None:
    by_module = rules_by_module()
    assert set(by_module) == set(CATEGORIES)
    for name, rules in by_module.items():
        for rule in rules:
            assert re.fullmatch(rf"UD{CATEGORIES[name]}\d\d", rule.code), f"{rule.code} in {name}"


def test_codes_are_sorted_within_a_category() -> None:
    for rules in rules_by_module().values():
        codes = [rule.code for rule in rules]
        assert codes == sorted(codes)


def test_slugs_are_unique_and_readable() -> None:
    slugs = [rule.slug for rule in RULES]
    assert len(set(slugs)) == len(slugs)
    for slug in slugs:
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", slug)


@each_rule
def test_message_is_one_line_with_named_placeholders(rule: Rule) -> None:
    assert "\n" not in rule.message
    for name in placeholders(rule.message):
        # These names are parameters of finding(), so they cannot be names of evidence fields.
        assert name.isidentifier()
        assert name not in {"code", "hop", "evidence", "severity", "fix"}


@each_rule
def test_finding_fills_the_message(rule: Rule) -> None:
    evidence = {name: f"<{name}>" for name in placeholders(rule.message)}
    found = finding(rule.code, "edge", evidence)
    assert (found.code, found.slug, found.hop) == (rule.code, rule.slug, "edge")
    assert found.severity is rule.severity
    assert found.fix is None
    assert found.evidence == evidence
    assert "{" not in found.message
    for value in evidence.values():
        assert value in found.message


@each_rule
def test_explain_fits_a_terminal_and_has_substance(rule: Rule) -> None:
    lines = rule.explain.splitlines()
    assert 7 <= len(lines) <= 24
    assert max(map(len, lines)) <= 92
    assert not any(line != line.rstrip() or not line for line in lines)
    assert rule.message not in rule.explain


@each_rule
def test_codes_that_an_explain_text_points_to_exist(rule: Rule) -> None:
    for code in re.findall(r"UD\d{3}", rule.explain):
        assert code != rule.code
        rule_named(code)


def test_finding_accepts_evidence_as_mapping_and_keywords() -> None:
    both = finding("UD102", "edge", {"block_bytes": 4096, "bursts": 3}, events_per_burst="24")
    assert both.message == "the stream arrives in blocks of 4096 bytes, 24 events at a time"
    assert both.evidence == {"block_bytes": 4096, "bursts": 3, "events_per_burst": "24"}


def test_finding_can_override_severity_and_have_a_fix() -> None:
    fix = Fix("nginx", "proxy_buffering off;")
    found = finding("UD406", "edge", severity=Severity.INFO, fix=fix)
    assert rule_named("UD406").severity is Severity.WARNING
    assert found.severity is Severity.INFO
    assert found.fix == fix


def test_finding_without_evidence_raises() -> None:
    with pytest.raises(KeyError, match="events_per_burst"):
        finding("UD102", "edge", block_bytes=4096)


@each_rule
def test_rule_named_accepts_code_and_slug_in_any_case(rule: Rule) -> None:
    for name in (rule.code, rule.code.lower(), rule.slug, rule.slug.upper()):
        assert rule_named(name) is rule


@pytest.mark.parametrize("name", ["", "UD100", "UD1011", "held to end", "nginx"])
def test_rule_named_rejects_unknown_names(name: str) -> None:
    with pytest.raises(KeyError):
        rule_named(name)
