"""Follow-up requests in a check: which ones are sent, and which questions they answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from support.synthetic_streams import (
    SSE_HEAD,
    answer,
    even_schedule,
    exchange,
    merged,
    timed_flush,
)
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import read_exchange
from undam.errors import NetworkError
from undam.probe.followup.experiments import (
    LONGER_PROMPT,
    UNPREDICTABLE_PROMPT,
    Experimenter,
    with_token_limit,
)
from undam.probe.options import CheckOptions, Place, api_of, request_for
from undam.record import Exchange
from undam.rules import Verdict
from undam.wire import Request

EDGE = Place("edge", "http://127.0.0.1:1/v1/chat/completions")
MODEL = Place("model", "http://127.0.0.1:2/v1/chat/completions")
ENGINE_STEPS = [300 + 16.0 * (index // 8) for index in range(160)]


def _exchange(due: Sequence[float], hop: str = "edge", **more: object) -> Exchange:
    return exchange(merged(answer(due)), hop=hop, **more)  # type: ignore[arg-type]


def _hop(given: Exchange) -> Hop:
    return analyze_hop([read_exchange(given)])


def _prompt(request: Request) -> str:
    return str(json.loads(request.body)["messages"][0]["content"])


class _Server:
    """Server for a follow-up experiment that records and answers requests."""

    def __init__(self, respond: Callable[[Place, Request, int], Exchange]) -> None:
        self.requests: list[tuple[str, Request]] = []
        self._respond = respond

    async def ask(self, place: Place, request: Request) -> Exchange:
        self.requests.append((place.name, request))
        return self._respond(place, request, len(self.requests))


def _run(
    options: CheckOptions, hops: Sequence[Hop], server: _Server
) -> tuple[list[Hop], Experimenter]:
    announced: list[str] = []
    experimenter = Experimenter(
        options, {"edge": "m"}, server.ask, lambda what, _seconds: announced.append(what)
    )
    settled = asyncio.run(experimenter.run(hops))
    assert len(announced) == len(server.requests)
    return settled, experimenter


def test_streaming_hop_needs_no_experiment() -> None:
    server = _Server(lambda *_: pytest.fail("nothing is open"))
    hop = _hop(_exchange(even_schedule(25, 60)))
    settled, experimenter = _run(CheckOptions(places=(EDGE,)), [hop], server)
    assert (settled, experimenter.results) == ([hop], [])


def test_two_streams_settle_steps_without_a_further_request() -> None:
    server = _Server(lambda *_: _exchange(ENGINE_STEPS))
    hops = [_hop(_exchange(ENGINE_STEPS))]
    (hop,), experimenter = _run(CheckOptions(places=(EDGE,)), hops, server)
    assert hop.shape.verdict is Verdict.STREAMING
    assert [one.name for one in experimenter.results] == ["two-streams"]
    first, second = (json.loads(request.body) for _, request in server.requests)
    assert "max_tokens" not in first
    assert second["max_tokens"] == 52, "it ends in the middle of a burst of eight"
    assert first["model"] == second["model"] == "m"


def test_unpredictable_prompt_follows_if_the_streams_prove_nothing() -> None:
    def respond(_place: Place, request: Request, number: int) -> Exchange:
        if _prompt(request) == UNPREDICTABLE_PROMPT:
            return _exchange(even_schedule(8, 60))
        return _exchange([at + 7.0 * number for at in ENGINE_STEPS])

    server = _Server(respond)
    hops = [_hop(_exchange(ENGINE_STEPS))]
    (hop,), experimenter = _run(CheckOptions(places=(EDGE,)), hops, server)
    assert hop.shape.verdict is Verdict.STREAMING
    assert [one.name for one in experimenter.results] == ["two-streams", "unpredictable-prompt"]


def test_a_body_of_the_user_is_not_replaced() -> None:
    server = _Server(lambda _p, _r, number: _exchange([at + 7.0 * number for at in ENGINE_STEPS]))
    options = CheckOptions(places=(EDGE,), data=b'{"messages": [], "max_completion_tokens": 900}')
    (hop,), experimenter = _run(options, [_hop(_exchange(ENGINE_STEPS))], server)
    assert hop.shape.verdict is Verdict.UNKNOWN
    assert [one.name for one in experimenter.results] == ["two-streams"]
    bodies = [json.loads(request.body) for _, request in server.requests]
    assert [body["max_completion_tokens"] for body in bodies] == [900, 52]


def test_a_longer_answer_is_requested_if_the_first_was_too_short() -> None:
    server = _Server(lambda *_: _exchange(even_schedule(25, 60)))
    hops = [_hop(_exchange(even_schedule(25, 5)))]
    (hop,), experimenter = _run(CheckOptions(places=(EDGE,)), hops, server)
    assert hop.shape.verdict is Verdict.STREAMING
    assert [_prompt(request) for _, request in server.requests] == [LONGER_PROMPT]
    assert [one.name for one in experimenter.results] == ["longer-answer"]


def test_longer_answer_of_an_api_with_a_small_default_has_a_limit() -> None:
    place = Place("edge", "http://127.0.0.1:1/v1/messages")
    server = _Server(lambda *_: _exchange(even_schedule(25, 5)))
    (hop,), _ = _run(CheckOptions(places=(place,)), [_hop(_exchange(even_schedule(25, 5)))], server)
    assert hop.shape.verdict is Verdict.UNKNOWN
    assert json.loads(server.requests[0][1].body)["max_tokens"] == 2048


def test_compressed_stream_is_requested_without_compression() -> None:
    head = replace(SSE_HEAD, headers=(*SSE_HEAD.headers, ("Content-Encoding", "gzip")))
    due = even_schedule(25, 85)
    held = exchange(timed_flush(200, from_first_byte=True)(answer(due), due[-1]), head=head)
    server = _Server(lambda *_: _exchange(even_schedule(25, 60)))
    (hop,), experimenter = _run(CheckOptions(places=(EDGE,)), [_hop(held)], server)
    assert hop.shape.held, "it is held with compression, as users receive it"
    ((_, request),) = server.requests
    assert ("Accept-Encoding", "identity") in request.headers
    (result,) = experimenter.results
    assert (result.name, "the compressor holds it" in result.result) == ("identity", True)


def test_an_inner_hop_that_is_settled_settles_the_outer_one() -> None:
    def respond(place: Place, _request: Request, _number: int) -> Exchange:
        assert place == MODEL
        return _exchange(ENGINE_STEPS, hop="model")

    hops = [_hop(_exchange(ENGINE_STEPS)), _hop(_exchange(ENGINE_STEPS, hop="model"))]
    server = _Server(respond)
    settled, experimenter = _run(CheckOptions(places=(EDGE, MODEL)), hops, server)
    assert [hop.shape.verdict for hop in settled] == [Verdict.STREAMING] * 2
    assert {one.hop for one in experimenter.results} == {"model"}


def test_a_failed_experiment_is_reported_and_changes_nothing() -> None:
    def refuse(*_: object) -> Exchange:
        raise NetworkError("connection refused", phase="connect")

    hops = [_hop(_exchange(ENGINE_STEPS))]
    settled, experimenter = _run(CheckOptions(places=(EDGE,)), hops, _Server(refuse))
    assert settled == hops
    assert [(one.name, one.result) for one in experimenter.results] == [
        ("two-streams", "no result: connection refused"),
        ("unpredictable-prompt", "no result: connection refused"),
    ]
    short = [_hop(_exchange(even_schedule(25, 5)))]
    assert _run(CheckOptions(places=(EDGE,)), short, _Server(refuse))[0] == short


def test_no_experiment_starts_after_the_time_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("undam.probe.followup.experiments._TOTAL_S", -1.0)
    hops = [_hop(_exchange(ENGINE_STEPS))]
    server = _Server(lambda *_: pytest.fail("there is no time"))
    settled, experimenter = _run(CheckOptions(places=(EDGE,)), hops, server)
    assert (settled, experimenter.results) == (hops, [])


@pytest.mark.parametrize("body", [b"", b"[1]", b"{half", b"[" * 100_000])
def test_token_limit_leaves_other_bodies_as_they_are(body: bytes) -> None:
    request = replace(request_for(CheckOptions(places=(EDGE,)), EDGE), body=body)
    assert with_token_limit(request, api_of(EDGE), 5) == request


def test_token_limit_has_the_name_of_its_api() -> None:
    for path, key in (("responses", "max_output_tokens"), ("completions", "max_tokens")):
        place = Place("edge", f"http://127.0.0.1:1/v1/{path}")
        request = request_for(CheckOptions(places=(place,)), place)
        limited = with_token_limit(request, api_of(place), 5)
        assert json.loads(limited.body)[key] == 5
    page = Place("edge", "http://127.0.0.1:1/page")
    request = Request(url=page.url, body=b"{}")
    assert with_token_limit(request, api_of(page), 5) == request
