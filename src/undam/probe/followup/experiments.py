"""Experiments of a check: follow-up requests that settle questions left open by its first requests.

They are bounded: at most four requests per hop, and no new one after a total time.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Api
from undam.diagnosis.experiments import (
    IDENTITY,
    LONGER,
    TWO_STREAMS,
    UNPREDICTABLE,
    Experiment,
    compare_coding,
    compare_length,
    compare_prompts,
    compare_streams,
    with_experiments,
    with_reading,
)
from undam.diagnosis.findings.buffering import coding_of
from undam.diagnosis.hop import Hop, analyze_hop
from undam.diagnosis.reading import Reading, read_exchange
from undam.diagnosis.shape import median_events
from undam.errors import UndamError
from undam.probe.options import CheckOptions, Place, api_of, request_for
from undam.record import Exchange
from undam.wire import Request

Ask = Callable[[Place, Request], Awaitable[Exchange]]
"""Sends a request and returns its exchange."""

Announce = Callable[[str, float], None]
"""Reports a step and its approximate duration in seconds."""

UNPREDICTABLE_PROMPT = (
    "Write 100 random strings of six letters and digits, separated by spaces. Write nothing else."
)
LONGER_PROMPT = (
    "Write 500 random English words from unrelated subjects, separated by commas. Do not repeat a "
    "word. Write nothing else."
)
_LONGER_TOKENS = 2048

# After this time, no further experiment starts.
_TOTAL_S = 60.0
# The second stream starts this part of a period later, and ends in the middle of a burst.
_PHASE = 0.4
_BURSTS = 6.5

_LIMIT_KEYS = {
    CHAT.name: ("max_completion_tokens", "max_tokens"),
    COMPLETIONS.name: ("max_tokens",),
    MESSAGES.name: ("max_tokens",),
    RESPONSES.name: ("max_output_tokens",),
}


class Experimenter:
    """Runner for the experiments of a check.

    Args:
        models: model of each place, by its name, if the user named none.
        ask: sends a request to a place.
        announce: reports the start of an experiment.

    Attributes:
        results: the experiments so far.
    """

    def __init__(
        self,
        options: CheckOptions,
        models: Mapping[str, str | None],
        ask: Ask,
        announce: Announce,
    ) -> None:
        self.results: list[Experiment] = []
        self._options = options
        self._models = models
        self._ask = ask
        self._announce = announce
        self._started_s: float | None = None

    async def run(self, hops: Sequence[Hop]) -> list[Hop]:
        """Return the hops, outermost first, with the verdicts that the experiments prove."""
        settled: list[Hop] = []
        places = {place.name: place for place in self._options.places}
        for hop in reversed(hops):
            inner = settled[0] if settled else None
            settled.insert(0, await self._settle(places[hop.name], _again(hop, inner)))
        return settled

    async def _settle(self, place: Place, hop: Hop) -> Hop:
        usual = self._request(place, self._options)
        if hop.shape.is_short and self._writes_prompt(place):
            hop = await self._try_longer(place, hop)
        coding = coding_of(hop)
        if coding is not None and (hop.shape.held or hop.shape.hold is not None):
            headers = tuple(h for h in usual.headers if h[0].lower() != "accept-encoding")
            plain = replace(usual, headers=(*headers, ("Accept-Encoding", "identity")))
            got = await self._read(place, hop, IDENTITY, plain)
            if got is not None:
                hop = self._add(hop, compare_coding(hop.name, coding, got))
        if hop.shape.hold is not None:
            hop = await self._try_two_streams(place, hop, usual)
        if hop.shape.hold is not None and self._writes_prompt(place):
            options = replace(self._options, prompt=UNPREDICTABLE_PROMPT)
            got = await self._read(place, hop, UNPREDICTABLE, self._request(place, options))
            if got is not None:
                hop = self._add(hop, compare_prompts(hop.name, hop.shape, got))
        return hop

    async def _try_longer(self, place: Place, hop: Hop) -> Hop:
        options = replace(self._options, prompt=LONGER_PROMPT)
        request = self._request(place, options)
        if api_of(place) in {COMPLETIONS, MESSAGES}:
            request = with_token_limit(request, api_of(place), _LONGER_TOKENS)
        got = await self._read(place, hop, LONGER, request)
        if got is None:
            return hop
        self.results.append(compare_length(hop.name, got))
        return with_reading(hop, got)

    async def _try_two_streams(self, place: Place, hop: Hop, usual: Request) -> Hop:
        every_ms, events = hop.shape.evidence.get("every_ms"), median_events(hop.shape)
        assert isinstance(every_ms, float)
        assert isinstance(events, int | float)
        cut = with_token_limit(usual, api_of(place), round(_BURSTS * events))
        got = await asyncio.gather(
            self._read(place, hop, TWO_STREAMS, usual),
            self._read(place, hop, TWO_STREAMS, cut, after_s=_PHASE * every_ms / 1000),
        )
        first, second = got
        if first is None or second is None:
            return hop
        return self._add(hop, compare_streams(hop.name, first, second))

    async def _read(
        self, place: Place, hop: Hop, name: str, request: Request, after_s: float = 0.0
    ) -> Reading | None:
        """Return the reading of one more stream; ``None`` after a failure or the time limit."""
        now = asyncio.get_running_loop().time()
        self._started_s = self._started_s or now
        if now - self._started_s > _TOTAL_S:
            return None
        seconds = (hop.exchange.ended_ns - hop.reading.sent_ns) / 1e9
        self._announce(f"{place.name}: experiment {name}", seconds)
        await asyncio.sleep(after_s)
        try:
            return read_exchange(await self._ask(place, request))
        except UndamError as error:
            if all((one.name, one.hop) != (name, hop.name) for one in self.results):
                self.results.append(Experiment(name, hop.name, f"no result: {error}"))
            return None

    def _add(self, hop: Hop, result: Experiment) -> Hop:
        self.results.append(result)
        return with_experiments(hop, self.results)

    def _request(self, place: Place, options: CheckOptions) -> Request:
        return request_for(options, place, model=self._models.get(place.name))

    def _writes_prompt(self, place: Place) -> bool:
        """Return whether the request contains the prompt from the options."""
        data = place.data
        if data is None and api_of(place) is api_of(self._options.edge):
            data = self._options.data
        return data is None and api_of(place).request is not None


def _again(hop: Hop, inner: Hop | None) -> Hop:
    """Analyze the hop again, because an experiment may have changed the inner hop's verdict."""
    if inner is None or hop.shape.hold is None:
        return hop
    return analyze_hop(hop.readings, inner=inner, intermediaries=hop.intermediaries)


def with_token_limit(request: Request, api: Api, tokens: int) -> Request:
    """Return the request with a limit on the answer's tokens, if the API has such a limit.

    A body that is not a JSON object stays as it is.
    """
    keys = _LIMIT_KEYS.get(api.name, ())
    try:
        body = json.loads(request.body)
    except (ValueError, RecursionError):
        return request
    if not keys or not isinstance(body, dict):
        return request
    key = next((key for key in keys if key in body), keys[-1])
    return replace(request, body=json.dumps({**body, key: tokens}).encode())
