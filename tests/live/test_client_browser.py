"""The JavaScript reader tested in Node.js, which has the same fetch and stream APIs as browsers."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.scripted_server import DONE, RESET, STREAM, Script, ScriptedServer, chat_chunk

_READER = Path(__file__).parents[2] / "packages" / "undam-stream" / "src" / "index.mjs"

_READ = """
const { readStream } = await import(process.argv[1]);
const [url, options] = [process.argv[2], JSON.parse(process.argv[3])];
const found = { data: [], beats: [], error: null };
const text = (event) => event.data.startsWith("{") ?
  JSON.parse(event.data).choices[0].delta.content ?? "" : event.data;
try {
  if (options.isLast === "none") options.isLast = null;
  options.onHeartbeat = (text) => found.beats.push(text);
  for await (const event of readStream(url, options)) {
    found.data.push(text(event));
    if (found.data.length === options.leaveAfter) break;
  }
} catch (error) {
  found.error = error.name;
  found.message = error.message;
  found.lastEventId = error.lastEventId;
}
console.log(JSON.stringify(found));
"""

_PARSE = """
const { Parser } = await import(process.argv[1]);
const bytes = Buffer.from(process.argv[2], "base64");
const step = Number(process.argv[3]);
const parser = new Parser({ maxEventChars: 100 });
const found = [];
try {
  for (let at = 0; at < bytes.length; at += step) {
    for (const item of parser.receive(bytes.subarray(at, at + step))) {
      const { comment, type, data, id } = item;
      found.push(comment === undefined ? [type, data, id] : [":", comment]);
    }
  }
} catch (error) { found.push([error.name]); }
console.log(JSON.stringify(found));
"""


def _node(program: str, *arguments: str) -> Any:
    node = shutil.which("node")
    if node is None:
        if os.environ.get("CI", "").lower() in {"true", "1"}:
            pytest.fail("node is not installed: scripts/install-proxies all", pytrace=False)
        pytest.skip("node is not installed")
    run = subprocess.run(
        [node, "--input-type=module", "-e", program, _READER.as_uri(), *arguments],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def _read(*scripts: Script, **options: object) -> tuple[dict[str, Any], ScriptedServer]:
    with ScriptedServer(scripts) as server:
        found = _node(_READ, server.url, json.dumps({"body": {"stream": True}, **options}))
    assert isinstance(found, dict)
    return found, server


@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 1000])
def test_the_browser_reader_parses_exactly(step: int) -> None:
    stream = (
        "\ufeff: hi\n\nretry: 5\n\ndata: a\r\ndata: b\r\n\r\ndata: c\rdata: d\r\r"
        "event: e\nid: 7\ndata: \u2028é€😀\x85\n\ndata:\n\nevent: ping\n\ndata: f\n\ndata: cut"
    ).encode()
    assert _node(_PARSE, base64.b64encode(stream).decode(), str(step)) == [
        [":", "hi"], ["message", "a\nb", ""], ["message", "c\nd", ""],
        ["e", "\u2028é€😀\x85", "7"], ["message", "", "7"], ["message", "f", "7"],
    ]  # fmt: skip
    large = b"data: a\n\ndata: " + b"x" * 500
    assert _node(_PARSE, base64.b64encode(large).decode(), str(step)) == [
        ["message", "a", ""], ["MalformedStream"],
    ]  # fmt: skip


def test_a_post_is_read_to_its_last_event() -> None:
    script: Script = [
        STREAM,
        b": one\n\n",
        chat_chunk("a"),
        0.1,
        b": two\n\n",
        chat_chunk("b"),
        DONE,
        20.0,
    ]
    found, server = _read(script, headers={"X-Mine": "1"})
    assert found == {"data": ["a", "b", "[DONE]"], "beats": ["one", "two"], "error": None}
    request = server.requests[0].lower()
    assert request.startswith(b"post ")
    assert b"x-mine: 1" in request
    assert request.endswith(b'{"stream":true}')


@pytest.mark.parametrize(
    ("rest", "name"),
    [([], "IncompleteStream"), ([0.1, RESET], "IncompleteStream"), ([30.0], "IdleTimeout")],
    ids=["a clean end", "a reset", "silence"],
)
def test_an_incomplete_stream_is_an_error(rest: list[float | str], name: str) -> None:
    script: Script = [STREAM, chat_chunk("a", ident="4"), *rest]
    found, _ = _read(script, idleMs=500)
    assert (found["data"], found["error"], found["lastEventId"]) == (["a"], name, "4")


def test_a_stream_without_a_last_event_may_end() -> None:
    found, _ = _read([STREAM, chat_chunk("a")], isLast="none")
    assert (found["data"], found["error"]) == (["a"], None)


def test_an_error_status_is_an_error() -> None:
    head = b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\nConnection: close\r\n\r\nbusy"
    found, _ = _read([head])
    assert (found["error"], found["data"]) == ("ResponseError", [])
    assert "busy" in found["message"]


def test_a_broken_stream_is_resumed_with_the_option() -> None:
    first = [STREAM, b"retry: 20\n\n", chat_chunk("a", ident="1"), chat_chunk("b", ident="2")[:-3]]
    rest = [STREAM, chat_chunk("b", ident="2"), DONE]
    found, server = _read(first, rest, resume=True)
    assert (found["data"], found["error"]) == (["a", "b", "[DONE]"], None)
    assert b"last-event-id: 1" in server.requests[1].lower()
    found, server = _read(first, rest)
    assert (found["error"], len(server.requests)) == ("IncompleteStream", 1)


def test_the_number_of_reconnects_is_limited() -> None:
    first = [STREAM, b"retry: 5\n\n", chat_chunk("a", ident="1")]
    found, server = _read(first, [STREAM], resume=True)
    assert (found["error"], len(server.requests)) == ("IncompleteStream", 4)


def test_read_events_reads_one_response() -> None:
    program = """
    const { readEvents } = await import(process.argv[1]);
    const found = [], beats = [];
    const response = await fetch(process.argv[2]);
    for await (const event of readEvents(response, { onHeartbeat: (text) => beats.push(text) })) {
      found.push(event.data);
    }
    console.log(JSON.stringify([found, beats]));
    """
    with ScriptedServer([[STREAM, b": beat\n\ndata: a\r\rdata: b\n\ndata: cut"]]) as server:
        assert _node(program, server.url) == [["a", "b"], ["beat"]]


def test_leaving_the_loop_ends_the_request() -> None:
    found, server = _read([STREAM, chat_chunk("a"), 20.0], leaveAfter=1)
    assert found["data"] == ["a"]
    assert server.disconnected_early == [True]
