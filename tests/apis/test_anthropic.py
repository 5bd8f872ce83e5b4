"""The Anthropic Messages API: interpretation of each event type."""

from __future__ import annotations

import json

import pytest

from undam.apis import MESSAGES, Kind


def _delta(**delta: object) -> dict[str, object]:
    return {"type": "content_block_delta", "index": 0, "delta": delta}


@pytest.mark.parametrize(
    ("payload", "kind", "text"),
    [
        ({"type": "message_start", "message": {"usage": {"output_tokens": 1}}}, Kind.EMPTY, ""),
        ({"type": "content_block_start", "content_block": {"text": ""}}, Kind.EMPTY, ""),
        ({"type": "ping"}, Kind.HEARTBEAT, ""),
        (_delta(type="text_delta", text="Hi"), Kind.CONTENT, "Hi"),
        (_delta(type="thinking_delta", thinking="Hm"), Kind.CONTENT, "Hm"),
        (_delta(type="input_json_delta", partial_json="{"), Kind.CONTENT, "{"),
        (_delta(type="input_json_delta", partial_json=""), Kind.EMPTY, ""),
        (_delta(type="signature_delta", signature="abc"), Kind.EMPTY, ""),
        ({"type": "content_block_delta", "delta": "Hi"}, Kind.EMPTY, ""),
        ({"type": "content_block_stop", "delta": {"text": "Hi"}}, Kind.EMPTY, ""),
        ({"type": "error", "error": {"message": "Overloaded"}}, Kind.ERROR, "Overloaded"),
        ({"type": "error"}, Kind.ERROR, "error"),
        ({"error": "boom"}, Kind.ERROR, "boom"),
        ({}, Kind.EMPTY, ""),
    ],
)
def test_message(payload: dict[str, object], kind: Kind, text: str) -> None:
    meaning = MESSAGES.read("message", json.dumps(payload))
    assert (meaning.kind, meaning.text, meaning.ends) == (kind, text, False)
    assert meaning.payload == payload


def test_end_and_usage() -> None:
    stop = MESSAGES.read("message_stop", '{"type": "message_stop"}')
    assert (stop.kind, stop.ends) == (Kind.FINISH, True)
    usage = {"type": "message_delta", "delta": {"stop_reason": "x"}, "usage": {"output_tokens": 9}}
    counted = MESSAGES.read("message_delta", json.dumps(usage))
    assert (counted.kind, counted.tokens, counted.ends) == (Kind.EMPTY, 9, False)


def test_type_from_the_event_name() -> None:
    assert MESSAGES.read("ping", "{}").kind is Kind.HEARTBEAT
    assert MESSAGES.read("message_stop", "{}").ends


def test_malformed() -> None:
    for data in ("", "[DONE]", "<html>"):
        meaning = MESSAGES.read("message", data)
        assert (meaning.kind, meaning.text) == (Kind.MALFORMED, data)
