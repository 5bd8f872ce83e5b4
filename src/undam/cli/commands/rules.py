"""`undam rules`: all that check and lint can find."""

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
    """List every rule: code, severity, whether lint can mend it, slug.

    `undam explain CODE` has the long text of each.
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
    """What `undam fix` does about it."""
    if not isinstance(rule, ConfigRule):
        return "-"
    return {"safe": "fix", "unsafe": "unsafe fix", "none": "-"}[rule.safety.value]


def _json() -> dict[str, object]:
    """Schema 1. ``dialect``, ``safety`` and ``source`` are null for what a check finds."""
    of_check = [_rule(rule, None) for rule in RULES]
    of_lint = [_rule(rule, one.name) for one in DIALECTS for rule in one.rules]
    return {"schema": 1, "command": "rules", "rules": of_check + of_lint}


def _rule(rule: Rule, dialect: str | None) -> dict[str, object]:
    config = rule if isinstance(rule, ConfigRule) else None
    return {
        "code": rule.code,
        "slug": rule.slug,
        "severity": rule.severity.value,
        "message": rule.message,
        "dialect": dialect,
        "safety": config.safety.value if config else None,
        "source": config.source if config else None,
    }
