"""`undam explain`: every rule and every intermediary, in text and JSON output."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from undam.cli.commands.explain import command
from undam.cli.main import main
from undam.errors import UsageError
from undam.intermediaries import INTERMEDIARIES, Intermediary, intermediary
from undam.lint import ConfigRule, Safety, config_rules
from undam.rules import RULES, Rule

ALL_RULES: tuple[Rule, ...] = (*RULES, *config_rules())


def run(*args: str) -> Result:
    return CliRunner().invoke(command, list(args), standalone_mode=False)


def exit_of(monkeypatch: pytest.MonkeyPatch, *args: str) -> object:
    """Run `undam` with these arguments and return the exit code."""
    monkeypatch.setattr(sys, "argv", ["undam", "explain", *args])
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


def squeezed(text: str) -> str:
    """Return the text without line breaks, because their positions depend on wrapping."""
    return " ".join(text.split())


@pytest.mark.parametrize("rule", RULES, ids=[rule.code for rule in RULES])
def test_prints_the_whole_text_of_a_rule_by_any_of_its_names(rule: Rule) -> None:
    said = run(rule.code)
    assert said.exit_code == 0
    assert said.stdout.endswith(rule.explain)
    assert said.stdout.startswith(f"{rule.code} {rule.slug} ({rule.severity.value})\n")
    assert run(rule.code.lower()).stdout == run(f" {rule.slug} ").stdout == said.stdout


@pytest.mark.parametrize("rule", config_rules(), ids=[rule.code for rule in config_rules()])
def test_prints_a_rule_of_lint_with_the_safety_of_its_fix(rule: ConfigRule) -> None:
    said = run(rule.code.lower())
    assert said.exit_code == 0
    text, _, safety = said.stdout.rpartition("Safety of the fix: ")
    assert text.startswith(f"{rule.code} {rule.slug} ({rule.severity.value})\n")
    assert text.endswith(rule.explain)
    is_none = rule.safety is Safety.NONE
    assert safety.startswith("not applicable" if is_none else rule.safety.value)
    assert ("undam fix" in safety) == (rule.safety is not Safety.NONE)
    assert said.stdout in run(rule.slug).stdout  # Several dialects may share a slug.


@pytest.mark.parametrize("known", INTERMEDIARIES, ids=[one.name for one in INTERMEDIARIES])
def test_prints_what_is_known_of_an_intermediary(known: Intermediary) -> None:
    said = run(known.name.upper())
    assert said.exit_code == 0
    words = squeezed(said.stdout)
    assert known.title in said.stdout.splitlines()[0]
    assert known.evidence in said.stdout.splitlines()[0]
    for text in (known.holds, known.cuts, known.source, known.origin_lost, known.client_left):
        assert squeezed(text) in words
    for trouble, fix in known.fixes.items():
        assert f"{trouble.value} (in {fix.where}):" in said.stdout
        assert squeezed(fix.text) in words
    for sign in known.signs:
        assert sign.header in said.stdout
    assert ("unless set otherwise; heartbeats help" in words) == (known.idle_limit_s is not None)
    assert ("unless set otherwise; heartbeats do not help" in words) == (
        known.total_limit_s is not None
    )


def test_rule_and_intermediary_names_do_not_collide() -> None:
    taken = {name.lower() for rule in ALL_RULES for name in (rule.code, rule.slug)}
    assert not taken & {one.name for one in INTERMEDIARIES}


def test_without_a_name_lists_everything() -> None:
    lines = [line for line in run().stdout.splitlines() if line]
    for rule, line in zip(ALL_RULES, lines, strict=False):
        assert line.split() == [rule.code, rule.slug, rule.severity.value]
    rest = squeezed(" ".join(lines[len(ALL_RULES) :]))
    assert rest == "Intermediaries: " + ", ".join(one.name for one in INTERMEDIARIES)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("UD10", "UD10"), ("held-to-the-end", "held-to-end"), ("ngnix", "nginx"), ("ud408", "UD40")],
)
def test_unknown_name_is_answered_with_the_nearest(
    typed: str, meant: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_of(monkeypatch, typed) == 2
    said = capsys.readouterr()
    assert said.out == ""
    (line,) = said.err.splitlines()
    assert repr(typed) in line
    assert meant in line.partition("nearest: ")[2]


def test_name_unlike_any_points_to_the_list() -> None:
    error = run("@" * 500).exception
    assert isinstance(error, UsageError)
    assert "`undam explain` lists all" in str(error)
    assert len(str(error)) < 200


def test_known_name_exits_0(monkeypatch: pytest.MonkeyPatch) -> None:
    assert exit_of(monkeypatch, "UD101") == 0


def test_json_of_a_rule_is_alone_on_standard_output() -> None:
    (rule,) = [rule for rule in RULES if rule.code == "UD403"]
    for args in (["UD403", "--json"], ["UD403", "--json", "-"], ["--json", "UD403"]):
        said = json.loads(run(*args).stdout)
        assert said == {
            "schema": 1,
            "command": "explain",
            "rules": [
                {
                    "code": "UD403",
                    "slug": rule.slug,
                    "severity": "error",
                    "message": rule.message,
                    "explain": rule.explain,
                    **rule.texts,
                }
            ],
            "intermediaries": [],
        }


def test_json_of_a_rule_of_lint_has_its_safety_and_source() -> None:
    (told,) = json.loads(run("ngx101", "--json").stdout)["rules"]
    (rule,) = [rule for rule in config_rules() if rule.code == "NGX101"]
    assert (told["safety"], told["source"]) == (rule.safety.value, rule.source)


def test_an_intermediary_with_a_dialect_names_its_rules() -> None:
    said = squeezed(run("nginx").stdout)
    assert "Rules of lint: NGX101, " in said
    assert "Rules of lint" not in run("cloudflare").stdout


def test_json_of_an_intermediary_goes_to_a_file(tmp_path: Path) -> None:
    target = tmp_path / "envoy.json"
    said = run("envoy", "--json", str(target))
    assert said.stdout == run("envoy").stdout
    written = json.loads(target.read_text("utf-8"))
    (envoy,) = written["intermediaries"]
    assert written["rules"] == []
    assert envoy["name"] == "envoy"
    assert envoy["total_limit_s"] == 15.0
    assert envoy["fixes"]["total-limit"] == {"where": "envoy", "text": "timeout: 0s"}


def test_json_without_a_name_holds_everything() -> None:
    said = json.loads(run("--json").stdout)
    assert [rule["code"] for rule in said["rules"]] == [rule.code for rule in ALL_RULES]
    assert [one["name"] for one in said["intermediaries"]] == [one.name for one in INTERMEDIARIES]


def test_json_to_a_file_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    error = run("UD101", "--json", str(tmp_path / "no" / "such.json")).exception
    assert isinstance(error, UsageError)


def test_no_escape_codes_outside_a_terminal() -> None:
    assert "\x1b" not in run("UD101").stdout + run("nginx").stdout + run().stdout


def test_version_shows_what_holds_for_it() -> None:
    old, new = (
        squeezed(run("nginx", "--version", "1.22").stdout),
        squeezed(run("nginx", "--version", "1.31").stdout),
    )
    assert "HTTP/1.0 to the upstream" in old
    assert "HTTP/1.1 to the upstream" not in old
    assert "HTTP/1.1 to the upstream" in new
    assert "HTTP/1.0 to the upstream" not in new
    # Since nginx 1.29.7, proxy_http_version defaults to 1.1, so this fix would have no effect.
    assert "proxy_http_version 1.1;" in old
    assert "proxy_http_version 1.1;" not in new
    assert "Shown: what holds for version 1.22" in old


def test_version_in_json() -> None:
    (old,) = json.loads(run("nginx", "--version", "nginx/1.22.1", "--json").stdout)[
        "intermediaries"
    ]
    (new,) = json.loads(run("nginx", "--version", "1.31", "--json").stdout)["intermediaries"]
    assert "close-delimited" in old["fixes"]
    assert "close-delimited" not in new["fixes"]
    assert {claim["until"] for claim in new["claims"]} == {None}
    assert json.loads(run("nginx", "--version", "1.31", "--json").stdout)["version"] == "1.31"


@pytest.mark.parametrize("known", INTERMEDIARIES, ids=[one.name for one in INTERMEDIARIES])
def test_every_fact_is_shown_with_its_date_and_evidence(known: Intermediary) -> None:
    shown = squeezed(run(known.name).stdout)
    checked = shown.partition("Checked: ")[2]
    for claim in known.claims:
        assert squeezed(str(claim.evidence)) in checked
        assert claim.about.value in checked
    (written,) = json.loads(run(known.name, "--json").stdout)["intermediaries"]
    assert len(written["claims"]) == len(known.claims)
    for claim in written["claims"]:
        assert claim["checked"].startswith("20")
        assert claim["evidence"]["source"]


@pytest.mark.parametrize(
    "args",
    [
        ("nginx", "--version", "newest"),
        ("UD101", "--version", "1.0"),
        ("--version", "1.0"),
        ("nginx", "--list"),
        ("nginx", "--kind", "gateway"),
        ("--list", "--version", "1"),
    ],
)
def test_options_that_do_not_fit_are_a_usage_error(args: tuple[str, ...]) -> None:
    assert isinstance(run(*args).exception, UsageError)


def test_list_shows_every_intermediary_with_its_limits() -> None:
    head, *rows = run("--list").stdout.splitlines()
    assert head.split() == ["name", "kind", "idle", "total", "checked", "evidence"]
    assert [row.split()[0] for row in rows] == [one.name for one in INTERMEDIARIES]
    (envoy,) = [row for row in rows if row.startswith("envoy ")]
    assert envoy.split() == ["envoy", "proxy", "300", "s", "15", "s", "2026-11", "measured"]


def test_list_can_be_narrowed_to_a_kind() -> None:
    rows = run("--list", "--kind", "gateway").stdout.splitlines()[1:]
    names = [one.name for one in INTERMEDIARIES if one.kind == "gateway"]
    assert [row.split()[0] for row in rows] == names
    assert {"kong", "litellm", "portkey", "envoy-ai-gateway"} <= set(names)
    assert "nginx" not in names
    written = json.loads(run("--list", "--kind", "gateway", "--json").stdout)
    assert [one["name"] for one in written["intermediaries"]] == names
    assert run("--kind", "gateway").stdout == run("--list", "--kind", "gateway").stdout


def test_rule_for_some_versions_states_them() -> None:
    assert "Affected versions: before 1.29.7" in run("NGX101").stdout
    assert "Affected versions" not in run("NGX103").stdout
    (rule,) = json.loads(run("NGX101", "--json").stdout)["rules"]
    assert rule["affected"] == {"since": None, "until": "1.29.7"}


def test_rules_and_facts_share_their_version_bounds() -> None:
    by_code = {rule.code: rule for rule in config_rules()}
    for code, name in (("NGX101", "nginx"), ("HAP101", "haproxy")):
        bounds = {claim.until for claim in intermediary(name).claims}
        assert by_code[code].affected.until in bounds
