"""Dispatcher that answers requests with an immediate reply or a script. No I/O and no clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from undam.errors import RemoteProtocolError, UsageError
from undam.host import host_name
from undam.http1.request_parser import BadRequest
from undam.simulator.api_request import DEFAULT_MODEL, ApiRequest, parse_api_request
from undam.simulator.apis import anthropic, openai
from undam.simulator.apis.forms import FORMS
from undam.simulator.apis.plain import JsonEventFormat, NdjsonFormat, TokenFormat
from undam.simulator.apis.response_format import ResponseContext, ResponseFormat, compact
from undam.simulator.exchanges import ExchangeLog
from undam.simulator.http import Date, HttpRequest, head
from undam.simulator.schedule import plan, with_beacon
from undam.simulator.scripts import (
    ExchangeContext,
    connection_headers,
    stream_headers,
    stream_script,
    whole_script,
)
from undam.simulator.settings import SimulatorSettings, with_options
from undam.simulator.stream import Script
from undam.simulator.text import AnswerText, ClockText, NumberedText, model_text
from undam.timing.beacon import HEADER, BeaconQuery, BeaconSchedule, parse_query
from undam.timing.numbered_text import query_in_body

_MODEL_FORMATS: Mapping[str, Callable[[ResponseContext], ResponseFormat]] = {
    "/v1/chat/completions": openai.ChatFormat,
    "/v1/completions": openai.CompletionFormat,
    "/v1/responses": openai.ResponsesFormat,
    "/v1/messages": anthropic.MessagesFormat,
}
_PLAIN_FORMATS: Mapping[str, Callable[[ResponseContext], ResponseFormat]] = {
    "/sse": JsonEventFormat,
    "/ndjson": NdjsonFormat,
    "/v1/stream": TokenFormat,
    **FORMS,
}
_FORMATS = {**_MODEL_FORMATS, **_PLAIN_FORMATS}

_MODELS = {
    "object": "list",
    "data": [{"id": DEFAULT_MODEL, "object": "model", "created": 0, "owned_by": "undam"}],
}
_FIXED: Mapping[str, Mapping[str, object]] = {"/v1/models": _MODELS, "/healthz": {"status": "ok"}}


# Answer to a clock query in a request body: one event, without delay.
_AT_ONCE = BeaconSchedule(ttft_ms=0, gap_ms=0, before=1, silence_ms=0, after=0, heartbeat_ms=0)


@dataclass(frozen=True, slots=True)
class Reply:
    """A response that is sent at once, without a schedule."""

    data: bytes
    keep_alive: bool


class Dispatcher:
    """Request dispatcher, which also logs the exchanges.

    Args:
        name: prefix of exchange IDs, so that IDs of two runs differ.
    """

    def __init__(self, settings: SimulatorSettings, *, name: str) -> None:
        self.exchanges = ExchangeLog()
        self._settings = settings
        self._name = name
        self._host = host_name()
        self._date = Date()
        self._number = 0
        # The text is created in advance, so that the first request is not delayed.
        model_text(settings.seed)

    def answer(self, request: HttpRequest, *, start_ns: int, now_ns: int) -> Reply | Script:
        """Return the response to a request.

        Args:
            start_ns: origin of its schedule: its arrival, or the end of the previous response
                for a pipelined request.
        """
        try:
            return self._answer(request, start_ns, now_ns)
        except BadRequest as problem:
            return self._refuse(request, problem.status, str(problem))
        except (RemoteProtocolError, UsageError) as problem:
            return self._refuse(request, 400, str(problem))

    def reject_unreadable(self, problem: BadRequest) -> Reply:
        """Return the reply to a malformed request; it closes the connection."""
        return _json(problem.status, openai.error(str(problem), problem.status), None)

    def _answer(self, request: HttpRequest, start_ns: int, now_ns: int) -> Reply | Script:
        header = request.get(HEADER.lower())
        query = None if header is None else parse_query(header)
        if query is not None and query.kind == "clock":
            times = {"arrived_ns": request.arrived_ns, "left_ns": now_ns, "host": self._host}
            return _json(200, {**times, "numbered": True}, request)
        if query is not None and query.kind == "closed":
            return _json(200, self.exchanges.closed(query.id), request)
        if request.path in _FORMATS:
            _allow(request, "GET", "HEAD", "POST")
            # An application in front of the simulator may forward only the prompt or the model
            # name, and no header.
            query = query or query_in_body(request.body)
            exchange_id = query.id if query is not None else ""
            exchange = self._open(request, start_ns, now_ns, exchange_id)
            return self._respond(exchange, query, now_ns)
        if request.path in _FIXED:
            _allow(request, "GET", "HEAD")
            return _json(200, _FIXED[request.path], request)
        raise BadRequest(404, f"unknown path: {request.path[:200]}")

    def _open(
        self, request: HttpRequest, start_ns: int, now_ns: int, named: str
    ) -> ExchangeContext:
        exchange_id = named or f"{self._name}-{self._number}"
        return ExchangeContext(exchange_id, request, start_ns, self._date.text(now_ns), self._host)

    def _respond(
        self, exchange: ExchangeContext, query: BeaconQuery | None, now_ns: int
    ) -> Reply | Script:
        request = exchange.request
        api_request = _api_request(request)
        settings = with_options(self._settings, request.query())
        # Random values depend only on the seed and the response number, so that a run can be
        # repeated.
        rng = random.Random(settings.seed << 64 | self._number)  # noqa: S311 (a schedule)
        if query is not None:
            # A beacon query measures a path, so the query takes precedence over the request body.
            schedule = _AT_ONCE if query.kind == "clock" else query.schedule
            settings = with_beacon(settings, schedule, rng)
            api_request = replace(api_request, max_tokens=None)
        planned = plan(settings, rng, api_request.max_tokens)
        text: AnswerText = model_text(settings.seed)
        if query is not None and query.kind == "clock":
            text = ClockText(request.arrived_ns, now_ns, self._host)
        elif query is not None and query.schedule.numbered:
            text = NumberedText(exchange.exchange_id, planned.events)
        created_s = exchange.start_ns // 1_000_000_000
        response_format = _FORMATS[request.path](
            ResponseContext(api_request, text, self._number, created_s, planned.tokens, planned.cut)
        )
        if request.method == "HEAD":
            return Reply(
                head(200, stream_headers(exchange, response_format, planned)), request.keep_alive
            )
        if api_request.stream:
            script = stream_script(exchange, response_format, planned, text=text, rng=rng)
        else:
            script = whole_script(exchange, response_format, planned, rng=rng)
        self._number += 1
        self.exchanges.opened(exchange.exchange_id)
        return script

    def _refuse(self, request: HttpRequest, status: int, message: str) -> Reply:
        error = anthropic.error if request.path == "/v1/messages" else openai.error
        return _json(status, error(message, status), request)


def _api_request(request: HttpRequest) -> ApiRequest:
    if request.method == "POST" and (request.body or request.path in _MODEL_FORMATS):
        api_request = parse_api_request(request.body)
        # By default, model APIs do not stream; all other paths do.
        plain = request.path in _PLAIN_FORMATS and api_request.stream is None
        return replace(api_request, stream=True) if plain else api_request
    return ApiRequest(stream=True)


def _allow(request: HttpRequest, *methods: str) -> None:
    if request.method not in methods:
        raise BadRequest(405, f"{request.path} supports {', '.join(methods)} only")


def _json(status: int, payload: Mapping[str, object], request: HttpRequest | None) -> Reply:
    """Return a JSON reply. If no request is given, the reply closes the connection."""
    keep_alive = request is not None and request.keep_alive
    body = compact(payload).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if request is None:
        headers.append(("Connection", "close"))
    else:
        headers += connection_headers(request, keep_alive=keep_alive)
    bodyless = request is not None and request.method == "HEAD"
    return Reply(head(status, headers) + (b"" if bodyless else body), keep_alive)
