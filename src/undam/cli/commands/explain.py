"""`undam explain`: the explanation of a finding, or the facts about an intermediary."""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, get_args

import click

from undam.cli.main import EXIT_CLEAN
from undam.cli.ui.output import STDOUT, console, json_option, write_json
from undam.errors import UsageError
from undam.intermediaries import (
    INTERMEDIARIES,
    Behaviour,
    Claim,
    Intermediary,
    Kind,
    Limit,
    Remedy,
    Sign,
    intermediary,
)
from undam.lint import DIALECTS, ConfigRule, Safety, config_rules
from undam.rules import RULES, Rule, Severity
from undam.versions import EVERY_VERSION, Version

if TYPE_CHECKING:
    from rich.console import Console

_WIDTH = 92
_INDENT = "    "
_SAFETY = {
    Safety.SAFE: "safe, because the fix affects only streaming (undam fix)",
    Safety.UNSAFE: "unsafe, because the fix affects more than streaming (undam fix --unsafe)",
    Safety.NONE: "not applicable, because there is no automatic fix",
}
_COLOURS = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.INFO: "cyan"}


@click.command()
@click.argument("name", required=False)
@click.option("--version", "version_text", metavar="V",
              help="Show only claims for this version, such as 1.22.")  # fmt: skip
@click.option("--list", "as_list", is_flag=True, help="List the intermediaries as a table.")
@click.option("--kind", type=click.Choice(get_args(Kind)), help="With --list: only this kind.")
@json_option
def command(
    name: str | None, version_text: str | None, as_list: bool, kind: str | None,
    json_to: str | None,
) -> int:  # fmt: skip
    """Explain a finding and its fix, or show the facts about an intermediary.

    NAME is the code or slug of a finding of check or lint, or the name of an intermediary (nginx,
    envoy, cloudflare …). For an intermediary, the output shows what the intermediary
    holds, when it cuts a stream, how to fix both, and when and how each fact was checked. If
    several dialects share a slug, all rules with this slug are shown. Without NAME, all findings
    and intermediaries are listed.
    """
    if name is None and json_to is not None and json_to != STDOUT and _look_up(json_to):
        # Without this check, `undam explain --json UD101` would write all rules to the file UD101.
        name, json_to = json_to, STDOUT
    if as_list or kind is not None:
        if name is not None or version_text is not None:
            raise UsageError("--list and --kind cannot be combined with NAME or --version")
        _show_list([one for one in INTERMEDIARIES if kind in (None, one.kind)], json_to)
        return EXIT_CLEAN
    known = [] if name is None else _named(name)
    version = None if version_text is None else _version(version_text)
    if version is not None:
        known = [one.at(version) for one in known if isinstance(one, Intermediary)]
        if not known:
            raise UsageError("--version needs the NAME of an intermediary")
    if json_to is not None:
        write_json(_json(known or [*RULES, *config_rules(), *INTERMEDIARIES], version), json_to)
    if json_to != STDOUT:
        _print(known, console(), version)
    return EXIT_CLEAN


def _version(text: str) -> Version:
    version = Version.parse(text)
    if version is None:
        raise UsageError(f"--version {text[:40]!r} has no number in it; write it as 1.22 or 1.22.1")
    return version


def _show_list(known: Sequence[Intermediary], json_to: str | None) -> None:
    if json_to is not None:
        write_json(_json(known, None), json_to)
    if json_to == STDOUT:
        return
    out = console()
    width = max(len(one.name) for one in known)
    out.print(
        f"{'name':<{width}}  {'kind':<9}  {'idle':>6}  {'total':>6}  {'checked':<7}  evidence"
    )
    for one in known:
        idle, total = _seconds(one.idle_limit_s), _seconds(one.total_limit_s)
        out.print(
            f"{one.name:<{width}}  {one.kind:<9}  {idle:>6}  {total:>6}  {one.checked}  "
            f"{one.evidence}"
        )


def _seconds(limit_s: float | None) -> str:
    return "-" if limit_s is None else f"{limit_s:g} s"


def _look_up(name: str) -> Sequence[Rule | Intermediary]:
    """Return all rules or intermediaries with this name; rules of several dialects share slugs."""
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
    """Return all rules or intermediaries with this name.

    Raises:
        UsageError: nothing has this name. The message suggests similar names.
    """
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


