"""Client libraries and programs; each is an iterator that yields received text."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import anthropic
import httpx
import httpx_sse
import openai
from langchain_openai import ChatOpenAI
from pydantic import SecretStr

from support.browser_test_app import HEARTBEAT_S, BrowserTestApp
from support.live import skip_or_fail
from support.uvicorn_thread import TIMEOUT_S
from undam.lab.proxies import Missing
from undam.sse import Event, Parser


def collect(site: BrowserTestApp, pieces: Iterable[str | None]) -> str:
    """Return the whole text; open the gate several heartbeats after the first piece of text."""
    text = ""
    for piece in pieces:
        if piece and not text:
            # Meanwhile heartbeats arrive.
            threading.Timer(5 * HEARTBEAT_S, site.gate.open).start()
        text += piece or ""
    return text


def openai_client(base_url: str) -> openai.OpenAI:
    """Return a client with a dummy key and no retries."""
    return openai.OpenAI(base_url=base_url, api_key="none", max_retries=0)


def openai_pieces(client: openai.OpenAI) -> Iterator[str | None]:
    """Yield the text that openai-python receives."""
    messages: Any = [{"role": "user", "content": "hi"}]
    with client.chat.completions.create(model="m", messages=messages, stream=True) as chunks:
        for chunk in chunks:
            yield chunk.choices[0].delta.content


def langchain_pieces(base_url: str) -> Iterator[str]:
    """Yield the text that langchain-openai receives."""
    key = SecretStr("none")
    model = ChatOpenAI(base_url=base_url, api_key=key, model="m", max_retries=0)
    for chunk in model.stream("hi"):
        yield str(chunk.content)


def httpx_sse_events(url: str) -> Iterator[httpx_sse.ServerSentEvent]:
    """Yield the events that httpx-sse receives."""
    with (
        httpx.Client(trust_env=False) as client,
        httpx_sse.connect_sse(client, "GET", url) as source,
    ):
        yield from source.iter_sse()


def anthropic_pieces(base_url: str) -> Iterator[str]:
    """Yield the text that anthropic-python receives; the answer must be complete."""
    messages: Any = [{"role": "user", "content": "hi"}]
    with (
        anthropic.Anthropic(base_url=base_url, api_key="none", max_retries=0) as client,
        client.messages.stream(model="m", max_tokens=9, messages=messages) as stream,
    ):
        yield from stream.text_stream
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
        skip_or_fail(Missing(name, f"apt-get install --no-install-recommends {name}"))
    return path


def _node_modules() -> Path:
    folders = [Path(one) for one in os.environ.get("NODE_PATH", "").split(os.pathsep) if one]
    folders.append(Path(__file__).parents[2] / ".proxies" / "node_modules")
    having = [folder for folder in folders if (folder / "openai").is_dir()]
    if not having:
        skip_or_fail(Missing("the Node.js package openai", "scripts/install-proxies all"))
    return having[0]


def _lines(command: list[str], **environment: str) -> Iterator[bytes]:
    """Yield a program's output line by line as it arrives."""
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **environment},
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        limit = threading.Timer(TIMEOUT_S, process.kill)
        limit.start()
        try:
            yield from process.stdout
            errors = process.stderr.read().decode()
            assert process.wait() == 0, errors
        finally:
            limit.cancel()
            process.kill()


def node_pieces(base_url: str, folder: Path) -> Iterator[str]:
    """Yield the text that openai-node receives.

    Args:
        folder: folder for the script.
    """
    script = folder / "read.js"
    script.write_text(_NODE)
    lines = _lines([_program("node"), str(script), base_url], NODE_PATH=str(_node_modules()))
    for line in lines:
        yield json.loads(line)


_NODE_CHUNKS = """
const OpenAI = require("openai");
const client = new OpenAI({ baseURL: process.argv[2], apiKey: "none", maxRetries: 0 });
const body = { model: "m", messages: [{ role: "user", content: "hi" }], stream: true };
(async () => {
  try {
    for await (const chunk of await client.chat.completions.create(body)) {
      console.log(JSON.stringify(chunk));
    }
  } catch (error) {
    console.log(JSON.stringify({ status: error.status ?? null }));
  }
})();
"""


def node_chunks(base_url: str, folder: Path) -> list[object]:
    """Return the chunks that openai-node receives, or the status code of its error."""
    script = folder / "chunks.js"
    script.write_text(_NODE_CHUNKS)
    lines = _lines([_program("node"), str(script), base_url], NODE_PATH=str(_node_modules()))
    return [json.loads(line) for line in lines]


def curl_pieces(url: str) -> Iterator[str]:
    """Yield the text that curl receives, parsed by undam."""
    parser = Parser()
    for line in _lines([_program("curl"), "-sSN", url]):
        for event in parser.receive_data(line):
            if isinstance(event, Event) and event.event == "message":
                yield json.loads(event.data)


_AI_SDK = """
const { streamText, readUIMessageStream, DefaultChatTransport } = require("ai");
const { createOpenAICompatible } = require("@ai-sdk/openai-compatible");
const [how, url] = process.argv.slice(2);

async function model() {
  const provider = createOpenAICompatible({ name: "m", baseURL: url, apiKey: "none",
    includeUsage: true });
  const parts = [];
  const result = streamText({ model: provider("m"), prompt: "hi", maxRetries: 0,
    onError: () => {} });
  for await (const { id, request, response, providerMetadata, ...part } of result.fullStream) {
    if (part.type === "error") {
      parts.push({ type: "error", status: part.error.statusCode ?? null });
    } else if (!part.type.startsWith("start")) parts.push(part);
  }
  return parts;
}

async function page() {
  const stream = await new DefaultChatTransport({ api: url }).sendMessages({
    chatId: "c", trigger: "submit-message", messageId: undefined, abortSignal: undefined,
    messages: [{ id: "q", role: "user", parts: [{ type: "text", text: "hi" }] }],
  });
  let last = null;
  for await (const message of readUIMessageStream({ stream })) last = message;
  return [last];
}

(how === "page" ? page() : model()).then(
  (lines) => lines.forEach((line) => console.log(JSON.stringify(line))),
  (error) => { console.error(String(error)); process.exit(1); },
);
"""


def ai_sdk_parts(base_url: str, folder: Path) -> list[Any]:
    """Return the ``streamText`` parts from the Vercel AI SDK, without IDs and times."""
    return _ai_sdk("model", base_url, folder)


def ai_sdk_message(url: str, folder: Path) -> dict[str, Any]:
    """Return the message that the Vercel AI SDK reads from a UI message stream."""
    (message,) = _ai_sdk("page", url, folder)
    assert isinstance(message, dict)
    return message


def _ai_sdk(how: str, url: str, folder: Path) -> list[Any]:
    script = folder / "ai_sdk.js"
    script.write_text(_AI_SDK)
    lines = _lines([_program("node"), str(script), how, url], NODE_PATH=str(_node_modules()))
    return [json.loads(line) for line in lines]
