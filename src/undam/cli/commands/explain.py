"""`undam explain`: the long text of a finding, or what is known of an intermediary."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import click

from undam.cli.main import EXIT_CLEAN
from undam.cli.ui.output import STDOUT, console, json_option, write_json
from undam.errors import UsageError
from undam.intermediaries import INTERMEDIARIES, Intermediary, intermediary
from undam.lint import DIALECTS, ConfigRule, Safety, config_rules
from undam.rules import RULES, Rule, Severity

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 92
_INDENT = "    "
_SAFETY = {
    Safety.SAFE: "safe; it changes only how this route streams (undam fix)",
    Safety.UNSAFE: "unsafe; it changes more than how this route streams (undam fix --unsafe)",
    Safety.NONE: "none; there is no edit that mends it",
}
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


@click.command()
@click.argument("name", required=False)
@json_option
def command(name: str | None, json_to: str | None) -> int:
    """Say what a finding means, why it hurts and what mends it.

    NAME is the code or slug of a finding of check or lint, or the name of an intermediary (nginx,
    envoy, cloudflare …), of which it tells what it holds and when it cuts. Several dialects may
    share a slug; then all are told. Without NAME: a list of everything.
    """
    if name is None and json_to is not None and json_to != STDOUT and _look_up(json_to):
        # `undam explain --json UD101` would otherwise list everything in a file of that name.
        name, json_to = json_to, STDOUT
    known = [] if name is None else _named(name)
    if json_to is not None:
        write_json(_json(known or [*RULES, *config_rules(), *INTERMEDIARIES]), json_to)
    if json_to != STDOUT:
        _print(known, console())
    return EXIT_CLEAN


def _look_up(name: str) -> Sequence[Rule | Intermediary]:
    """All that a name may stand for: slugs of lint are unique only within a dialect."""
    wanted = name.strip()
    rules = [
        rule
        for rule in (*RULES, *config_rules())
        if wanted.upper() == rule.code or wanted.lower() == rule.slug
    ]
    if rules:
        return rules
    try:
        return [intermediary(wanted.lower())]
    except KeyError:
        return []


def _named(name: str) -> Sequence[Rule | Intermediary]:
    """What ``name`` stands for; raises UsageError with the nearest names."""
    known = _look_up(name)
    if known:
        return known
    rules = [*RULES, *config_rules()]
    codes = {rule.code.lower(): rule.code for rule in rules}
    others = [*{rule.slug: None for rule in rules}, *(one.name for one in INTERMEDIARIES)]
    near = difflib.get_close_matches(name.strip().lower(), [*codes, *others], n=3, cutoff=0.5)
    hint = ", ".join(codes.get(one, one) for one in near)
    what = f"nearest: {hint}" if hint else "`undam explain` lists all"
    raise UsageError(f"no finding or intermediary is called {name[:80]!r}; {what}")


def _print(known: Sequence[Rule | Intermediary], out: Console) -> None:
    if not known:
        _print_all(out)
    for number, one in enumerate(known):
        if number:
            out.print()
        if isinstance(one, Rule):
            _print_rule(one, out)
        else:
            _print_intermediary(one, out)


def _print_all(out: Console) -> None:
    groups = (RULES, *(dialect.rules for dialect in DIALECTS))
    width = max(len(rule.slug) for rules in groups for rule in rules)
    for rules in groups:
        for rule in rules:
            out.print(f"{rule.code}  {rule.slug:<{width}}  ", end="")
            out.print(rule.severity.value, style=_COLOURS[rule.severity])
        out.print()
    names = ", ".join(one.name for one in INTERMEDIARIES)
    out.print(_wrapped("Intermediaries", names))


def _print_rule(rule: Rule, out: Console) -> None:
    out.print(f"{rule.code} {rule.slug}", style="bold", end=" ")
    out.print(f"({rule.severity.value})", style=_COLOURS[rule.severity])
    out.print(textwrap.fill(rule.message, _WIDTH))
    out.print()
    out.print(rule.explain, end="")
    if isinstance(rule, ConfigRule):
        out.print(_wrapped("Safety of the fix", _SAFETY[rule.safety]))


def _print_intermediary(known: Intermediary, out: Console) -> None:
    out.print(known.title, style="bold", end=" ")
    version = f", version {known.version}" if known.version else ""
    out.print(f"({known.kind}; {known.evidence}{version})")
    for label, text in _facts(known):
        out.print(_wrapped(label, text))
    if known.fixes:
        out.print("Fix:")
    for trouble, fix in known.fixes.items():
        out.print(f"{_INDENT}{trouble.value} (in {fix.where}):")
        out.print(textwrap.indent(fix.text, 2 * _INDENT), style="green")
    out.print(_wrapped("Source", known.source))


def _facts(known: Intermediary) -> Iterator[tuple[str, str]]:
    """What is known of it, label by label; what is not known is left out."""
    signs = [f"{sign.header} ~ /{sign.pattern}/" if sign.pattern else sign.header
             for sign in known.signs]  # fmt: skip
    yield "Signs", "; ".join(signs) or "none on a relayed response"
    yield "Holds", known.holds
    yield "Cuts", known.cuts
    if known.idle_limit_s is not None:
        yield "Idle limit", f"{known.idle_limit_s:g} s unless set otherwise; heartbeats help"
    if known.total_limit_s is not None:
        yield (
            "Total limit",
            f"{known.total_limit_s:g} s unless set otherwise; heartbeats do not help",
        )
    if known.origin_lost:
        yield "Origin breaks off", known.origin_lost
    if known.client_left:
        yield "Client leaves", known.client_left
    if known.built_on:
        yield "Built on", known.built_on
    for dialect in DIALECTS:
        if dialect.name == known.name:
            yield "Rules of lint", ", ".join(rule.code for rule in dialect.rules)


def _wrapped(label: str, text: str) -> str:
    return textwrap.fill(f"{label}: {text}", _WIDTH, break_long_words=False, break_on_hyphens=False)


def _json(known: Sequence[Rule | Intermediary]) -> dict[str, object]:
    """Schema 1: ``rules`` and ``intermediaries``, each a list that may be empty."""
    return {
        "schema": 1,
        "command": "explain",
        "rules": [_rule_json(one) for one in known if isinstance(one, Rule)],
        "intermediaries": [_intermediary_json(i) for i in known if isinstance(i, Intermediary)],
    }


def _rule_json(rule: Rule) -> dict[str, object]:
    known: dict[str, object] = {
        "code": rule.code,
        "slug": rule.slug,
        "severity": rule.severity.value,
        "message": rule.message,
        "explain": rule.explain,
    }
    if isinstance(rule, ConfigRule):
        known |= {"safety": rule.safety.value, "source": rule.source}
    return known


def _intermediary_json(known: Intermediary) -> dict[str, object]:
    return {
        "name": known.name,
        "title": known.title,
        "kind": known.kind,
        "signs": [{"header": sign.header, "pattern": sign.pattern} for sign in known.signs],
        "holds": known.holds,
        "cuts": known.cuts,
        "idle_limit_s": known.idle_limit_s,
        "total_limit_s": known.total_limit_s,
        "origin_lost": known.origin_lost,
        "client_left": known.client_left,
        "built_on": known.built_on,
        "fixes": {
            trouble.value: {"where": fix.where, "text": fix.text}
            for trouble, fix in known.fixes.items()
        },
        "evidence": known.evidence,
        "version": known.version,
        "source": known.source,
    }