def _print(known: Sequence[Rule | Intermediary], out: Console, version: Version | None) -> None:
    if not known:
        _print_all(out)
    for number, one in enumerate(known):
        if number:
            out.print()
        if isinstance(one, Rule):
            _print_rule(one, out)
        else:
            _print_intermediary(one, out, version)


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
        if rule.affected != EVERY_VERSION:
            out.print(f"Affected versions: {rule.affected}")


def _print_intermediary(known: Intermediary, out: Console, asked: Version | None) -> None:
    out.print(known.title, style="bold", end=" ")
    version = f", version {known.version}" if known.version else ""
    out.print(f"({known.kind}; {known.evidence}{version})")
    if asked is not None:
        out.print(f"Shown: what holds for version {asked}")
    for label, text in _facts(known):
        out.print(_wrapped(label, text))
    if known.fixes:
        out.print("Fix:")
    for remedy in known.claims:
        if not isinstance(remedy, Remedy):
            continue
        scope = _scope(remedy)
        label = f"{remedy.trouble.value} (in {remedy.where}):"
        out.print(f"{_INDENT}{label}{f' {scope}' if scope else ''}")
        out.print(textwrap.indent(remedy.text, 2 * _INDENT), style="green")
    out.print(_wrapped("Source", known.source))
    out.print("Checked:")
    for line in _evidence_lines(known):
        out.print(line)


def _evidence_lines(known: Intermediary) -> Iterator[str]:
    """Yield one line for each piece of evidence, with the claims that depend on it."""
    claims: dict[str, list[str]] = {}
    for claim in known.claims:
        scope = _scope(claim)
        names = claims.setdefault(str(claim.evidence), [])
        about = f"{claim.about.value} ({scope})" if scope else claim.about.value
        if about not in names:
            names.append(about)
    for evidence, names in claims.items():
        text = f"{', '.join(names)}: {evidence}"
        yield textwrap.fill(text, _WIDTH, initial_indent=_INDENT, subsequent_indent=2 * _INDENT,
                            break_long_words=False, break_on_hyphens=False)  # fmt: skip


def _scope(claim: Claim) -> str:
    """Return the versions and conditions of a claim; empty if it applies to all versions."""
    parts = [str(claim.versions)] if claim.since or claim.until else []
    return ", ".join([*parts, *(f"{key}: {value}" for key, value in claim.conditions.items())])


def _facts(known: Intermediary) -> Iterator[tuple[str, str]]:
    """Yield each known fact with its label."""
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
    if known.note:
        yield "Note", known.note
    for dialect in DIALECTS:
        if dialect.name == known.name:
            yield "Rules of lint", ", ".join(rule.code for rule in dialect.rules)


def _wrapped(label: str, text: str) -> str:
    return textwrap.fill(f"{label}: {text}", _WIDTH, break_long_words=False, break_on_hyphens=False)


def _json(known: Sequence[Rule | Intermediary], version: Version | None) -> dict[str, object]:
    """Return the result in schema 1: the lists ``rules`` and ``intermediaries``."""
    asked = {} if version is None else {"version": str(version)}
    return {
        "schema": 1,
        "command": "explain",
        **asked,
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
        **rule.texts,
    }
    if isinstance(rule, ConfigRule):
        known["safety"] = rule.safety.value
        known["affected"] = {
            "since": rule.affected.since or None,
            "until": rule.affected.until or None,
        }
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
        "checked": known.checked,
        "note": known.note,
        "claims": [_claim_json(claim) for claim in known.claims],
    }


def _claim_json(claim: Claim) -> dict[str, object]:
    evidence = claim.evidence
    known: dict[str, object] = {
        "about": claim.about.value,
        "since": claim.since or None,
        "until": claim.until or None,
        "conditions": dict(claim.conditions),
        "checked": claim.checked,
        "evidence": {
            "kind": evidence.kind,
            "source": evidence.source,
            "version": evidence.version or None,
            "command": evidence.command or None,
        },
    }
    match claim:
        case Behaviour():
            known["text"] = claim.text
        case Limit():
            known |= {"text": claim.text, "seconds": claim.seconds}
        case Sign():
            known |= {"header": claim.header, "pattern": claim.pattern, "certain": claim.certain}
        case Remedy():
            known |= {"trouble": claim.trouble.value, "where": claim.where, "text": claim.text}
    return known
