"""OpenAI's three streaming forms: chat completions, completions, responses."""

from __future__ import annotations

from collections.abc import Mapping

from undam.apis.meaning import (
    Api,
    Kind,
    Meaning,
    count,
    error_text,
    load,
    mapping,
    sequence,
    text,
)

# Engines put reasoning under different keys: vLLM and DeepSeek the first, OpenRouter the next.
_DELTA_TEXT = ("content", "reasoning_content", "reasoning", "refusal")


def _chat_request(model: str, prompt: str, max_tokens: int | None) -> Mapping[str, object]:
    return {
        "model": model,
        "messages": [{"role": "user", "content": prompt}],
        "stream": True,
        **({} if max_tokens is None else {"max_tokens": max_tokens}),
    }


def _completion_request(model: str, prompt: str, max_tokens: int | None) -> Mapping[str, object]:
    return {
        "model": model,
        "prompt": prompt,
        "stream": True,
        **({} if max_tokens is None else {"max_tokens": max_tokens}),
    }


def _responses_request(model: str, prompt: str, max_tokens: int | None) -> Mapping[str, object]:
    return {
        "model": model,
        "input": prompt,
        "stream": True,
        **({} if max_tokens is None else {"max_output_tokens": max_tokens}),
    }


def _choices(payload: Mapping[str, object]) -> tuple[str, bool]:
    """The content of all choices, and whether one of them is finished."""
    parts: list[str] = []
    ends = False
    for choice in map(mapping, sequence(payload.get("choices"))):
        delta = mapping(choice.get("delta"))
        said = [choice.get("text"), *map(delta.get, _DELTA_TEXT)]
        for call in map(mapping, sequence(delta.get("tool_calls"))):
            function = mapping(call.get("function"))
            said += [function.get("name"), function.get("arguments")]
        parts += [one for one in said if isinstance(one, str)]
        ends = ends or bool(text(choice.get("finish_reason")))
    return "".join(parts), ends


def read_chunk(_event: str, data: str) -> Meaning:
    """Read one chunk of chat completions or completions."""
    if data.strip() == "[DONE]":
        return Meaning(Kind.DONE, ends=True)
    try:
        payload = mapping(load(data))
    except ValueError:
        return Meaning(Kind.MALFORMED, data[:200])
    error = error_text(payload)
    if error is not None:
        return Meaning(Kind.ERROR, error, payload=payload)
    content, ends = _choices(payload)
    tokens = count(mapping(payload.get("usage")).get("completion_tokens"))
    if content:
        kind = Kind.CONTENT
    elif ends:
        kind = Kind.FINISH
    elif tokens is not None and not sequence(payload.get("choices")):
        kind = Kind.USAGE
    else:
        kind = Kind.EMPTY
    return Meaning(kind, content, ends, tokens, payload)


_RESPONSE_ENDS = {"response.completed", "response.incomplete"}
_RESPONSE_ERRORS = {"response.failed", "error"}


def read_response(event: str, data: str) -> Meaning:
    """Read one event of the responses API."""
    if data.strip() == "[DONE]":
        return Meaning(Kind.DONE, ends=True)
    try:
        payload = mapping(load(data))
    except ValueError:
        return Meaning(Kind.MALFORMED, data[:200])
    kind = text(payload.get("type")) or event
    response = mapping(payload.get("response"))
    tokens = count(mapping(response.get("usage")).get("output_tokens"))
    if kind in _RESPONSE_ERRORS:
        said = error_text(response) or error_text(payload) or text(payload.get("message")) or kind
        return Meaning(Kind.ERROR, said, payload=payload)
    if kind in _RESPONSE_ENDS:
        return Meaning(Kind.FINISH, ends=True, tokens=tokens, payload=payload)
    delta = text(payload.get("delta"))
    if kind.endswith(".delta") and delta:
        return Meaning(Kind.CONTENT, delta, payload=payload)
    error = error_text(payload)
    if error is not None:
        return Meaning(Kind.ERROR, error, payload=payload)
    return Meaning(Kind.EMPTY, payload=payload)


CHAT = Api("openai-chat", _chat_request, read_chunk, announces_end=True)
COMPLETIONS = Api("openai-completions", _completion_request, read_chunk, announces_end=True)
RESPONSES = Api("openai-responses", _responses_request, read_response, announces_end=True)
