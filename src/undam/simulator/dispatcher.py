"""What each request gets: a reply at once, or a script to be played. No socket, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from undam.errors import RemoteProtocolError, UsageError
from undam.host import host_name
from undam.http1.request_parser import BadRequest
from undam.simulator.api_request import DEFAULT_MODEL, ApiRequest, parse_api_request
from undam.simulator.apis import anthropic, openai
from undam.simulator.apis.form import ResponseContext, ResponseFormat, compact
from undam.simulator.apis.plain import JsonEventFormat, NdjsonFormat, TokenFormat
from undam.simulator.exchanges import ExchangeLog
from undam.simulator.http import Date, Request, head
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
from undam.simulator.text import model_text
from undam.timing.beacon import HEADER, BeaconQuestion, parse_question

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
}
_FORMATS = {**_MODEL_FORMATS, **_PLAIN_FORMATS}

_MODELS = {
    "object": "list",
    "data": [{"id": DEFAULT_MODEL, "object": "model", "created": 0, "owned_by": "undam"}],
}
_FIXED: Mapping[str, Mapping[str, object]] = {"/v1/models": _MODELS, "/healthz": {"status": "ok"}}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer that needs no schedule."""

    data: bytes
    keep_alive: bool


class Dispatcher:
    """Answers requests; remembers the exchanges it began.

    Args:
        name: begins the id of every exchange, so that ids of two runs differ.
    """

    def __init__(self, settings: SimulatorSettings, *, name: str) -> None:
        self.exchanges = ExchangeLog()
        self._settings = settings
        self._name = name
        self._host = host_name()
        self._date = Date()
        self._number = 0
        model_text(settings.seed)  # Made now, so that the first request does not wait for it.

    def answer(self, request: Request, *, start_ns: int, now_ns: int) -> Reply | Script:
        """What ``request`` gets.

        Args:
            start_ns: the time from which its schedule counts: its arrival, or for a pipelined
                request the moment at which its turn came.
        """
        try:
            return self._answer(request, start_ns, now_ns)
        except BadRequest as problem:
            return self._refuse(request, problem.status, str(problem))
        except (RemoteProtocolError, UsageError) as problem:
            return self._refuse(request, 400, str(problem))

    def reject_unreadable(self, problem: BadRequest) -> Reply:
        """What a request gets that could not be read to its end; the connection is lost with it."""
        return _json(problem.status, openai.error(str(problem), problem.status), None)

    def _answer(self, request: Request, start_ns: int, now_ns: int) -> Reply | Script:
        asked = request.get(HEADER.lower())
        question = None if asked is None else parse_question(asked)
        if question is not None and question.kind == "clock":
            said = {"arrived_ns": request.arrived_ns, "left_ns": now_ns, "host": self._host}
            return _json(200, said, request)
        if question is not None and question.kind == "closed":
            return _json(200, self.exchanges.closed(question.id), request)
        if request.path in _FORMATS:
            _allow(request, "GET", "HEAD", "POST")
            named = question.id if question is not None else ""
            opened = self._open(request, start_ns, now_ns, named)
            return self._perform(opened, question)
        if request.path in _FIXED:
            _allow(request, "GET", "HEAD")
            return _json(200, _FIXED[request.path], request)
        raise BadRequest(404, f"no such path: {request.path[:200]}")

    def _open(self, request: Request, start_ns: int, now_ns: int, named: str) -> ExchangeContext:
        exchange_id = named or f"{self._name}-{self._number}"
        return ExchangeContext(exchange_id, request, start_ns, self._date.text(now_ns), self._host)

    def _perform(self, opened: ExchangeContext, question: BeaconQuestion | None) -> Reply | Script:
        request = opened.request
        call = _api_request(request)
        settings = with_options(self._settings, request.query())
        # An answer's draws depend on the seed and its number only, so a run can be repeated.
        rng = random.Random(settings.seed << 64 | self._number)  # noqa: S311 (a schedule)
        if question is not None:
            # The question is about a path that is to be measured, so it goes before the body.
            settings = with_beacon(settings, question.schedule, rng)
            call = replace(call, max_tokens=None)
        planned = plan(settings, rng, call.max_tokens)
        text = model_text(settings.seed)
        created_s = opened.start_ns // 1_000_000_000
        form = _FORMATS[request.path](
            ResponseContext(call, text, self._number, created_s, planned.tokens, planned.cut)
        )
        if request.method == "HEAD":
            return Reply(head(200, stream_headers(opened, form, planned)), request.keep_alive)
        if call.stream:
            script = stream_script(opened, form, planned, text=text, rng=rng)
        else:
            script = whole_script(opened, form, planned, rng=rng)
        self._number += 1
        self.exchanges.opened(opened.exchange_id)
        return script

    def _refuse(self, request: Request, status: int, message: str) -> Reply:
        worded = anthropic.error if request.path == "/v1/messages" else openai.error
        return _json(status, worded(message, status), request)


def _api_request(request: Request) -> ApiRequest:
    if request.method == "POST" and (request.body or request.path in _MODEL_FORMATS):
        call = parse_api_request(request.body)
        # Only a model's API has a form for whole answers that is meant by saying nothing.
        plain = request.path in _PLAIN_FORMATS and call.stream is None
        return replace(call, stream=True) if plain else call
    return ApiRequest(stream=True)


def _allow(request: Request, *methods: str) -> None:
    if request.method not in methods:
        raise BadRequest(405, f"{request.path} takes {', '.join(methods)}")


def _json(status: int, payload: Mapping[str, object], request: Request | None) -> Reply:
    """A JSON reply; without a request it is the connection's last."""
    keep_alive = request is not None and request.keep_alive
    body = compact(payload).encode()
    headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
    if request is None:
        headers.append(("Connection", "close"))
    else:
        headers += connection_headers(request, keep_alive=keep_alive)
    bodyless = request is not None and request.method == "HEAD"
    return Reply(head(status, headers) + (b"" if bodyless else body), keep_alive)
