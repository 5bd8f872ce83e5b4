"""Error responses in the format of each API, as a body and as an event."""

from __future__ import annotations

import json

import pytest

from undam.apis import CHAT, COMPLETIONS, MESSAGES, PLAIN, RESPONSES, Api, Kind
from undam.gateway.http.error_responses import error_body, error_event, upstream_error_event
from undam.sse import Event, Parser

_APIS = [CHAT, COMPLETIONS, RESPONSES, MESSAGES, PLAIN]


def _event(data: bytes) -> Event:
    (event,) = Parser().receive_data(data)
    assert isinstance(event, Event)
    return event


@pytest.mark.parametrize("api", _APIS, ids=lambda api: api.name)
@pytest.mark.parametrize(
    "data",
    [
        lambda api: error_event(api, 502, "it \n broke"),
        lambda api: upstream_error_event(
            api, 429, b'{"error": {"message": "it \\n broke", "code": "x"}}'
        ),
        lambda api: upstream_error_event(
            api, 429, b'{"type": "error", "error": {"type": "x", "message": "it \\n broke"}}'
        ),
    ],
)
def test_the_api_reads_the_event_as_an_error(api: Api, data: object) -> None:
    assert callable(data)
    event = _event(data(api))
    meaning = api.read(event.event, event.data)
    assert meaning.kind is Kind.ERROR
    assert meaning.text == "it \n broke"
    # Chat clients ignore named events.
    assert (event.event == "message") is (api in (CHAT, COMPLETIONS))


@pytest.mark.parametrize(
    "body", [b"", b"<h1>Bad  \r\n Gateway</h1>", b"[" * 100_000, b'{"error": "text"}', b"\xff" * 9]
)
@pytest.mark.parametrize("api", _APIS, ids=lambda api: api.name)
def test_an_error_body_in_another_format_becomes_the_message(api: Api, body: bytes) -> None:
    event = _event(upstream_error_event(api, 500, body))
    meaning = api.read(event.event, event.data)
    assert meaning.kind is Kind.ERROR
    assert meaning.text.startswith("the upstream answered 500")
    assert len(meaning.text) < 600


def test_the_error_type_of_anthropic_depends_on_the_status() -> None:
    payload = json.loads(error_body(MESSAGES, 503, "none"))
    assert payload == {"type": "error", "error": {"type": "overloaded_error", "message": "none"}}
    assert json.loads(error_body(CHAT, 503, "none"))["error"]["type"] == "server_error"
    refused = json.loads(error_body(MESSAGES, 401, "no", "authentication_error"))
    assert refused["error"]["type"] == "authentication_error"
