"""Execution of a check, from its options to its report."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from undam.diagnosis.diagnose import by_severity, find_findings
from undam.diagnosis.experiments import Experiment
from undam.diagnosis.findings.caveats import LATE_NS, coalesced, late_ns, latest_ns
from undam.diagnosis.findings.disconnect import Disconnect, find_disconnects
from undam.diagnosis.findings.limits import PathLimits, find_limits
from undam.diagnosis.findings.reuse import find_reuse_delay
from undam.diagnosis.holds import ClockOffset
from undam.diagnosis.hop import Hop, analyze_hop, hop_metrics
from undam.diagnosis.reading import read_exchange
from undam.errors import (
    NetworkError,
    RemoteProtocolError,
    ResponseError,
    UndamError,
    UsageError,
)
from undam.intermediaries import Suspect
from undam.probe.beacon import BeaconClock, ask_clock
from undam.probe.cancel import probe_disconnects
from undam.probe.fetch import fetch_stream
from undam.probe.followup.comparisons import FollowUp, follow_up, outcomes_of
from undam.probe.followup.experiments import Ask, Experimenter
from undam.probe.hop_budget import HopBudget
from undam.probe.http_versions import ask_over_http1, find_difference
from undam.probe.idle import find_idle_limits
from undam.probe.models import first_model
from undam.probe.options import CheckOptions, Place, api_of, request_for
from undam.probe.remedies import (
    find_suspects,
    recognised_in,
    title_of,
    with_fixes,
    with_known_filter,
)
from undam.probe.reused_connection import ReuseTrial
from undam.probe.secrecy import clean_error, clean_finding, clean_suspects, clean_text
from undam.record import Ending, Exchange, redact_url
from undam.rules import Finding, Fix, Severity, Verdict, finding
from undam.rules.model import finding_json
from undam.timing import Arrival
from undam.timing.beacon import format_query
from undam.timing.numbered_text import NUMBERED
from undam.wire import Request, Stream

# Repeating a measurement often helps, because the load of a busy machine usually drops within
# seconds.
_ATTEMPTS = 3


class Progress:
    """Progress callbacks of a check. The base class does nothing."""

    def started(self, place: Place) -> None:
        """Handle the start of a request to ``place``."""

    def arrived(self, place: Place, arrival: Arrival) -> None:
        """Handle a read that returned data from ``place``."""

    def waiting(self, what: str, seconds: float) -> None:
        """Handle the start of a step that takes about ``seconds`` seconds."""


@dataclass(frozen=True, slots=True)
class HopFailure:
    """A hop that did not return a stream.

    Args:
        position: index of the hop; 0 is the edge.
        status, retry_after_s: as in `ResponseError`.
    """

    position: int
    place: Place
    error: str
    status: int | None = None
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Report:
    """Result of a check.

    ``repr`` leaves out the bodies: asyncio formats a task's result while it handles SIGINT, which
    took 6 s and 500 MB for 64 MB of data.

    Args:
        exchanges: all exchanges of the check, for the record.
        limits, disconnects: results of the optional trials, if requested.
        failures: places that did not return a stream, while others did.
        suspects: ranked suspects of each hop where a hold begins, by the name of the hop.
        experiments: follow-ups that the check ran by itself.
    """

    hops: tuple[Hop, ...]
    findings: tuple[Finding, ...]
    exchanges: tuple[Exchange, ...]
    offset: ClockOffset | None = None
    limits: PathLimits | None = None
    disconnects: tuple[Disconnect, ...] = ()
    failures: tuple[HopFailure, ...] = ()
    suspects: Mapping[str, tuple[Suspect, ...]] = field(default_factory=dict)
    experiments: tuple[Experiment, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Return the verdict on the outermost place; unknown if that place did not answer."""
        if any(one.position == 0 for one in self.failures):
            return Verdict.UNKNOWN
        return self.hops[0].shape.verdict

    @property
    def is_clean(self) -> bool:
        """Return whether there are neither errors nor warnings among the findings."""
        return all(one.severity is Severity.INFO for one in self.findings)


