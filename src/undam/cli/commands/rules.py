"""`undam rules`: list the rules of `undam check` and `undam lint`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from undam.cli.commands.lint.text import COLOURS
from undam.cli.main import EXIT_CLEAN
from undam.cli.ui.output import STDOUT, console, json_option, write_json
from undam.lint import DIALECTS, ConfigRule
from undam.rules import RULES, Rule

if TYPE_CHECKING:
    from rich.console import Console

_CHECK = "a stream (undam check)"


@click.command()
@json_option
def command(json_to: str | None) -> int:
    """List all rules of check and lint.

    Each line shows the code, the severity, whether `undam fix` can fix the finding, and the rule's
    name. `undam explain CODE` explains a rule in full.
    """
    if json_to is not None:
        write_json(_json(), json_to)
    if json_to != STDOUT:
        _print(console())
    return EXIT_CLEAN


def _print(out: Console) -> None:
    groups = [(_CHECK, RULES), *((one.title, one.rules) for one in DIALECTS)]
    for number, (title, rules) in enumerate(groups):
        if number:
            out.print()
        out.print(title, style="bold")
        for rule in rules:
            out.print(f"  {rule.code}  ", end="")
            out.print(f"{rule.severity.value:<8}", style=COLOURS[rule.severity], end="")
            out.print(f"{_fix(rule):<12}{rule.slug}")


def _fix(rule: Rule) -> str:
    """Describe how `undam fix` handles findings of the rule."""
    if not isinstance(rule, ConfigRule):
        return "-"
    return {"safe": "fix", "unsafe": "unsafe fix", "none": "-"}[rule.safety.value]


def _json() -> dict[str, object]:
    """Return the result in schema 1; ``dialect`` and ``safety`` are null for check rules."""
    check_rules = [_rule(rule, None) for rule in RULES]
    lint_rules = [_rule(rule, one.name) for one in DIALECTS for rule in one.rules]
    return {"schema": 1, "command": "rules", "rules": check_rules + lint_rules}


def _rule(rule: Rule, dialect: str | None) -> dict[str, object]:
    return {
        "code": rule.code,
        "slug": rule.slug,
        "severity": rule.severity.value,
        "message": rule.message,
        "dialect": dialect,
        "safety": rule.safety.value if isinstance(rule, ConfigRule) else None,
        "source": rule.source,
    }
