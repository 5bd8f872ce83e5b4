"""Second request of a check, which asks for a tool call with long arguments."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from undam.apis import CHAT, MESSAGES, RESPONSES, Meaning, ShapeReader
from undam.apis.meaning import mapping, sequence, text
from undam.diagnosis.findings.tool_calls import argument_bursts, find_whole_arguments
from undam.diagnosis.hop import analyze_hop
from undam.diagnosis.reading import MAX_EVENT_BYTES, Reading, read_exchange
from undam.diagnosis.shape import unknown
from undam.errors import RemoteProtocolError, UndamError
from undam.framing import BodyDecoder
from undam.probe.fetch import SentRequest, finished, require_stream, with_timeout
from undam.probe.options import CheckOptions, Place, api_of, client_for, request_for
from undam.rules import Finding
from undam.sse import Event
from undam.timing import Arrival
from undam.wire import Request, Stream, open_stream

TOOLS = "tools"
"""Name of the experiment."""

SHORT_S = 10.0
"""Time limit of the request that a check sends without ``--tools``."""

_NAME = "write_file"
_DESCRIPTION = "Write text to a file."
_PARAMETERS: Mapping[str, object] = {
    "type": "object",
    "properties": {"path": {"type": "string"}, "text": {"type": "string"}},
    "required": ["path", "text"],
}
_PROMPT = (
    "Write a text of 150 words about rivers into the file rivers.txt. Use the tool, and write "
    "nothing else."
)

_TOOLS: dict[str, Mapping[str, object]] = {
    CHAT.name: {
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": _NAME, "description": _DESCRIPTION, "parameters": _PARAMETERS,
                },
            }
        ],
        "tool_choice": {"type": "function", "function": {"name": _NAME}},
    },
    RESPONSES.name: {
        "tools": [
            {
                "type": "function", "name": _NAME, "description": _DESCRIPTION,
                "parameters": _PARAMETERS,
            }
        ],
        "tool_choice": {"type": "function", "name": _NAME},
    },
    MESSAGES.name: {
        "tools": [
            {"name": _NAME, "description": _DESCRIPTION, "input_schema": _PARAMETERS}
        ],
        "tool_choice": {"type": "tool", "name": _NAME},
    },
}  # fmt: skip

# After this many text events, the model will not make the tool call that the request demands.
_TEXT_EVENTS = 12
# This many bursts after the first one prove that the arguments are streamed.
_PIECES = 8


@dataclass(frozen=True, slots=True)
class ToolTrial:
    """Result of the tool-call request.

    Args:
        result: the observation, as one clause.
    """

    result: str
    findings: tuple[Finding, ...] = ()


def has_tools(options: CheckOptions, place: Place) -> bool:
    """Return whether undam writes the request for this place, and the API supports tools."""
    own = place.data if place.data is not None else options.data
    return own is None and api_of(place).name in _TOOLS


async def try_tool_call(
    options: CheckOptions, place: Place, model: str | None, limit_s: float
) -> ToolTrial:
    """Request a tool call from ``place``, and return how its arguments arrive.

    Reading stops when the answer is known: the arguments arrive in pieces, or text arrives instead.
    """
    request = tool_request(options, place, model)
    client = client_for(options, place)
    config = with_timeout(client, min(limit_s, client.timeout_s))
    api = api_of(place).name
    try:
        async with await open_stream(request, config) as stream:
            await require_stream(stream, SentRequest(request, config, place.name, api))
            arrivals = await _read_calls(stream, ShapeReader(api_of(place)))
            exchange = finished(stream, arrivals, hop=place.name, api=api)
    except UndamError as error:
        return ToolTrial(f"no result: {error}")
    reading = read_exchange(exchange)
    # The first request has already shown how this place streams, so only the arguments are
    # analyzed.
    hop = replace(analyze_hop([reading]), shape=unknown("a request for a tool call"))
    found = find_whole_arguments(hop)
    return ToolTrial(_result(reading, found), tuple(found))


def tool_request(options: CheckOptions, place: Place, model: str | None) -> Request:
    """Return the request of the check, modified to request a tool call."""
    request = request_for(replace(options, prompt=_PROMPT), place, model=model)
    body = {**json.loads(request.body), **_TOOLS[api_of(place).name]}
    return replace(request, body=json.dumps(body).encode())


async def _read_calls(stream: Stream, reader: ShapeReader) -> tuple[Arrival, ...]:
    decoder = BodyDecoder(stream.head.get("content-type") or "", max_event_bytes=MAX_EVENT_BYTES)
    arrivals: list[Arrival] = []
    texts = bursts = 0
    async for arrival in stream:
        arrivals.append(arrival)
        try:
            events = decoder.receive_data(arrival.data)
        except RemoteProtocolError:
            break
        meanings = [reader.read(one.event, one.data) for one in events if isinstance(one, Event)]
        texts += sum(_is_answer(meaning) for meaning in meanings)
        bursts += any(meaning.tool for meaning in meanings)
        if bursts > _PIECES or (texts >= _TEXT_EVENTS and not bursts):
            break
    return tuple(arrivals)


def _is_answer(meaning: Meaning) -> bool:
    """Return whether an event carries text of the answer, not reasoning or arguments."""
    payload = mapping(meaning.payload)
    choices = map(mapping, sequence(payload.get("choices")))
    return (
        any(text(mapping(choice.get("delta")).get("content")) for choice in choices)
        or mapping(payload.get("delta")).get("type") == "text_delta"
        or payload.get("type") == "response.output_text.delta"
    )


def _result(reading: Reading, found: list[Finding]) -> str:
    bursts = argument_bursts(reading)
    if not bursts:
        return "the model made no tool call"
    chars = sum(burst.chars for burst in bursts)
    if found:
        seconds = found[0].evidence["silent_s"]
        return f"{chars} characters of arguments arrived at once after {seconds} s of silence"
    pieces = "in one piece" if len(bursts) == 1 else f"in {len(bursts)} pieces"
    return f"the arguments arrive {pieces} ({chars} characters)"
