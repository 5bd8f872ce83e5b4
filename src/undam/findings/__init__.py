"""The words of a verdict, and the catalogue of what can be found."""

from undam.findings.catalogue import RULES, finding, rule_named
from undam.findings.finding import Finding, Fix, Rule, Severity, Verdict

__all__ = ["RULES", "Finding", "Fix", "Rule", "Severity", "Verdict", "finding", "rule_named"]
