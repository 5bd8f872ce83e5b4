"""The rule catalogue, and the data model for rules and findings."""

from undam.rules.catalogue import RULES, finding, rule_named
from undam.rules.model import Finding, Fix, Rule, Severity, Verdict

__all__ = ["RULES", "Finding", "Fix", "Rule", "Severity", "Verdict", "finding", "rule_named"]