async def run_check(options: CheckOptions, progress: Progress | None = None) -> Report:
    """Send the same request to each place, and analyze the answers.

    Neither the report nor an error contains a secret of ``options``, whatever the servers send.

    Raises:
        NetworkError, RemoteProtocolError, ResponseError: no place returned a stream.
        UsageError: ``beacon`` without a beacon at the far end, or ``idle_s`` or ``cancel`` without
            ``beacon``.
    """
    if not options.beacon and (options.idle_s is not None or options.cancel):
        raise UsageError("idle_s and cancel need a beacon: set beacon as well")
    try:
        return await _check(options, progress or Progress())
    except UndamError as error:
        clean_error(error, options.secrets)
        raise


async def _check(options: CheckOptions, progress: Progress) -> Report:
    clock = await _first_clock(options) if options.beacon else None
    offset = clock.offset if clock is not None else None
    query = format_query(NUMBERED) if clock is not None and clock.numbered else None
    measured = await _measure(options, progress, offset, query)
    hops, exchanges = measured.hops, measured.exchanges
    experimenter = Experimenter(options, measured.models, _asker(options), progress.waiting)
    may_repeat = not any(map(_is_endless, measured.exchanges))
    if options.experiments and offset is None and may_repeat:
        hops = await experimenter.run(hops)
    failures = map(_name_failure, measured.failures)
    found = [*failures, *find_findings(hops, offset), *measured.findings]
    followed = FollowUp()
    is_edge = hops[0].name == options.edge.name
    if (options.experiments or options.tools) and is_edge and may_repeat:
        model = measured.models.get(hops[0].name)
        followed = await follow_up(options, hops[0], model, progress.waiting)
        # Follow-ups do not report a fault again if the first streams have already shown it.
        known = {(one.code, one.hop) for one in found}
        new = [one for one in followed.findings if (one.code, one.hop) not in known]
        found = by_severity([*found, *new])
    limits, disconnects = None, []
    if options.idle_s is not None:
        progress.waiting("keeping streams silent", options.idle_s + 2)
        limits, tried = await find_idle_limits(options, options.edge)
        exchanges += tried
        found += find_limits(options.edge.name, limits)
    if options.cancel and offset is not None:
        progress.waiting("disconnecting from streams", 5)
        disconnects = await probe_disconnects(options, options.edge, offset)
        found += find_disconnects(options.edge.name, disconnects)
    secrets = options.secrets
    experiments = (*experimenter.results, *followed.experiments)
    outcomes = outcomes_of(experiments)
    fixed = [clean_finding(one, secrets) for one in with_fixes(found, hops, outcomes)]
    suspects = clean_suspects(find_suspects(found, hops, outcomes), secrets)
    return Report(
        tuple(hops),
        tuple(fixed),
        tuple(exchanges),
        offset,
        limits,
        tuple(disconnects),
        tuple(measured.failures),
        suspects,
        tuple(replace(one, result=clean_text(one.result, secrets)) for one in experiments),
    )


@dataclass(slots=True)
class MeasuredPlaces:
    """Results for all places, outermost first, with the findings about their connections."""

    hops: list[Hop] = field(default_factory=list)
    exchanges: list[Exchange] = field(default_factory=list)
    failures: list[HopFailure] = field(default_factory=list)
    models: dict[str, str | None] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)


