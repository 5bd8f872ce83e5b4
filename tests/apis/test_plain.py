"""Streams from applications without a known API."""

from __future__ import annotations

import pytest

from undam.apis import PLAIN, Kind


@pytest.mark.parametrize(
    ("event", "data", "kind", "text"),
    [
        ("message", "Hi", Kind.CONTENT, "Hi"),
        ("token", "Hi", Kind.CONTENT, "Hi"),
        ("message", " ", Kind.CONTENT, " "),
        ("message", "", Kind.EMPTY, ""),
        ("message", '{"token": "Hi"}', Kind.CONTENT, '{"token": "Hi"}'),
        ("message", '{"token": "Hi', Kind.CONTENT, '{"token": "Hi'),
        ("message", "[1, 2]", Kind.CONTENT, "[1, 2]"),
        ("message", '{"choices": [{"delta": {"content": "Hi"}}]}', Kind.CONTENT, "Hi"),
        ("message", '{"choices": [{"delta": {"role": "x"}}]}', Kind.EMPTY, ""),
        ("message", '{"error": "boom"}', Kind.ERROR, "boom"),
        ("message", '{"error": null, "a": 1}', Kind.CONTENT, '{"error": null, "a": 1}'),
        ("error", "boom", Kind.ERROR, "boom"),
        ("exception", '{"error": {"message": "boom"}}', Kind.ERROR, "boom"),
        ("error", "x" * 999, Kind.ERROR, "x" * 300),
        ("ping", "1", Kind.HEARTBEAT, ""),
        ("keep-alive", "", Kind.HEARTBEAT, ""),
        ("conversation.chat.created", '{"id": 1}', Kind.EMPTY, ""),
        ("message", '{"type": "agent_started"}', Kind.EMPTY, ""),
        ("thread.run.in_progress", "{}", Kind.EMPTY, ""),
        ("restart", "Hi", Kind.CONTENT, "Hi"),
    ],
)
def test_plain(event: str, data: str, kind: Kind, text: str) -> None:
    meaning = PLAIN.read(event, data)
    assert (meaning.kind, meaning.text, meaning.ends) == (kind, text, False)


def test_ends_that_plain_streams_know() -> None:
    assert PLAIN.read("message", "[DONE]").kind is Kind.DONE
    assert PLAIN.read("message", '{"choices": [{"finish_reason": "stop"}]}').ends


def test_payload_of_json() -> None:
    assert PLAIN.read("message", '{"undam": {"seq": 1}}').payload == {"undam": {"seq": 1}}
