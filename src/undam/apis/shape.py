"""Recognition of an API by the form of its events, independent of the URL's path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from undam.apis import agents, bedrock, cohere, engines, google, jsonrpc, vercel
from undam.apis.anthropic import MESSAGES
from undam.apis.meaning import Api, Kind, Meaning, load, mapping, read_json, sequence, text
from undam.apis.openai import CHAT, COMPLETIONS, RESPONSES
from undam.apis.plain import HEARTBEAT_NAMES, PLAIN, is_end, read_plain_payload

_Payload = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Form:
    """Event form that identifies an API.

    Args:
        recognises: ``(event name, payload) -> bool``.
        read: ``(event name, payload) -> Meaning``.
        announces_end: as for `Api`.
    """

    name: str
    recognises: Callable[[str, _Payload], bool]
    read: Callable[[str, _Payload], Meaning]
    announces_end: bool

    def read_data(self, event: str, data: str) -> Meaning:
        """Read one event from its data."""
        return read_json(self.read_value)(event, data)

    def read_value(self, event: str, value: object) -> Meaning:
        """Read one event from its parsed data."""
        return self.read(event, mapping(value))


def _is_a2a(_event: str, payload: _Payload) -> bool:
    return jsonrpc.is_jsonrpc(_event, payload) and jsonrpc.is_a2a_result(
        mapping(payload.get("result"))
    )


FORMS: tuple[Form, ...] = (
    Form("a2a", _is_a2a, jsonrpc.read_jsonrpc, announces_end=True),
    # A long-lived MCP stream consists of notifications and has no end marker.
    Form("json-rpc", jsonrpc.is_jsonrpc, jsonrpc.read_jsonrpc, announces_end=False),
    Form("ag-ui", agents.is_agui, agents.read_agui, announces_end=True),
    Form("cohere", cohere.is_cohere, cohere.read_cohere, announces_end=True),
    Form("vercel-ui", vercel.is_ui_message, vercel.read_ui_message, announces_end=True),
    Form("gemini", google.is_gemini, google.read_gemini, announces_end=True),
    Form("bedrock-converse", bedrock.is_converse, bedrock.read_converse, announces_end=True),
    Form("bedrock-native", bedrock.is_native, bedrock.read_native, announces_end=True),
    Form("dify", agents.is_dify, agents.read_dify, announces_end=True),
    Form("ollama", engines.is_ollama, engines.read_ollama, announces_end=True),
    Form("tgi", engines.is_tgi, engines.read_tgi, announces_end=True),
    Form("llamacpp", engines.is_llamacpp, engines.read_llamacpp, announces_end=True),
    Form(
        "astream-events", agents.is_astream_events, agents.read_astream_event, announces_end=False
    ),
)
"""Forms recognised by the payload, the more specific ones first."""

FORM_APIS: dict[str, Api] = {
    form.name: Api(form.name, None, form.read_data, form.announces_end, form.read_value)
    for form in FORMS
}

DATA_STREAM = Api("vercel-data", None, vercel.read_data_stream, announces_end=True)
LANGSERVE = Api(
    "langserve",
    None,
    agents.read_langchain,
    announces_end=True,
    read_value=agents.read_langchain_value,
)
LANGGRAPH = Api(
    "langgraph",
    None,
    agents.read_langchain,
    announces_end=False,
    read_value=agents.read_langchain_value,
)

_ANTHROPIC_TYPES = {
    "message_start", "message_delta", "message_stop", "content_block_start",
    "content_block_delta", "content_block_stop",
}  # fmt: skip
_RESPONSE_PREFIXES = (
    "response.", "transcript.text.", "speech.audio.", "image_generation.", "image_edit.",
)  # fmt: skip
_RESPONSE_ENDS = {
    "transcript.text.done", "speech.audio.done", "image_generation.completed",
    "image_edit.completed",
}  # fmt: skip


class ShapeReader:
    """Reader for the events of one stream, which also detects the API of the stream.

    Args:
        hint: the API that the URL suggests; it is used only if the events are ambiguous.

    Attributes:
        api: the API of the stream so far: that of its first recognised event, else ``hint``.
    """

    def __init__(self, hint: Api) -> None:
        self.api = hint
        self._recognised = False
        self._has_run_id = False

    def read(self, event: str, data: str) -> Meaning:
        """Read one event."""
        if data.strip() == "[DONE]":
            return Meaning(Kind.DONE, ends=True)
        if event in HEARTBEAT_NAMES and self.api is not MESSAGES:
            return Meaning(Kind.HEARTBEAT)
        if len(event) == 1 and event in vercel.DATA_STREAM_CODES:
            return self._as(DATA_STREAM, event, data, None)
        value = _json(data)
        payload = mapping(value)
        api = _api_of(event, payload)
        if api is not None:
            return self._as(api, event, data, value)
        form = next((form for form in FORMS if form.recognises(event, payload)), None)
        if form is not None:
            self._recognise(FORM_APIS[form.name])
            return form.read(event, payload)
        inner = bedrock.invoke_chunk(event, payload)
        if inner is not None:
            return self.read("message", inner)
        if self._is_langchain(event, data):
            if event == "metadata":  # LangServe and LangGraph streams both begin with this event.
                self._has_run_id = self._has_run_id or "run_id" in payload
                return _read_as(LANGGRAPH, event, data, value)
            api = LANGSERVE if event in {"data", "end"} else LANGGRAPH
            return self._as(api, event, data, value)
        return self._unrecognised(event, data, payload)

    def _as(self, api: Api, event: str, data: str, value: object) -> Meaning:
        self._recognise(api)
        kind = text(mapping(value).get("type")) or event
        if api is RESPONSES and kind in _RESPONSE_ENDS:
            return Meaning(Kind.FINISH, ends=True, payload=value)
        return _read_as(api, event, data, value)

    def _recognise(self, api: Api) -> None:
        # The first API that is recognised replaces the one that the URL suggests.
        if not self._recognised:
            self.api, self._recognised = api, True

    def _is_langchain(self, event: str, data: str) -> bool:
        if not agents.is_langchain_event(event):
            return False
        known = self._has_run_id or self.api in {LANGSERVE, LANGGRAPH}
        # Other applications also send "data" and "end" events. Unless the API is known, only an
        # "end" without data counts.
        if event == "end":
            return known or data.strip() in {"", "null"}
        return known or event != "data"

    def _unrecognised(self, event: str, data: str, payload: _Payload) -> Meaning:
        if self._recognised:
            meaning = _read_as(self.api, event, data, payload or None)
            if meaning.kind is not Kind.EMPTY:
                return meaning
        elif self.api is not PLAIN and not payload:
            return self.api.read(event, data)
        meaning = read_plain_payload(event, data, payload)
        # An application that uses the events of another API may end its stream in its own way.
        ends = self.api is not PLAIN and is_end(event, payload)
        return replace(meaning, ends=ends) if ends else meaning


def _api_of(event: str, payload: _Payload) -> Api | None:
    """Return the API of a payload that has an OpenAI or Anthropic form."""
    if isinstance(payload.get("choices"), list):
        return COMPLETIONS if _has_text(payload) else CHAT
    kind = text(payload.get("type")) or event
    if kind.startswith(_RESPONSE_PREFIXES):
        return RESPONSES
    return MESSAGES if kind in _ANTHROPIC_TYPES else None


def _has_text(payload: _Payload) -> bool:
    return any("text" in mapping(choice) for choice in sequence(payload.get("choices")))


def _json(data: str) -> object:
    if not data or data[0] not in "{[":
        return None
    try:
        return load(data)
    except ValueError:
        return None


def _read_as(api: Api, event: str, data: str, value: object) -> Meaning:
    """Read an event of ``api``; ``value`` is the parsed data, or ``None`` if it was not parsed."""
    if value is None or api.read_value is None:
        return api.read(event, data)
    return api.read_value(event, value)
