"""Deltas: the pieces of an answer, in one form for all APIs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Api
from undam.apis.meaning import count, mapping, sequence, text
from undam.apis.openai import calls_in


@dataclass(frozen=True, slots=True)
class Text:
    """Piece of the answer's text; ``choice`` is the zero-based index of the choice."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Reasoning:
    """Piece of the model's reasoning, if the server sends it."""

    text: str
    choice: int = 0


@dataclass(frozen=True, slots=True)
class ToolCall:
    """Piece of a tool call. The first piece has ``id`` and ``name``.

    Args:
        index: index of the call in this answer; pieces with the same index belong together.
        arguments: piece of JSON text; join all pieces before parsing.
    """

    index: int
    id: str = ""
    name: str = ""
    arguments: str = ""
    choice: int = 0


@dataclass(frozen=True, slots=True)
class Usage:
    """Token counts sent by the server; ``None`` if a count was not sent."""

    input_tokens: int | None = None
    output_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Finish:
    """End of the answer, or of one choice; ``reason`` is the API's finish reason."""

    reason: str
    choice: int = 0


Delta = Text | Reasoning | ToolCall | Usage | Finish

CONTENT = (Text, Reasoning, ToolCall)
"""Deltas with content; the first of them is the first token (TTFT)."""

# Keys for reasoning text: vLLM and DeepSeek use the first, OpenRouter the second.
_REASONING = ("reasoning_content", "reasoning")


def deltas_of(api: Api, event: str, payload: object) -> list[Delta]:
    """Return the deltas in the JSON of one event; an invalid payload has none.

    Args:
        event: name of the event, for APIs whose payload may omit its type.
        payload: parsed JSON.
    """
    return list(_READERS[api.name](event, mapping(payload)))


def readable() -> tuple[str, ...]:
    """Return the names of the APIs whose deltas can be read."""
    return tuple(_READERS)


def _number(value: object) -> int:
    return count(value) or 0


def _usage(payload: Mapping[str, object], names: tuple[str, str]) -> Iterator[Delta]:
    found = Usage(count(payload.get(names[0])), count(payload.get(names[1])))
    if found != Usage():
        yield found


def _chunk(_event: str, payload: Mapping[str, object]) -> Iterator[Delta]:
    for choice in map(mapping, sequence(payload.get("choices"))):
        index, delta = _number(choice.get("index")), mapping(choice.get("delta"))
        for key in _REASONING:
            if piece := text(delta.get(key)):
                yield Reasoning(piece, index)
        for piece in (text(delta.get("content")), text(delta.get("refusal")),
                     text(choice.get("text"))):  # fmt: skip
            if piece:
                yield Text(piece, index)
        yield from _tool_calls(delta, index)
        if reason := text(choice.get("finish_reason")):
            yield Finish(reason, index)
    yield from _usage(mapping(payload.get("usage")), ("prompt_tokens", "completion_tokens"))


def _tool_calls(delta: Mapping[str, object], choice: int) -> Iterator[Delta]:
    for call in map(mapping, calls_in(delta)):
        custom = mapping(call.get("custom"))
        # A call in the legacy form has its name and arguments on the outside.
        function = mapping(call.get("function")) or custom or call
        yield ToolCall(
            _number(call.get("index")),
            text(call.get("id")),
            text(function.get("name")),
            text(function.get("arguments")) + text(custom.get("input")),
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
    kind, piece = text(payload.get("type")) or event, text(payload.get("delta"))
    index = _number(payload.get("output_index"))
    if kind in _RESPONSE_TEXT and piece:
        yield Text(piece)
    elif kind in _RESPONSE_REASONING and piece:
        yield Reasoning(piece)
    elif kind in _RESPONSE_CALL and piece:
        yield ToolCall(index, arguments=piece)
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
        if piece := text(block.get("text")):
            yield Text(piece)
        if piece := text(block.get("thinking")):
            yield Reasoning(piece)
        if name := text(block.get("name")):
            yield ToolCall(index, text(block.get("id")), name)
    elif kind == "content_block_delta":
        if piece := text(delta.get("text")):
            yield Text(piece)
        if piece := text(delta.get("thinking")):
            yield Reasoning(piece)
        if piece := text(delta.get("partial_json")):
            yield ToolCall(index, arguments=piece)
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
