"""The rule model: the texts of a rule, and their formatting."""

from __future__ import annotations

from dataclasses import replace

from undam.rules import Finding, Fix, Rule, Severity
from undam.rules.model import finding_json, paragraphs

RULE = Rule(
    code="UD199",
    slug="water-held",
    severity=Severity.ERROR,
    message="held for {ms} ms",
    what="A hop holds events.",
    why="""
        Readers wait.
    """,
    detection="By the gaps.",
    fix="""
        Turn the buffer
        off:

            proxy_buffering off;
                nested

        Then run the check again.
    """,
)


def test_indentation_of_a_text_is_removed() -> None:
    assert RULE.why == "Readers wait."
    assert RULE.fix.startswith(
        "Turn the buffer\noff:\n\n    proxy_buffering off;\n        nested\n"
    )


def test_sections_leave_out_absent_texts() -> None:
    assert [heading for heading, _ in RULE.sections] == ["What", "Why it hurts", "Detection", "Fix"]
    full = replace(RULE, causes="c", measured="m", source="s")
    assert [heading for heading, _ in full.sections] == [
        "What", "Why it hurts", "Detection", "Causes", "Measured", "Fix", "Source",
    ]  # fmt: skip
    assert list(full.texts) == ["what", "why", "detection", "causes", "measured", "fix", "source"]


def test_paragraphs_unwrap_prose_and_keep_code() -> None:
    assert list(paragraphs(RULE.fix)) == [
        "Turn the buffer off:",
        "    proxy_buffering off;\n        nested",
        "Then run the check again.",
    ]


def test_explain_wraps_prose_and_leaves_code_as_it_is() -> None:
    rule = replace(RULE, what="word " * 40)
    what, after = rule.explain.split("Why it hurts: ")
    assert what.startswith("What: word word")
    assert {len(line) <= 92 for line in what.splitlines()} == {True}
    assert len(what.splitlines()) == 3
    assert after == (
        "Readers wait.\nDetection: By the gaps.\nFix: Turn the buffer off:\n"
        "    proxy_buffering off;\n        nested\nThen run the check again.\n"
    )


def test_finding_as_json_has_its_evidence_and_fix() -> None:
    one = Finding("UD199", "water-held", Severity.ERROR, "edge", "held for 5 ms", {"ms": 5})
    expected = {
        "code": "UD199",
        "slug": "water-held",
        "severity": "error",
        "hop": "edge",
        "message": "held for 5 ms",
        "evidence": {"ms": 5},
        "fix": None,
    }
    assert finding_json(one) == expected
    fixed = replace(one, fix=Fix("nginx", "proxy_buffering off;"))
    assert finding_json(fixed) == expected | {
        "fix": {"where": "nginx", "text": "proxy_buffering off;"}
    }
