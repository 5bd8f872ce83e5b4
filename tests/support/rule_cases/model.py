"""Live rule cases: how to run a dialect's program, and the expected effects of rule files."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.live import RunProxy, Simulator, check, codes_by_hop, hop_json, measure
from support.proxy_programs import Program, start_with_config, validate_config, with_ports
from undam.errors import ResponseError
from undam.lab.proxies import RunningProxy
from undam.lab.proxies.plan import Workspace
from undam.lint import RenderRequest, dialect_named
from undam.probe import Report

RULES = Path(__file__).parents[2] / "rules"
KINDS = ("bad", "good", "fixed")

StartSim = Callable[..., Simulator]
Replacements = tuple[tuple[str, str], ...]
"""(text of the file, replacement), mostly limits shortened to seconds that a test can wait for.

They apply to `bad` and `fixed`; the first one must occur in `bad`."""

# Command-line arguments for `undam sim`.
QUICK = ("--ttft", "50", "--gap", "5", "--tokens", "200")
SLOW = ("--ttft", "50", "--gap", "25", "--tokens", "50")
"""A hold of one event is detected only if the gap is longer than the machine's own delay."""
SILENT = ("--ttft", "50", "--gap", "5", "--tokens", "30", "--stall-after", "20", "--stall", "2500")
LONG = ("--ttft", "50", "--gap", "50", "--tokens", "80")
"""A stream that lasts longer than a limit of some seconds."""
LATE_HEAD = ("--ttft", "2500", "--gap", "5", "--tokens", "20", "--headers-late")

HELD = frozenset({"batched", "held-to-end"})


def rule_text(code: str, kind: str) -> str:
    """Return the text of a rule's file."""
    return rule_file(code, kind).read_text("utf-8")


def rule_file(code: str, kind: str) -> Path:
    """Return the path of a rule's file."""
    (file,) = (RULES / code).glob(f"{kind}.*")
    return file


@dataclass(frozen=True, kw_only=True)
class Expected:
    """The expected result of a check; a field that is ``None`` is not compared.

    Args:
        verdicts: the verdict is one of these.
        complete: whether the whole response arrives.
        status: the check fails with this HTTP status.
        finding: a code that is reported for the proxy.
        content_encoding: the coding of the response; empty means no coding.
        cut_after_s: the earliest and latest time of the cut.
        min_hold_ms: the longest hold is at least this long.
    """

    verdicts: frozenset[str] | None = None
    complete: bool | None = None
    status: int | None = None
    finding: str | None = None
    content_encoding: str | None = None
    cut_after_s: tuple[float, float] | None = None
    min_hold_ms: float | None = None

    def verify(self, report: Report) -> None:
        """Assert that the report is as expected."""
        hop = hop_json(report)
        if self.verdicts is not None:
            assert hop["verdict"] in self.verdicts
        if self.complete is not None:
            assert hop["complete"] is self.complete
        if self.finding is not None:
            assert self.finding in codes_by_hop(report)["edge"]
        if self.content_encoding is not None:
            head = report.exchanges[0].head
            assert head is not None
            assert (head.get("content-encoding") or "") == self.content_encoding
        if self.cut_after_s is not None:
            earliest, latest = self.cut_after_s
            assert earliest < hop["cut_after_s"] < latest
        if self.min_hold_ms is not None:
            assert hop["hold_ms"]["max"] > self.min_hold_ms


def verdict(*names: str, **more: Any) -> Expected:
    """Return an expected result with one of these verdicts."""
    return Expected(verdicts=frozenset(names), **more)


STREAMS = verdict("streaming")
IS_HELD = Expected(verdicts=HELD)
HELD_TO_END = verdict("held-to-end")
COMPLETE = Expected(complete=True)
CUT = Expected(complete=False)


@dataclass(frozen=True, kw_only=True)
class RuleCase:
    """Rule with the expected effects of its `bad` and `fixed` files on a stream.

    Args:
        simulator: arguments of `undam sim`.
        note: distinguishes several cases of a rule.
    """

    code: str
    bad: Expected
    fixed: Expected
    simulator: tuple[str, ...] = QUICK
    replace: Replacements = ()
    note: str = ""

    def __str__(self) -> str:
        return f"{self.code}-{self.note}" if self.note else self.code

    def text(self, kind: str) -> str:
        """Return the text of a rule file with the replacements applied."""
        text = rule_text(self.code, kind)
        if kind == "bad" and self.replace:
            assert self.replace[0][0] in text
        for old, new in self.replace:
            text = text.replace(old, new)
        return text


