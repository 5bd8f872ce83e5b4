"""Real clients read `EventStream`, with a heartbeat every 50 ms, with and without ids."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import AsyncIterator, Iterable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx_sse
import openai
import pytest
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from support.browser import chromium
from support.live import miss
from support.served import PATIENCE_S, Gate, Raw, read_raw, under_uvicorn
from undam.asgi import EventStream, OpenAIAnswer
from undam.asgi.replay import Memory
from undam.lab.proxies import Missing
from undam.sse import Event, Parser, encode

_READER = Path(__file__).parents[2] / "examples" / "browser" / "reader.mjs"

# Line ends of the format and of other things, a colon, a field's name, and something of four bytes.
TOKENS = ["Hel", "lo", ",\n", " w\u2028\u0085", "data: ör", "ld", "\U0001f30a", "."]
TEXT = "".join(TOKENS)
HEARTBEAT_S = 0.05


class Site:
    """Serves the tokens in every form. Between the first and the others it waits for the gate."""

    def __init__(self) -> None:
        self.gate = Gate()
        self.held: list[bool] = []
        self.report: Any = None
        self.reported = threading.Event()
        self._memory = Memory()
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
        """An answer in Anthropic's form."""
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
        options: dict[str, Any] = {"heartbeat": HEARTBEAT_S}
        if ids:
            self._keys += 1
            options |= {"replay": self._memory, "replay_key": str(self._keys)}
        if path.endswith("/chat/completions"):
            return EventStream(self.tokens(), openai=OpenAIAnswer(model="m"), **options)
        if path.endswith("/messages"):
            return EventStream(self.messages(), **options)
        return EventStream(self.events(), **options)

    async def _naive(self, path: str) -> AsyncIterator[bytes]:
        """The same chat with ids and the heartbeats that most servers send."""
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


_SERVING = Site()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with under_uvicorn(_SERVING) as url:
        yield url


@pytest.fixture
def site() -> Iterator[Site]:
    """Serves one test; asserts that its reader saw the first token before the second was sent."""
    _SERVING.gate = Gate()
    yield _SERVING
    assert not _SERVING.gate.held


forms = pytest.mark.parametrize("form", ["plain", "ids"])


def _collect(site: Site, pieces: Iterable[str | None]) -> str:
    text = ""
    for piece in pieces:
        if piece and not text:
            # Heartbeats come meanwhile, and the client has to live with them.
            threading.Timer(5 * HEARTBEAT_S, site.gate.open).start()
        text += piece or ""
    return text


@forms
def test_heartbeats_of_both_forms_are_really_on_the_wire(url: str, site: Site, form: str) -> None:
    ping = b": ping\n\n" if form == "plain" else b": ping\n"

    def on_read(raw: Raw) -> bool:
        if raw.data.count(ping) >= 5:
            site.gate.open()
        return True

    raw = read_raw(f"{url}/{form}/v1/chat/completions", "POST", body=b"{}", on_read=on_read)
    assert (b"id: " in raw.data) == (form == "ids")
    assert (b": ping\n\n" in raw.data) == (form == "plain")
    first, ending = (raw.data.index(b'"content":"%b"' % token) for token in (b"Hel", b"lo"))
    assert raw.data[first:ending].count(ping) >= 5
    assert raw.data.rstrip(b"\r\n0").endswith(b"[DONE]")


def _openai(base_url: str) -> openai.OpenAI:
    return openai.OpenAI(base_url=base_url, api_key="none", max_retries=0)


def _openai_pieces(client: openai.OpenAI) -> Iterator[str | None]:
    messages: Any = [{"role": "user", "content": "hi"}]
    with client.chat.completions.create(model="m", messages=messages, stream=True) as chunks:
        for chunk in chunks:
            yield chunk.choices[0].delta.content


@forms
def test_openai_python(url: str, site: Site, form: str) -> None:
    with _openai(f"{url}/{form}/v1") as client:
        assert _collect(site, _openai_pieces(client)) == TEXT


def test_openai_python_fails_on_the_naive_form(url: str, site: Site) -> None:
    with _openai(f"{url}/naive/v1") as client, pytest.raises(json.JSONDecodeError):
        _collect(site, _openai_pieces(client))


def _langchain_pieces(base_url: str) -> Iterator[str]:
    key = SecretStr("none")
    model = ChatOpenAI(base_url=base_url, api_key=key, model="m", max_retries=0)
    for chunk in model.stream("hi"):
        yield str(chunk.content)


@forms
def test_langchain_openai(url: str, site: Site, form: str) -> None:
    assert _collect(site, _langchain_pieces(f"{url}/{form}/v1")) == TEXT


