"""The words of a verdict."""

from undam.findings.finding import Finding, Fix, Rule, Severity, Verdict

__all__ = ["Finding", "Fix", "Rule", "Severity", "Verdict"]
