"""Selection of the API by URL, request bodies, and readers' robustness against malformed events."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undam.apis import (
    APIS,
    CHAT,
    COMPLETIONS,
    MESSAGES,
    PLAIN,
    RESPONSES,
    Api,
    Kind,
    Meaning,
    api_for_path,
    api_named,
)


@pytest.mark.parametrize(
    ("path", "api"),
    [
        ("/v1/chat/completions", CHAT),
        ("/v1/chat/completions/", CHAT),
        ("/openai/deployments/x/chat/completions", CHAT),
        ("/v1/completions", COMPLETIONS),
        ("/v1/responses", RESPONSES),
        ("/v1/messages", MESSAGES),
        ("/v1/messages/count_tokens", PLAIN),
        ("/stream", PLAIN),
        ("/mycompletions", PLAIN),
        ("/", PLAIN),
        ("", PLAIN),
    ],
)
def test_api_for_path(path: str, api: Api) -> None:
    assert api_for_path(path) is api


def test_names_lead_back() -> None:
    assert len({api.name for api in APIS}) == len(APIS) >= 20
    for api in APIS:
        assert api_named(api.name) is api
    with pytest.raises(KeyError):
        api_named("telepathy")


def test_requests_ask_for_a_stream() -> None:
    asked = {api.name: api.request("m", "hi", 7) for api in APIS if api.request}
    user = [{"role": "user", "content": "hi"}]
    assert asked == {
        "openai-chat": {"model": "m", "messages": user, "stream": True, "max_tokens": 7},
        "openai-completions": {"model": "m", "prompt": "hi", "stream": True, "max_tokens": 7},
        "openai-responses": {"model": "m", "input": "hi", "stream": True, "max_output_tokens": 7},
        "anthropic-messages": {"model": "m", "messages": user, "stream": True, "max_tokens": 7},
    }
    assert PLAIN.request is None


@pytest.mark.parametrize("api", [CHAT, COMPLETIONS, RESPONSES], ids=lambda api: api.name)
def test_no_limit_is_not_sent(api: Api) -> None:
    assert api.request is not None
    body = api.request("m", "hi", None)
    assert not [key for key in body if key.startswith("max")]


def test_the_messages_api_always_gets_its_limit() -> None:
    assert MESSAGES.request is not None
    assert MESSAGES.request("m", "hi", None)["max_tokens"] == 1024


def test_which_streams_announce_their_end() -> None:
    without = {api.name for api in APIS if not api.announces_end}
    assert without == {PLAIN.name, "langgraph", "json-rpc", "astream-events"}


@pytest.mark.seconds
@pytest.mark.parametrize("api", APIS, ids=lambda api: api.name)
def test_hostile_data_is_read(api: Api, hostile: str) -> None:
    for event in ("message", "error", "ping", "response.output_text.delta"):
        meaning = api.read(event, hostile)
        assert isinstance(meaning, Meaning)
        assert not (meaning.ends and meaning.kind is not Kind.FINISH)
        assert meaning.tokens is None or meaning.tokens >= 0


_KEYS = st.sampled_from(
    (
        *("choices", "delta", "content", "text", "usage", "completion_tokens", "output_tokens"),
        *("error", "message", "type", "response", "tool_calls", "function", "finish_reason"),
    )
)
_LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "a", "stop", "error", "ping", "response.failed", "x.delta"])
)
_JSON = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=5),
    max_leaves=20,
)


@pytest.mark.seconds
@given(st.sampled_from(APIS), _KEYS, _JSON)
def test_every_shape_is_read(api: Api, event: str, payload: object) -> None:
    meaning = api.read(event, json.dumps(payload))
    assert (meaning.kind is Kind.CONTENT) <= (meaning.text != "")


@given(st.sampled_from(APIS), st.text(), st.text())
def test_every_text_is_read(api: Api, event: str, data: str) -> None:
    meaning = api.read(event, data)
    assert meaning.kind is not Kind.CONTENT or meaning.text
    assert meaning.tokens is None or meaning.tokens >= 0
