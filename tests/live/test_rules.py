"""The rules, tested with real proxies and servers.

Each program accepts the files of its rules. With `bad`, streams are held or cut as the rule states;
with `fixed` they are not. A rendered configuration streams unchanged. Only ports and, for limits,
seconds are replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.live import RunProxy, check, codes_by_hop, hop_json, measure
from support.rule_cases import LIVE_DIALECTS, LiveDialect, RuleCase
from support.rule_cases.model import KINDS, QUICK, SILENT, StartSim, rule_text, verify_case
from undam.lint import DIALECTS

# The controllers for these dialects need a cluster. test_rules_in_detail.py tests the behaviour
# that nginx decides, and test_kubernetes_gateways.py runs Envoy as Envoy Gateway configures it.
WITHOUT_PROGRAM = {
    "cloud", "commands", "compose", "gateway-api", "ingress-nginx", "istio", "javascript-app",
    "kserve", "kubernetes-ingress", "litellm", "python-app", "traefik-crd",
}  # fmt: skip


def _param(live: LiveDialect, *values: object) -> object:
    """Return test parameters whose ID begins with the dialect."""
    ident = "-".join([live.name, *map(str, values)])
    return pytest.param(live, *values, id=ident)


def _files() -> Iterator[object]:
    for live in LIVE_DIALECTS:
        yield from (_param(live, code, kind) for code in live.codes for kind in KINDS)


each_dialect = pytest.mark.parametrize("live", [_param(live) for live in LIVE_DIALECTS])


def test_every_dialect_has_live_cases() -> None:
    assert {live.name for live in LIVE_DIALECTS} == (
        {dialect.name for dialect in DIALECTS} - WITHOUT_PROGRAM
    )


@pytest.mark.parametrize(("live", "code", "kind"), list(_files()))
def test_program_accepts_the_files(
    live: LiveDialect, code: str, kind: str, tmp_path: Path, run_proxy: RunProxy
) -> None:
    accepted, output = live.validate(code, rule_text(code, kind), tmp_path, run_proxy)
    assert accepted, output
    assert "[warn]" not in output


@each_dialect
def test_program_rejects_an_invalid_file(
    live: LiveDialect, tmp_path: Path, run_proxy: RunProxy
) -> None:
    code = live.invalid_code or live.codes[0]
    accepted, output = live.validate(code, live.invalid, tmp_path, run_proxy)
    assert not accepted
    assert live.rejection in output


@pytest.mark.parametrize(
    ("live", "case"), [_param(live, case) for live in LIVE_DIALECTS for case in live.cases]
)
def test_bad_and_fixed_do_what_the_rule_states(
    live: LiveDialect, case: RuleCase, simulator: StartSim, run_proxy: RunProxy
) -> None:
    # verify_case asserts the verdicts, codes and holds of both configurations.
    verify_case(live, case, simulator(*case.simulator), run_proxy)


@pytest.mark.parametrize(
    ("live", "path"), [_param(live, path) for live in LIVE_DIALECTS for path in live.paths]
)
def test_rendered_configuration_streams(
    live: LiveDialect, path: str, simulator: StartSim, run_proxy: RunProxy
) -> None:
    model = simulator(*QUICK)
    proxy = live.start_rendered(run_proxy, model, path=path)
    (report,) = measure(model, lambda: [check(proxy.url, beacon=True)])
    assert hop_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
    assert hop_json(report)["events_per_read"]["p50"] == 1


@pytest.mark.parametrize("live", [_param(live) for live in LIVE_DIALECTS if live.has_idle_limit])
def test_rendered_idle_limit_allows_shorter_silences(
    live: LiveDialect, simulator: StartSim, run_proxy: RunProxy
) -> None:
    model = simulator(*SILENT, "--stall", "4000")
    proxies = [live.start_rendered(run_proxy, model, idle_s=idle_s) for idle_s in (1.0, 60.0)]
    reports = measure(model, lambda: [check(proxy.url, beacon=True) for proxy in proxies])
    assert [hop_json(report)["complete"] for report in reports] == [False, True]
