"""The beacon's events in the format that the client expects, and how they are split into writes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from undam.asgi.interface import Message, Receive, Scope, Send
from undam.errors import RemoteProtocolError
from undam.timing.numbered_text import answer_tag, encode_piece, is_divided

PART_EARLY_NS = 2_000_000
"""Time between the two writes of a divided event, which is complete at its due time."""

_SEQ = re.compile(rb'"seq":(\d+)')
_CHAT_PATH = "/chat/completions"


@dataclass(frozen=True, slots=True)
class BeaconEventForm:
    """Format of a stream's events.

    Args:
        ident: ID of the exchange.
        total: number of events.
        padding: text of an event that is not numbered.
        numbered: whether the text consists of numbered pieces.
        chat: whether events are chunks of a chat completion.
    """

    ident: str
    total: int
    padding: str
    numbered: bool
    chat: bool

    def event(self, seq: int, due_ns: int) -> Mapping[str, object]:
        """Return the event with sequence number ``seq``."""
        stamp = {"seq": seq, "due_ns": due_ns}
        text = self.padding
        if self.numbered:
            text = encode_piece(seq, self.total, due_ns, answer_tag(self.ident))
        if self.chat:
            return {**chat_chunk(self.ident, {"content": text}), "undam": stamp}
        event: dict[str, object] = {"undam": stamp, "text": text}
        if self.numbered:
            event["pad"] = self.padding[len(text.encode()) + 9 :]
        return event

    def closing(self) -> Iterator[object]:
        """Yield the events that end the stream."""
        if self.chat:
            yield chat_chunk(self.ident, {}, "stop")
        yield "[DONE]"

    def early_ns(self, seq: int) -> int:
        """Return how many ns before its due time the first part of event ``seq`` is sent."""
        return PART_EARLY_NS if self.numbered and is_divided(seq) else 0


def is_chat(scope: Scope) -> bool:
    """Return whether the request path is that of the chat completions API."""
    return str(scope["path"]).rstrip("/").endswith(_CHAT_PATH)


def chat_chunk(
    ident: str, delta: Mapping[str, object], reason: str | None = None
) -> Mapping[str, object]:
    """Return a ``chat.completion.chunk`` object that contains ``delta``."""
    return {
        "id": f"chatcmpl-{ident}",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "undam-beacon",
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
    }


async def read_body(receive: Receive, most: int) -> bytes:
    """Return the complete request body.

    Raises:
        RemoteProtocolError: the body is larger than ``most``, or the client disconnected.
    """
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise RemoteProtocolError("the client disconnected")
        body += bytes(message.get("body", b""))
        if len(body) > most:
            raise RemoteProtocolError(f"the request body is larger than {most} bytes")
        if not message.get("more_body", False):
            return body


def dividing(send: Send) -> Send:
    """Return a ``send`` function that splits some events within a multi-byte character."""

    async def send_divided(message: Message) -> None:
        body = message.get("body", b"")
        seq = int(found[1]) if (found := _SEQ.search(body)) else 0
        inside = [i for i, byte in enumerate(body) if byte & 0xC0 == 0x80]
        if not inside or not is_divided(seq):
            await send(message)
            return
        cut = inside[seq % len(inside)]
        await send({**message, "body": body[:cut], "more_body": True})
        await asyncio.sleep(PART_EARLY_NS / 1e9)
        await send({**message, "body": body[cut:]})

    return send_divided