def test_langchain_openai_fails_on_the_naive_form(url: str, site: Site) -> None:
    with pytest.raises(json.JSONDecodeError):
        _collect(site, _langchain_pieces(f"{url}/naive/v1"))


def _httpx_sse_events(url: str) -> Iterator[httpx_sse.ServerSentEvent]:
    with (
        httpx.Client(trust_env=False) as client,
        httpx_sse.connect_sse(client, "GET", url) as source,
    ):
        yield from source.iter_sse()


@forms
def test_httpx_sse(url: str, site: Site, form: str) -> None:
    events = _httpx_sse_events(f"{url}/{form}/events")
    pieces = (json.loads(event.data) for event in events if event.event == "message")
    assert _collect(site, pieces) == TEXT


def test_httpx_sse_takes_naive_heartbeats_for_events(url: str, site: Site) -> None:
    data = [event.data for event in _httpx_sse_events(f"{url}/naive/events")]
    assert data.count("") == len(TOKENS)


@forms
def test_anthropic_python(url: str, site: Site, form: str) -> None:
    messages: Any = [{"role": "user", "content": "hi"}]
    with (
        anthropic.Anthropic(base_url=f"{url}/{form}", api_key="none", max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=messages) as stream,
    ):
        assert _collect(site, stream.text_stream) == TEXT
        assert stream.get_final_message().stop_reason == "end_turn"


_NODE = """
const OpenAI = require("openai");
const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
(async () => {
  const stream = await client.chat.completions.create({
    model: "m", stream: true, messages: [{ role: "user", content: "hi" }],
  });
  for await (const chunk of stream)
    console.log(JSON.stringify(chunk.choices[0].delta.content ?? ""));
})().catch((error) => { console.error(String(error)); process.exit(1); });
"""


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        miss(Missing(name, f"apt-get install --no-install-recommends {name}"))
    return path


def _node_modules() -> Path:
    folders = [Path(one) for one in os.environ.get("NODE_PATH", "").split(os.pathsep) if one]
    folders.append(Path(__file__).parents[2] / ".proxies" / "node_modules")
    having = [folder for folder in folders if (folder / "openai").is_dir()]
    if not having:
        miss(Missing("the Node.js package openai", "scripts/install-proxies all"))
    return having[0]


def _lines(command: list[str], **environment: str) -> Iterator[bytes]:
    """What a program writes, line by line, as it comes."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        limit = threading.Timer(PATIENCE_S, process.kill)
        limit.start()
        try:
            yield from process.stdout
            said = process.stderr.read().decode()
            assert process.wait() == 0, said
        finally:
            limit.cancel()
            process.kill()


@forms
def test_openai_node(url: str, site: Site, form: str, tmp_path: Path) -> None:
    script = tmp_path / "read.js"
    script.write_text(_NODE)
    modules = _node_modules()
    lines = _lines([_program("node"), str(script), f"{url}/{form}/v1"], NODE_PATH=str(modules))
    assert _collect(site, (json.loads(line) for line in lines)) == TEXT


@forms
def test_curl(url: str, site: Site, form: str) -> None:
    parser = Parser()

    def pieces() -> Iterator[str]:
        for line in _lines([_program("curl"), "-sSN", f"{url}/{form}/events"]):
            for event in parser.receive_data(line):
                if isinstance(event, Event) and event.event == "message":
                    yield json.loads(event.data)

    assert _collect(site, pieces()) == TEXT


_BROWSER = b"""<!doctype html>
<meta charset="utf-8">
<script type="module">
  import { readStream } from "/reader.mjs";

  const tell = (path, body) => fetch(path, { method: "POST", body: JSON.stringify(body ?? null) });

  function noting() {
    const seen = { text: "", ids: 0, failed: "" };
    const note = (data, id) => {
      // Heartbeats come meanwhile, and the browser has to live with them.
      if (!seen.text) setTimeout(() => tell("/seen"), 250);
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
      await tell("/next");
    }
  }
  await tell("/report", report);
</script>
"""


def test_eventsource_and_fetch_in_chromium(url: str, site: Site, tmp_path: Path) -> None:
    with chromium(f"{url}/page", tmp_path):
        assert site.reported.wait(2 * PATIENCE_S), "the page did not report"
    ids = {"plain": 0, "ids": len(TOKENS)}
    assert site.report == {
        f"{name} {form}": {"text": TEXT, "ids": ids[form], "failed": ""}
        for name in ("byEventSource", "byFetch")
        for form in ("plain", "ids")
    }
    assert site.held == [False] * 4
