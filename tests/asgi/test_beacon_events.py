"""The mounted beacon: numbered events, chunk boundaries, and queries in the request body."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from support.asgi_calls import Call
from undam.asgi import Beacon
from undam.asgi.beacon_events import BeaconEventForm, dividing, read_body
from undam.asgi.interface import Message
from undam.errors import RemoteProtocolError
from undam.sse import Event, Parser, encode_json
from undam.timing.numbered_text import TEXTS, is_divided, parse_clock, pieces_in

TOKEN = "correct horse battery staple"
BEARER = (b"authorization", f"Bearer {TOKEN}".encode())
WORD = "undam-beacon[schedule; ttft_ms=0; gap_ms=1; before=12; after=0; numbered=1]"


def _call(headers: list[tuple[bytes, bytes]], body: bytes, path: str) -> Call:
    call = Call("POST", path, headers=headers)
    half = len(body) // 2
    call.requests = [
        {"type": "http.request", "body": body[:half], "more_body": True},
        {"type": "http.request", "body": body[half:], "more_body": False},
    ]
    return call


def _post(body: bytes, path: str = "/v1/chat/completions", *, accept: bool = True) -> Call:
    call = _call([BEARER], body, path)
    asyncio.run(call.serve(Beacon(token=TOKEN, accept_prompt=accept)))
    return call


def _texts(call: Call) -> list[str]:
    events = [one.data for one in Parser().receive_data(call.body) if isinstance(one, Event)]
    assert events[-1] == "[DONE]"
    found = []
    for data in events[:-1]:
        payload = json.loads(data)
        if "choices" in payload:
            found.append(payload["choices"][0]["delta"].get("content", ""))
        else:
            found.append(payload["text"])
    return found


def _body(word: str) -> bytes:
    return json.dumps({"messages": [{"role": "user", "content": f"Hi {word}"}]}).encode()


def test_a_query_in_the_prompt_is_answered_in_the_form_of_the_api() -> None:
    call = _post(_body(WORD))
    assert call.status == 200
    pieces = list(pieces_in("".join(_texts(call))))
    assert [piece.seq for piece in pieces] == list(range(12))
    assert all(piece.whole for piece in pieces)
    assert b'"finish_reason":"stop"' in call.body


def test_another_path_has_plain_events_of_one_size() -> None:
    call = _post(_body(WORD), path="/")
    assert [piece.seq for piece in pieces_in("".join(_texts(call)))] == list(range(12))
    sizes = {len(block) for block in call.body.split(b"\n\n") if block.startswith(b'data: {"undam')}
    assert max(sizes) - min(sizes) <= 4


def test_the_clock_in_the_prompt_is_answered_in_text() -> None:
    for path in ("/v1/chat/completions", "/"):
        call = _post(_body("undam-beacon[clock]"), path=path)
        clock = parse_clock("".join(_texts(call)))
        assert clock is not None
        assert clock[0] <= clock[1]
        assert call.headers["content-type"].startswith("text/event-stream")


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (_body("undam-beacon[nonsense]"), "unknown query"),
        (_body("undam-beacon[schedule; before=100000]"), "exceeds the maximum"),
        (_body("undam-beacon[schedule; numbered=2]"), "exceeds the maximum"),
        (b"x" * 70_000, "larger than 65536 bytes"),
    ],
)
def test_an_invalid_query_in_the_body_is_rejected(body: bytes, words: str) -> None:
    call = _post(body)
    assert call.status == 400
    assert words in call.body.decode()


def test_without_accept_prompt_the_word_has_no_effect() -> None:
    call = _post(_body("undam-beacon[clock]"), accept=False)
    assert parse_clock(call.body.decode()) is None


def test_a_request_without_the_token_is_not_read() -> None:
    call = _call([], _body(WORD), "/v1/chat/completions")
    asyncio.run(call.serve(Beacon(token=TOKEN, accept_prompt=True)))
    assert (call.status, call.body) == (401, b"")


def _divided(bodies: list[bytes]) -> list[bytes]:
    sent: list[bytes] = []

    async def send(message: Message) -> None:
        sent.append(message.get("body", b""))

    async def run() -> None:
        divide = dividing(send)
        for body in bodies:
            await divide({"type": "http.response.body", "body": body, "more_body": True})

    asyncio.run(run())
    return sent


def test_events_are_divided_within_a_character() -> None:
    form = BeaconEventForm("a", 30, "x" * 80, numbered=True, chat=False)
    events = [b"data: " + encode_json(form.event(seq, 1)) for seq in range(30)]
    sent = _divided(events)
    assert b"".join(sent) == b"".join(events)
    divided = [seq for seq in range(30) if is_divided(seq)]
    assert len(sent) == 30 + len(divided)
    for part in sent:
        try:
            part.decode()
        except UnicodeDecodeError:
            break
    else:
        pytest.fail("no event was divided within a character")
    assert all(form.early_ns(seq) > 0 for seq in divided)
    assert {TEXTS[seq % len(TEXTS)].isascii() for seq in divided} == {False}


def test_an_event_that_is_not_numbered_is_not_divided() -> None:
    form = BeaconEventForm("a", 3, "padding", numbered=False, chat=False)
    assert form.event(0, 1)["text"] == "padding"
    assert form.early_ns(0) == 0
    assert _divided([b"data: plain\n\n", b""]) == [b"data: plain\n\n", b""]


def test_a_disconnect_while_the_body_is_read() -> None:
    async def receive() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    with pytest.raises(RemoteProtocolError, match="disconnected"):
        asyncio.run(read_body(receive, 10))