async def _measure(
    options: CheckOptions, progress: Progress, offset: ClockOffset | None, query: str | None
) -> MeasuredPlaces:
    """Send the request to each place, innermost first.

    Raises:
        NetworkError, RemoteProtocolError, ResponseError: no place returned a stream.
    """
    measured = MeasuredPlaces()
    faults: list[UndamError] = []
    for position, place in reversed(list(enumerate(options.places))):
        progress.started(place)
        asking = PlaceRequest(place, HopBudget(options), ReuseTrial(done=not options.experiments))
        try:
            model = measured.models[place.name] = await first_model(options, place)
            asking.request = request_for(options, place, model=model, query=query)
            got = await _ask_calmly(options, progress, asking)
        except (NetworkError, RemoteProtocolError, ResponseError) as error:
            faults.insert(0, error)
            failure = HopFailure(position, place, str(error))
            if isinstance(error, ResponseError):
                wait_s = error.retry_after_s
                failure = replace(failure, status=error.status, retry_after_s=wait_s)
            measured.failures.insert(0, failure)
            continue
        measured.exchanges += got
        inner = measured.hops[0] if measured.hops else None
        own = await _own_offset(options, place, offset)
        measured.hops.insert(0, _analyzed(got, asking.budget, inner=inner, offset=own))
        measured.findings += find_reuse_delay(place.name, asking.reuse.delay_ns)
        if position == 0 and options.experiments and not any(map(_is_endless, got)):
            measured.findings += await _compare_versions(asking, measured.hops[0])
    if not measured.hops:
        raise faults[0]
    return measured


def _is_endless(exchange: Exchange) -> bool:
    """Return whether a stream reached a limit of undam, so that it is not requested again.

    A compressed stream without an end may have been held; a request without compression shows it.
    """
    is_coded = exchange.head is not None and exchange.head.get("content-encoding") is not None
    has_timed_out = exchange.ending is Ending.TIMEOUT and not is_coded
    return exchange.ending is Ending.LIMIT or has_timed_out


def _asker(options: CheckOptions) -> Ask:
    async def ask(place: Place, request: Request) -> Exchange:
        client = HopBudget(options).client_for(place)
        return await fetch_stream(request, client, hop=place.name, api=api_of(place).name)

    return ask


def _analyzed(
    exchanges: Sequence[Exchange],
    budget: HopBudget,
    *,
    inner: Hop | None,
    offset: ClockOffset | None,
) -> Hop:
    work = budget.for_analysis()
    hop = analyze_hop(
        [read_exchange(one, work) for one in exchanges],
        inner=inner,
        offset=offset,
        intermediaries=recognised_in(exchanges[0]),
    )
    return with_known_filter(hop)


def report_json(report: Report) -> dict[str, object]:
    """Return the report as JSON data, as printed by `undam check --json`."""
    late = max((late_ns(hop) for hop in report.hops), default=0)
    kernel = all(one.clock == "kernel" for one in report.exchanges)
    result: dict[str, object] = {
        "schema": 1,
        "command": "check",
        "verdict": report.verdict.value,
        "hops": _hops_json(report),
        "findings": [finding_json(one) for one in report.findings],
        "suspects": [
            _suspect_json(hop, one) for hop, some in report.suspects.items() for one in some
        ],
        "experiments": [
            {"name": one.name, "hop": one.hop, "result": one.result} for one in report.experiments
        ],
        "clock": {
            "source": "kernel" if kernel else "user",
            "late_ms_p99": round(late / 1e6, 3),
            "coalesced_reads": sum(coalesced(hop)[0] for hop in report.hops),
        },
    }
    if report.offset is not None:
        result["beacon"] = {
            "offset_ms": round(report.offset.offset_ns / 1e6, 3),
            "uncertainty_ms": round(report.offset.uncertainty_ns / 1e6, 3),
            "path_ms": round(report.offset.path_ns / 1e6, 3),
        }
    if report.limits is not None:
        result["limits"] = {
            "tried_s": report.limits.tried_s,
            "idle_s": report.limits.idle_s,
            "total_s": report.limits.total_s,
            "drop_between_s": report.limits.drop_between_s,
            "heartbeats_save": report.limits.heartbeats_save,
            "heartbeats_arrive": report.limits.heartbeats_arrive,
        }
    if report.disconnects:
        result["cancel"] = [
            {"when": one.when, "seen_after_ms": one.seen_after_ms} for one in report.disconnects
        ]
    return result