def held_case(code: str, simulator: tuple[str, ...] = QUICK, **more: Any) -> RuleCase:
    """Return a case in which `bad` holds the whole stream until it ends."""
    return RuleCase(code=code, simulator=simulator, bad=HELD_TO_END, fixed=STREAMS, **more)


def cut_case(code: str, *replace: tuple[str, str], **more: Any) -> RuleCase:
    """Return a case in which `bad` cuts a stream; by default, the stream is idle."""
    fields: dict[str, Any] = {"simulator": SILENT, "bad": CUT, "fixed": COMPLETE, **more}
    return RuleCase(code=code, replace=replace, **fields)


@dataclass(frozen=True, kw_only=True)
class LiveDialect:
    """A dialect, and how to run the program that reads its files.

    Args:
        letters: the letters with which the codes of its rules begin.
        invalid: a text that the program rejects, used instead of a file of ``invalid_code``.
        rejection: text in the program's output for ``invalid``.
        ports: ``(text, listening port, port of the origin) -> text``, for files that do not write
            their ports as HOST:PORT.
        paths: the paths for which a configuration is rendered.
        has_idle_limit: the rendered configuration limits silence.
    """

    name: str
    letters: str
    program: Program
    invalid: str
    cases: tuple[RuleCase, ...]
    rejection: str = ""
    invalid_code: str = ""
    ports: Callable[[str, int, int], str] | None = None
    paths: tuple[str, ...] = ("/", "/v1/")
    has_idle_limit: bool = True

    @property
    def codes(self) -> list[str]:
        """Sorted codes of the rules that have case files."""
        return sorted(path.name for path in RULES.glob(f"{self.letters}[1-6]*"))

    def validate(
        self, code: str, text: str, folder: Path, _run_proxy: RunProxy
    ) -> tuple[bool, str]:
        """Return whether the program accepts ``text`` instead of a rule's file, and its output.

        Args:
            code: the rule, which determines the configuration file that the text replaces.
        """
        return validate_config(self.program, text, folder)

    def start(self, run_proxy: RunProxy, _code: str, text: str, model: Simulator) -> RunningProxy:
        """Start the program with ``text`` instead of a rule's file, in front of a simulator."""
        ports = self.ports
        if ports is None:
            return run_proxy(start_with_config, self.program, text, origin=model.url)
        origin = int(model.url.rpartition(":")[2])

        def placed(place: Workspace) -> str:
            return ports(with_ports(text, listen=place.port, origin=origin), place.port, origin)

        return run_proxy(start_with_config, self.program, placed, origin=model.url)

    def start_rendered(self, run_proxy: RunProxy, model: Simulator, **options: Any) -> RunningProxy:
        """Start the program with a configuration rendered by undam."""

        def text(place: Workspace) -> str:
            return self.rendered(place, model, **options)

        return run_proxy(start_with_config, self.program, text)

    def rendered(self, place: Workspace, model: Simulator, **options: Any) -> str:
        """Return the configuration rendered by undam."""
        listen = f"127.0.0.1:{place.port}"
        request = RenderRequest(upstream=model.url, listen=listen, **options)
        return dialect_named(self.name).render(request)


@dataclass(frozen=True)
class RunningPair:
    """Two instances of a program, one with `bad` and one with `fixed`, in front of a simulator."""

    model: Simulator
    bad: RunningProxy
    fixed: RunningProxy

    def measure(self) -> tuple[Report, Report]:
        """Check both programs concurrently, the one with `bad` and the one with `fixed`."""
        bad, fixed = measure(
            self.model, lambda: [check(one.url, beacon=True) for one in (self.bad, self.fixed)]
        )
        return bad, fixed


def start_pair(
    live: LiveDialect, case: RuleCase, model: Simulator, run_proxy: RunProxy
) -> RunningPair:
    """Start the program once with each of a case's two files."""
    bad, fixed = (
        live.start(run_proxy, case.code, case.text(kind), model) for kind in ("bad", "fixed")
    )
    return RunningPair(model, bad, fixed)


def verify_case(live: LiveDialect, case: RuleCase, model: Simulator, run_proxy: RunProxy) -> None:
    """Assert that both files of a rule case have the expected effects."""
    pair = start_pair(live, case, model, run_proxy)
    if case.bad.status is None:
        bad, fixed = pair.measure()
        case.bad.verify(bad)
        case.fixed.verify(fixed)
        return
    with pytest.raises(ResponseError, match=str(case.bad.status)):
        check_alone(pair.bad.url)
    case.fixed.verify(check_alone(pair.fixed.url))


def check_alone(url: str, **options: Any) -> Report:
    """Check one URL, with the beacon at its origin."""
    return asyncio.run(check(url, beacon=True, **options))
