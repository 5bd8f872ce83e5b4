"""Follow-up requests to the edge: without the forward proxy, by GET, and for a tool call."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from undam.apis import PLAIN
from undam.diagnosis.experiments import IDENTITY, Experiment
from undam.diagnosis.hop import Hop
from undam.diagnosis.reading import read_exchange
from undam.diagnosis.shape import Shape, classify_pattern
from undam.errors import UndamError
from undam.probe.fetch import fetch_stream, with_timeout
from undam.probe.followup.tool_calls import SHORT_S, TOOLS, has_tools, try_tool_call
from undam.probe.options import (
    CheckOptions,
    Place,
    api_of,
    client_for,
    direct_client,
    request_for,
)
from undam.probe.remedies import Outcomes
from undam.rules import Finding, Verdict, finding
from undam.wire import ClientConfig, Request

WITHOUT_PROXY = "without-proxy"
GET = "get"

# Time limit for a follow-up: a multiple of the duration of the first request, within bounds.
_SLOWER = 2.0
_LEAST_S, _MOST_S = 10.0, 60.0


@dataclass(frozen=True, slots=True)
class FollowUpResult:
    """Result of a follow-up request.

    Args:
        name: one of the constants of this module.
        hop: name of the hop.
        result: the observation, as one clause.
        streams: whether this request streamed; ``None`` if that is not known.
    """

    name: str
    hop: str
    result: str
    streams: bool | None = None
    ttft_ms: float | None = None


def is_open(hop: Hop) -> bool:
    """Return whether a follow-up may add evidence, because the hop is held or undecided."""
    return hop.shape.held or (hop.shape.verdict is Verdict.UNKNOWN and bool(hop.reading.contents))


async def compare_without_proxy(
    options: CheckOptions, place: Place, hop: Hop, model: str | None
) -> FollowUpResult:
    """Send the same request to ``hop`` again, without the forward proxy."""
    request = request_for(options, place, model=model)
    return await _compare(WITHOUT_PROXY, place, hop, request, direct_client(options.client))


def may_get(options: CheckOptions, place: Place, hop: Hop) -> bool:
    """Return whether GET may work too, because the URL does not belong to a known API.

    A GET request has no effect on the server, but a POST request to an unknown URL may.
    """
    return api_of(place) is PLAIN and request_for(options, place).method == "POST" and is_open(hop)


async def compare_get(
    options: CheckOptions, place: Place, hop: Hop, client: ClientConfig
) -> FollowUpResult:
    """Send a GET request to the URL of ``hop``, whose request was a POST."""
    usual = request_for(options, place)
    headers = tuple(line for line in usual.headers if line[0].lower() != "content-type")
    request = Request(url=usual.url, headers=headers)
    return await _compare(GET, place, hop, request, client)


async def _compare(
    name: str, place: Place, hop: Hop, request: Request, client: ClientConfig
) -> FollowUpResult:
    took_s = (hop.exchange.ended_ns - hop.reading.sent_ns) / 1e9
    limit = min(client.timeout_s, max(_LEAST_S, min(_MOST_S, _SLOWER * took_s)))
    try:
        exchange = await fetch_stream(
            request, with_timeout(client, limit), hop=place.name, api=api_of(place).name
        )
    except UndamError as error:
        return FollowUpResult(name, hop.name, f"no result: {error}")
    reading = read_exchange(exchange)
    shape = classify_pattern(reading)
    contents = reading.contents
    ttft_ms = round((contents[0].at_ns - reading.sent_ns) / 1e6, 1) if contents else None
    return FollowUpResult(name, hop.name, _clause(shape, ttft_ms), _streams(shape), ttft_ms)


def _streams(shape: Shape) -> bool | None:
    if shape.held:
        return False
    return True if shape.verdict is Verdict.STREAMING else None


def _clause(shape: Shape, ttft_ms: float | None) -> str:
    if shape.verdict is Verdict.UNKNOWN:
        return f"no result: {shape.reason}"
    return f"{shape.verdict.value}, TTFT {ttft_ms} ms"


@dataclass(frozen=True, slots=True)
class FollowUp:
    """Results of the follow-up requests to the edge."""

    comparisons: tuple[FollowUpResult, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def experiments(self) -> tuple[Experiment, ...]:
        """Return the results in the form that the report uses."""
        return tuple(
            Experiment(one.name, one.hop, one.result, streams=one.streams)
            for one in self.comparisons
        )


def outcomes_of(experiments: Iterable[Experiment]) -> dict[str, Outcomes]:
    """Return the results that help to decide between suspects, by hop name."""
    found: dict[str, Outcomes] = {}
    for one in experiments:
        known = found.get(one.hop, Outcomes())
        if one.name == IDENTITY:
            found[one.hop] = replace(known, uncompressed_streams=one.streams)
        elif one.name == WITHOUT_PROXY:
            found[one.hop] = replace(known, direct_streams=one.streams)
    return found


async def follow_up(
    options: CheckOptions, hop: Hop, model: str | None, announce: Callable[[str, float], None]
) -> FollowUp:
    """Send the follow-up requests to the edge that its first streams call for.

    Args:
        hop: the analyzed edge.
        announce: reports a step and its approximate duration in seconds.
    """
    place, done = options.edge, FollowUp()
    seconds = (hop.exchange.ended_ns - hop.reading.sent_ns) / 1e9
    if options.experiments and hop.exchange.proxy is not None and is_open(hop):
        announce(f"{place.name}: asking without the proxy", seconds)
        direct = await compare_without_proxy(options, place, hop, model)
        done = _with(done, direct, find_proxy_hold(hop, direct))
    if options.experiments and may_get(options, place, hop):
        announce(f"{place.name}: asking by GET", seconds)
        done = _with(done, await compare_get(options, place, hop, client_for(options, place)))
    streams = hop.shape.verdict is Verdict.STREAMING and not hop.exact
    if has_tools(options, place) and (options.tools or streams):
        limit_s = options.client.timeout_s if options.tools else SHORT_S
        announce(f"{place.name}: asking for a tool call", min(limit_s, SHORT_S))
        trial = await try_tool_call(options, place, model, limit_s)
        result = FollowUpResult(TOOLS, hop.name, trial.result)
        done = _with(done, result, trial.findings)
    return done


def _with(done: FollowUp, comparison: FollowUpResult, findings: Iterable[Finding] = ()) -> FollowUp:
    return FollowUp((*done.comparisons, comparison), (*done.findings, *findings))


def find_proxy_hold(hop: Hop, comparison: FollowUpResult) -> list[Finding]:
    """Return a finding if the stream is held only through the forward proxy."""
    if not comparison.streams or not hop.shape.held or hop.exchange.proxy is None:
        return []
    return [
        finding(
            "UD116",
            hop.name,
            proxy=hop.exchange.proxy,
            verdict=hop.shape.verdict.value,
            direct_ttft_ms=comparison.ttft_ms,
        )
    ]