def _name_failure(failure: HopFailure) -> Finding:
    name = failure.place.name
    fix = None
    if " answered 401 " in failure.error or " answered 403 " in failure.error:
        fix = Fix("undam check", f"--hop-header {name}='Authorization: Bearer …'")
    elif " answered 4" in failure.error:
        fix = Fix("undam check", f"--hop-model {name}=MODEL   or   --hop-data {name}=@FILE")
    return finding("UD617", name, error=failure.error, fix=fix)


def _hops_json(report: Report) -> list[dict[str, object]]:
    """Return one row per place, in the given order; a failed place has only its error."""
    rows = [{**hop_metrics(hop), "error": hop.exchange.error} for hop in report.hops]
    empty = dict.fromkeys(rows[0])
    for one in report.failures:
        row = {**empty, "name": one.place.name, "url": redact_url(one.place.url)}
        rows.insert(
            one.position, {**row, "verdict": Verdict.UNKNOWN.value, "events": 0, "error": one.error}
        )
    return rows


async def _own_offset(
    options: CheckOptions, place: Place, offset: ClockOffset | None
) -> ClockOffset | None:
    """Return the clock offset measured through ``place``, because delays depend on the path.

    Without an answer, or with a single place, it is ``offset``.
    """
    if offset is None or len(options.places) == 1:
        return offset
    try:
        return (await ask_clock(options, place, await first_model(options, place))).offset
    except UndamError:
        return offset


async def _first_clock(options: CheckOptions) -> BeaconClock:
    """Return the beacon's clock, measured through the outermost place that answers."""
    faults: list[UndamError] = []
    for place in options.places:
        try:
            return await ask_clock(options, place, await first_model(options, place))
        except (NetworkError, RemoteProtocolError, ResponseError) as error:
            faults.append(error)
    raise faults[0]


def _suspect_json(hop: str, suspect: Suspect) -> dict[str, object]:
    fix = suspect.fix
    return {
        "hop": hop,
        "name": suspect.name,
        "title": title_of(suspect.name),
        "signed": suspect.signed,
        "evidence": list(suspect.evidence),
        "fix": None if fix is None else {"where": fix.where, "text": fix.text},
    }


@dataclass(slots=True)
class PlaceRequest:
    """Request to one place, with its budget and the trial that reuses the connection."""

    place: Place
    budget: HopBudget
    reuse: ReuseTrial
    request: Request = field(default_factory=lambda: Request(url=""))


async def _ask_calmly(
    options: CheckOptions, progress: Progress, asking: PlaceRequest
) -> list[Exchange]:
    """Send the request, and repeat it if undam read too late for an exact measurement.

    The attempt with the shortest delay is used. All attempts share the time limit of the hop.
    """
    attempts: list[list[Exchange]] = []
    for _ in range(_ATTEMPTS):
        got = await _ask(options, progress, asking)
        attempts.append(got)
        if latest_ns(got) <= LATE_NS:
            return got
        if any(one.ending is Ending.LIMIT for one in got) or not asking.budget.allows_repetition:
            break
        progress.waiting(f"{asking.place.name}: this machine was busy, asking again", 3)
    return min(attempts, key=latest_ns)


async def _ask(options: CheckOptions, progress: Progress, asking: PlaceRequest) -> list[Exchange]:
    place, request = asking.place, asking.request
    client = asking.budget.client_for(place)

    def watch(arrival: Arrival) -> None:
        progress.arrived(place, arrival)

    async def after(stream: Stream, exchange: Exchange) -> None:
        await asking.reuse.run(stream, exchange, request, client)

    tasks = (
        fetch_stream(
            request, client, hop=place.name, api=api_of(place).name, watch=watch, after=after
        )
        for _ in range(options.streams)
    )
    return list(await asyncio.gather(*tasks))


async def _compare_versions(asking: PlaceRequest, hop: Hop) -> list[Finding]:
    client = asking.budget.client_for(asking.place)
    http1 = await ask_over_http1(asking.request, client, hop, api=api_of(asking.place).name)
    return [] if http1 is None else find_difference(hop, http1)
