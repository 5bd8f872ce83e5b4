"""OpenAI's streaming APIs: chat completions, completions, responses."""

from __future__ import annotations

from collections.abc import Mapping

from undam.apis.meaning import (
    Api,
    Kind,
    Meaning,
    count,
    error_text,
    mapping,
    read_json,
    sequence,
    text,
    text_in,
)

# Keys in a delta whose values are text. vLLM and DeepSeek send `reasoning_content`, OpenRouter
# sends `reasoning`.
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


_DONE = Meaning(Kind.DONE, ends=True)

# A delta with only these keys is not content.
_NOT_CONTENT = {
    "role", "index", "id", "type", "name", "model", "status", "tool_call_id",
    "context", "citations", "annotations",
}  # fmt: skip


def _choices(payload: Mapping[str, object]) -> tuple[str, str, bool]:
    """Return the content and tool arguments of all choices, and whether any choice is finished."""
    parts: list[str] = []
    tools: list[str] = []
    ends = False
    for choice in map(mapping, sequence(payload.get("choices"))):
        # Some servers send the parts of an answer as messages, in the form of a whole response.
        delta = mapping(choice.get("delta" if "delta" in choice else "message"))
        values = [choice.get("text"), *map(delta.get, _DELTA_TEXT)]
        texts = [one for one in values if one and isinstance(one, str)]
        tools += [part for call in calls_in(delta) for part in _call(mapping(call))]
        if not texts and not calls_in(delta):
            texts.append(_other_content(delta))
        parts += texts
        ends = ends or bool(text(choice.get("finish_reason")))
    tool = "".join(tools)
    return "".join(parts) + tool, tool, ends


def calls_in(delta: Mapping[str, object]) -> list[object]:
    """Return the tool-call fragments in a delta, in the current and the legacy form."""
    legacy = delta.get("function_call")
    return [*sequence(delta.get("tool_calls")), *([legacy] if legacy else [])]


def _other_content(delta: Mapping[str, object]) -> str:
    """Return the text of a delta in a form that OpenAI itself does not use.

    A delta that is not empty apart from its role is content: Mistral sends a list of parts, audio
    models use a separate key, and OpenRouter uses ``reasoning_details``.
    """
    return "".join(text_in(value) for key, value in delta.items() if key not in _NOT_CONTENT)


def _call(call: Mapping[str, object]) -> list[str]:
    """Return the name and arguments in a tool-call fragment, in the current or legacy form."""
    function = mapping(call.get("function")) or call
    values = (
        function.get("name"),
        function.get("arguments"),
        mapping(call.get("custom")).get("input"),
    )
    return [one for one in values if isinstance(one, str)]


def read_chunk(event: str, data: str) -> Meaning:
    """Read one chunk from the Chat Completions or the Completions API."""
    return _DONE if data.strip() == "[DONE]" else read_json(read_chunk_value)(event, data)


def read_chunk_value(_event: str, value: object) -> Meaning:
    """Read one chunk from its parsed data."""
    payload = mapping(value)
    error = error_text(payload)
    if error is not None:
        return Meaning(Kind.ERROR, error, payload=payload)
    content, tool, ends = _choices(payload)
    tokens = count(mapping(payload.get("usage")).get("completion_tokens"))
    if content:
        kind = Kind.CONTENT
    elif ends:
        kind = Kind.FINISH
    elif tokens is not None and not sequence(payload.get("choices")):
        kind = Kind.USAGE
    else:
        kind = Kind.EMPTY
    return Meaning(kind, content, ends, tokens, payload, tool)


_RESPONSE_ENDS = {"response.completed", "response.incomplete", "response.done"}
# Speech, images and other services that use the same event types have keys of their own.
_RESPONSE_CONTENT = ("delta", "partial_image_b64", "b64_json", "audio", "audio_data", "text")
_RESPONSE_ERRORS = {"response.failed", "error"}


def read_response(event: str, data: str) -> Meaning:
    """Read one event from the Responses API."""
    return _DONE if data.strip() == "[DONE]" else read_json(_read_response_value)(event, data)


def _read_response_value(event: str, value: object) -> Meaning:
    payload = mapping(value)
    kind = text(payload.get("type")) or event
    response = mapping(payload.get("response"))
    tokens = count(mapping(response.get("usage")).get("output_tokens"))
    if kind in _RESPONSE_ERRORS:
        message = error_text(response) or error_text(payload) or text(payload.get("message"))
        return Meaning(Kind.ERROR, message or kind, payload=payload)
    if kind in _RESPONSE_ENDS:
        return Meaning(Kind.FINISH, ends=True, tokens=tokens, payload=payload)
    delta = _delta_in(payload) if kind.endswith((".delta", ".partial_image")) else ""
    if delta:
        tool = delta if "arguments" in kind or "input" in kind else ""
        return Meaning(Kind.CONTENT, delta, payload=payload, tool=tool)
    error = error_text(payload)
    if error is not None:
        return Meaning(Kind.ERROR, error, payload=payload)
    return Meaning(Kind.EMPTY, payload=payload)


def _delta_in(payload: Mapping[str, object]) -> str:
    return next(filter(None, (text_in(payload.get(key)) for key in _RESPONSE_CONTENT)), "")


CHAT = Api(
    "openai-chat", _chat_request, read_chunk, announces_end=True, read_value=read_chunk_value
)
COMPLETIONS = Api(
    "openai-completions",
    _completion_request,
    read_chunk,
    announces_end=True,
    read_value=read_chunk_value,
)
RESPONSES = Api(
    "openai-responses",
    _responses_request,
    read_response,
    announces_end=True,
    read_value=_read_response_value,
)
