"""Application with all stream formats, and a page that reads the streams in a browser."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from support.uvicorn_thread import Gate
from undam.asgi import EventStream, MemoryReplay, OpenAIAnswer
from undam.sse import Event, encode

_READER = Path(__file__).parents[2] / "packages" / "undam-stream" / "src" / "index.mjs"

# The tokens contain SSE and Unicode line ends, a colon, a field name and a 4-byte character.
TOKENS = ["Hel", "lo", ",\n", " w\u2028\u0085", "data: ör", "ld", "\U0001f30a", "."]
TEXT = "".join(TOKENS)
HEARTBEAT_S = 0.05


class BrowserTestApp:
    """Application that serves ``TOKENS`` in every format and waits at the gate after the first.

    Args:
        heartbeat_s: heartbeat interval of the streams; ``None`` disables heartbeats.
        silent_s: delay of the response to a POST.
    """

    def __init__(self, heartbeat_s: float | None = HEARTBEAT_S, silent_s: float = 0.0) -> None:
        self.gate = Gate()
        self._heartbeat_s = heartbeat_s
        self._silent_s = silent_s
        self.held: list[bool] = []
        self.report: Any = None
        self.reported = threading.Event()
        self._memory = MemoryReplay()
        self._keys = 0

    async def tokens(self) -> AsyncIterator[str]:
        yield TOKENS[0]
        await self.gate.pass_through()
        for token in TOKENS[1:]:
            yield token

    async def events(self) -> AsyncIterator[Event]:
        async for token in self.tokens():
            yield Event(json.dumps(token))
        yield Event("{}", "end")

    async def messages(self) -> AsyncIterator[Event]:
        """Yield the answer as events in Anthropic's format."""
        usage = {"input_tokens": 1, "output_tokens": 1}
        message: dict[str, Any] = {
            "id": "msg_1", "type": "message", "role": "assistant", "content": [], "model": "m",
            "stop_reason": None, "stop_sequence": None, "usage": usage,
        }  # fmt: skip
        block = {"type": "text", "text": ""}
        yield _named("message_start", message=message)
        yield _named("content_block_start", index=0, content_block=block)
        async for token in self.tokens():
            delta = {"type": "text_delta", "text": token}
            yield _named("content_block_delta", index=0, delta=delta)
        yield _named("content_block_stop", index=0)
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        yield _named("message_delta", delta=stop, usage=usage)
        yield _named("message_stop")

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        form, _, rest = scope["path"].strip("/").partition("/")
        if form in {"plain", "ids"}:
            if scope["method"] == "POST":
                await asyncio.sleep(self._silent_s)
            await self._stream(rest, form == "ids")(scope, receive, send)
        elif form == "naive":
            await _answer(send, self._naive(rest), b"text/event-stream")
        elif form == "page":
            await _answer(send, _whole(_BROWSER), b"text/html")
        elif form == "reader.mjs":
            await _answer(send, _whole(_READER.read_bytes()), b"text/javascript")
        else:
            await self._note(form, receive)
            await _answer(send, _whole(b"{}"), b"application/json")

    def _stream(self, path: str, ids: bool) -> EventStream:
        options: dict[str, Any] = {"heartbeat": self._heartbeat_s}
        if ids:
            self._keys += 1
            options |= {"replay": self._memory, "replay_key": str(self._keys)}
        if path.endswith("/chat/completions"):
            return EventStream(self.tokens(), openai=OpenAIAnswer(model="m"), **options)
        if path.endswith("/messages"):
            return EventStream(self.messages(), **options)
        return EventStream(self.events(), **options)

    async def _naive(self, path: str) -> AsyncIterator[bytes]:
        """Yield the answer with event IDs, and heartbeats in the form that most servers send."""
        chunk = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
        for number, token in enumerate(TOKENS):
            choice = {"index": 0, "delta": {"content": token}, "finish_reason": None}
            text = json.dumps({**chunk, "choices": [choice]} if "chat" in path else token)
            yield encode(text, id=str(number)) + b": ping\n\n"
        yield b"data: [DONE]\n\n"

    async def _note(self, what: str, receive: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body", False):
                break
        if what == "seen":
            self.gate.open()
        elif what == "next":
            self.held.append(self.gate.held)
            self.gate = Gate()
        elif what == "report":
            self.report = json.loads(body)
            self.reported.set()


def _named(kind: str, **members: Any) -> Event:
    return Event(json.dumps({"type": kind, **members}), kind)


async def _whole(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _answer(send: Any, parts: AsyncIterator[bytes], kind: bytes) -> None:
    headers = [(b"content-type", kind + b"; charset=utf-8")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for part in parts:
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


_BROWSER = b"""<!doctype html>
<meta charset="utf-8">
<script type="module">
  import { readStream } from "/reader.mjs";

  const post = (path, body) => fetch(path, { method: "POST", body: JSON.stringify(body ?? null) });

  function noting() {
    const seen = { text: "", ids: 0, failed: "" };
    const note = (data, id) => {
      // Meanwhile heartbeats arrive.
      if (!seen.text) setTimeout(() => post("/seen"), 250);
      seen.text += JSON.parse(data);
      if (id) seen.ids += 1;
    };
    return { seen, note };
  }

  async function byEventSource(form) {
    const { seen, note } = noting();
    const source = new EventSource(`/${form}/events`);
    await new Promise((resolve) => {
      source.onmessage = (event) => note(event.data, event.lastEventId);
      source.onerror = () => { seen.failed = "error"; resolve(); };
      source.addEventListener("end", resolve);
    });
    source.close();
    return seen;
  }

  async function byFetch(form) {
    const { seen, note } = noting();
    const options = { body: {}, isLast: (event) => event.type === "end" };
    try {
      for await (const event of readStream(`/${form}/events`, options))
        if (event.type === "message") note(event.data, event.id);
    } catch (error) { seen.failed = String(error); }
    return seen;
  }

  const report = {};
  for (const [name, read] of Object.entries({ byEventSource, byFetch })) {
    for (const form of ["plain", "ids"]) {
      report[`${name} ${form}`] = await read(form);
      await post("/next");
    }
  }
  await post("/report", report);
</script>
"""
