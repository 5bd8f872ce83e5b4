"""What an answer is made of, piece by piece, whichever API speaks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Api
from undam.apis.meaning import count, mapping, sequence, text


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of what the model says; ``choice`` counts from 0 where several were asked for."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what the model thinks, where the server shows it."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A piece of a call: the first one brings ``id`` and ``name``, all bring ``arguments``.

    Args:
        index: which call of this answer it is; pieces with the same one belong together.
        arguments: a piece of JSON text, to be joined before it is read.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts as far as the server has told them; ``None`` is not told."""

    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer, or one choice of it, is complete; ``reason`` in the API's own word."""

    reason: str
    choice: int = 0


Delta = Text | Reasoning | ToolCall | Usage | Finish

CONTENT = (Text, Reasoning, ToolCall)
"""The deltas that a reader waits for; TTFT counts to the first of these."""

# Engines put reasoning under different keys: vLLM and DeepSeek the first, OpenRouter the second.
_REASONING = ("reasoning_content", "reasoning")


def deltas_of(api: Api, event: str, payload: object) -> list[Delta]:
    """The deltas in one event's JSON; a hostile payload has none.

    Args:
        event: the event's name, for APIs whose payload may leave its type out.
    """
    return list(_READERS[api.name](event, mapping(payload)))


def readable() -> tuple[str, ...]:
    """Names of the APIs whose deltas are known here."""
    return tuple(_READERS)


def _number(value: object) -> int:
    return count(value) or 0


def _usage(told: Mapping[str, object], names: tuple[str, str]) -> Iterator[Delta]:
    found = Usage(count(told.get(names[0])), count(told.get(names[1])))
    if found != Usage():
        yield found


def _chunk(_event: str, payload: Mapping[str, object]) -> Iterator[Delta]:
    for choice in map(mapping, sequence(payload.get("choices"))):
        index, delta = _number(choice.get("index")), mapping(choice.get("delta"))
        for key in _REASONING:
            if said := text(delta.get(key)):
                yield Reasoning(said, index)
        for said in (text(delta.get("content")), text(delta.get("refusal")),
                     text(choice.get("text"))):  # fmt: skip
            if said:
                yield Text(said, index)
        yield from _tool_calls(delta, index)
        if reason := text(choice.get("finish_reason")):
            yield Finish(reason, index)
    yield from _usage(mapping(payload.get("usage")), ("prompt_tokens", "completion_tokens"))


def _tool_calls(delta: Mapping[str, object], choice: int) -> Iterator[Delta]:
    for call in map(mapping, sequence(delta.get("tool_calls"))):
        function = mapping(call.get("function"))
        yield ToolCall(
            _number(call.get("index")),
            text(call.get("id")),
            text(function.get("name")),
            text(function.get("arguments")),
            choice,
        )


_RESPONSE_TEXT = {"response.output_text.delta", "response.refusal.delta"}
_RESPONSE_REASONING = {"response.reasoning_text.delta", "response.reasoning_summary_text.delta"}
_RESPONSE_CALL = {
    "response.function_call_arguments.delta",
    "response.mcp_call_arguments.delta",
    "response.custom_tool_call_input.delta",
}
_RESPONSE_CALLS = {"function_call", "mcp_call", "custom_tool_call"}


def _response(event: str, payload: Mapping[str, object]) -> Iterator[Delta]:
    kind, said = text(payload.get("type")) or event, text(payload.get("delta"))
    index = _number(payload.get("output_index"))
    if kind in _RESPONSE_TEXT and said:
        yield Text(said)
    elif kind in _RESPONSE_REASONING and said:
        yield Reasoning(said)
    elif kind in _RESPONSE_CALL and said:
        yield ToolCall(index, arguments=said)
    elif kind == "response.output_item.added":
        item = mapping(payload.get("item"))
        if text(item.get("type")) in _RESPONSE_CALLS:
            ident = text(item.get("call_id")) or text(item.get("id"))
            yield ToolCall(index, ident, text(item.get("name")), text(item.get("arguments")))
    elif kind in {"response.completed", "response.incomplete"}:
        response = mapping(payload.get("response"))
        yield from _usage(mapping(response.get("usage")), ("input_tokens", "output_tokens"))
        why = text(mapping(response.get("incomplete_details")).get("reason"))
        yield Finish(why or text(response.get("status")) or kind.removeprefix("response."))


def _message(event: str, payload: Mapping[str, object]) -> Iterator[Delta]:
    kind, delta = text(payload.get("type")) or event, mapping(payload.get("delta"))
    index = _number(payload.get("index"))
    names = ("input_tokens", "output_tokens")
    if kind == "message_start":
        yield from _usage(mapping(mapping(payload.get("message")).get("usage")), names)
    elif kind == "content_block_start":
        block = mapping(payload.get("content_block"))
        if said := text(block.get("text")):
            yield Text(said)
        if said := text(block.get("thinking")):
            yield Reasoning(said)
        if name := text(block.get("name")):
            yield ToolCall(index, text(block.get("id")), name)
    elif kind == "content_block_delta":
        if said := text(delta.get("text")):
            yield Text(said)
        if said := text(delta.get("thinking")):
            yield Reasoning(said)
        if said := text(delta.get("partial_json")):
            yield ToolCall(index, arguments=said)
    elif kind == "message_delta":
        yield from _usage(mapping(payload.get("usage")), names)
        if reason := text(delta.get("stop_reason")):
            yield Finish(reason)


_READERS: dict[str, Callable[[str, Mapping[str, object]], Iterator[Delta]]] = {
    CHAT.name: _chunk,
    COMPLETIONS.name: _chunk,
    RESPONSES.name: _response,
    MESSAGES.name: _message,
}
