"""Each example is started as documented in its header, used by a client, and checked."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import openai
import pytest

from support.browser import chromium
from support.live import Simulator, codes_by_hop, start_simulator
from support.uvicorn_thread import TIMEOUT_S, read_raw, under_uvicorn
from undam.probe import CheckOptions, Place, Report, report_json, run_check

_EXAMPLES = Path(__file__).parents[2] / "examples"


@contextmanager
def _running(app: str, folder: Path, log: Path, **environment: str) -> Iterator[str]:
    """Run ``uvicorn --app-dir FOLDER APP`` on a free port."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(folder), "--port", "0", app]
    with log.open("wb") as out:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**kept, "PYTHONDONTWRITEBYTECODE": "1", **environment},
        )
    try:
        yield _listening(process, log)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _listening(process: subprocess.Popen[bytes], log: Path) -> str:
    give_up = time.monotonic() + TIMEOUT_S
    while True:
        output = log.read_text(encoding="utf-8")
        if found := re.search(r"running on (http://127\.0\.0\.1:\d+)", output):
            return found[1]
        assert process.poll() is None, output
        assert time.monotonic() < give_up, output
        time.sleep(0.02)


def _check(url: str) -> Report:
    return asyncio.run(run_check(CheckOptions(places=(Place("edge", url),))))


def _assert_clean(report: Report) -> None:
    assert report_json(report)["verdict"] == "streaming"
    assert codes_by_hop(report) == {}
    # Measurement caveats (UD9…) concern the machine, not the example.
    assert [one.code for one in report.findings if not one.code.startswith("UD9")] == []


def _ask(url: str) -> tuple[str, str | None]:
    """Return the whole answer and its finish reason, as openai-python reads them."""
    text, reason = "", None
    messages: Any = [{"role": "user", "content": "Count."}]
    with (
        openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client,
        client.chat.completions.create(model="m", messages=messages, stream=True) as chunks,
    ):
        for chunk in chunks:
            for choice in chunk.choices:
                text += choice.delta.content or ""
                reason = choice.finish_reason or reason
    return text, reason


def test_the_chat_example_streams_its_stub_and_has_an_openapi_document(tmp_path: Path) -> None:
    with _running("fastapi_chat:app", _EXAMPLES, tmp_path / "log") as url:
        text, reason = _ask(url)
        report = _check(f"{url}/v1/chat/completions")
        document = read_raw(f"{url}/openapi.json").data.partition(b"\r\n\r\n")[2]
    assert text == ", ".join(str(number) for number in range(1, 61)) + "."
    assert reason == "stop"
    _assert_clean(report)
    paths = json.loads(document)["paths"]
    responses = paths["/v1/chat/completions"]["post"]["responses"]
    assert set(responses["200"]["content"]) == {"text/event-stream"}


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[Simulator]:
    started = start_simulator(tmp_path, "--tokens", "40", "--ttft", "50", "--gap", "25")
    yield started
    started.stop()


def test_the_chat_example_relays_each_token_of_a_model(upstream: Simulator, tmp_path: Path) -> None:
    direct, _ = _ask(upstream.url)
    settings = {"OPENAI_BASE_URL": f"{upstream.url}/v1", "OPENAI_API_KEY": "none"}
    with _running("fastapi_chat:app", _EXAMPLES, tmp_path / "log", **settings) as url:
        assert _ask(url) == (direct, "stop")
        _assert_clean(_check(f"{url}/v1/chat/completions"))


def test_the_guard_example_protects_the_stream_only(tmp_path: Path) -> None:
    with _running("guard_existing:app", _EXAMPLES, tmp_path / "log") as url:
        report = _check(f"{url}/stream")
        page = read_raw(f"{url}/")
    _assert_clean(report)
    (exchange,) = report.exchanges
    assert exchange.head is not None
    assert exchange.head.get("x-accel-buffering") == "no"
    # The example's model is idle for longer than the heartbeat interval.
    assert b": ping\n\n" in b"".join(arrival.data for arrival in exchange.arrivals)
    assert page.data.endswith(b"\r\n\r\nhello\n")
    assert "x-accel-buffering" not in page.head


def test_the_browser_example_streams_and_resumes(tmp_path: Path) -> None:
    with _running("server:app", _EXAMPLES / "browser", tmp_path / "log") as url:
        report = _check(f"{url}/events?stream=checked")
        whole = read_raw(f"{url}/events?stream=checked").data
        ids = re.findall(rb"\nid: (\S+)\n", whole)
        rest = read_raw(f"{url}/events?stream=checked&last_event_id={ids[4].decode()}").data
        over = read_raw(f"{url}/events?stream=checked&last_event_id={ids[-1].decode()}")
    _assert_clean(report)
    assert len(ids) == 21
    assert re.findall(rb"\nid: (\S+)\n", rest) == ids[5:]
    assert over.status == 204


_TOOLS = b"""<!doctype html>
<meta charset="utf-8">
<iframe></iframe>
<script type="module">
  const frame = document.querySelector("iframe");
  const element = (id) => frame.contentDocument.getElementById(id);
  const pause = () => new Promise((wake) => setTimeout(wake, 10));

  async function show(act) {
    const loaded = new Promise((done) => (frame.onload = done));
    act();
    await loaded;
  }

  async function until(holds) {
    while (!holds()) await pause();
  }

  const send = (report) => fetch("/report", { method: "POST", body: JSON.stringify(report) });
"""

_DRIVER = (
    _TOOLS
    + b"""
  async function use(path, begin) {
    await show(() => (frame.src = path));
    begin();
    await until(() => element("answer").textContent.split(", ").length > 5);
    const before = element("answer").textContent;
    await show(() => frame.contentWindow.location.reload());
    const kept = element("answer").textContent;
    await until(() => element("state").textContent === "complete");
    const after = element("answer").textContent;
    await show(() => frame.contentWindow.location.reload());
    await until(() => element("state").textContent === "complete");
    return { before, kept, after, again: element("answer").textContent };
  }

  const report = {
    eventsource: await use("/", () => {}),
    fetch: await use("/fetch.html", () => {
      element("prompt").value = "red green";
      element("form").requestSubmit();
    }),
  };
  await send(report);
</script>
"""
)


class _Driven:
    """Example with an added test page, which runs in a browser and reports the result."""

    def __init__(self, app: Any, driver: bytes = _DRIVER) -> None:
        self._app = app
        self._driver = driver
        self.report: dict[str, Any] = {}
        self.reported = threading.Event()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http" or scope["path"] not in {"/driver", "/report"}:
            await self._app(scope, receive, send)
            return
        if scope["path"] == "/report":
            message, body = await receive(), b""
            while message.get("more_body", False):
                body += message["body"]
                message = await receive()
            self.report = json.loads(body + message["body"])
            self.reported.set()
        headers = [(b"content-type", b"text/html; charset=utf-8")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": self._driver})


def _load(path: Path) -> ModuleType:
    name = f"examples_{path.parent.name}_server"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Pydantic resolves annotations through sys.modules
    spec.loader.exec_module(module)
    return module


def test_the_browser_pages_continue_after_a_reload(tmp_path: Path) -> None:
    server = _load(_EXAMPLES / "browser" / "server.py")
    driven = _Driven(server.app)
    with under_uvicorn(driven) as url, chromium(f"{url}/driver", tmp_path):
        assert driven.reported.wait(3 * TIMEOUT_S), "the page did not report"
    words = {"eventsource": ("tick", "tock"), "fetch": ("red", "green")}
    assert driven.report.keys() == words.keys()
    for name, seen in driven.report.items():
        whole = "".join(f"{word} {n}, " for n in range(1, 11) for word in words[name])
        assert seen["after"] == seen["again"] == whole
        # The page was reloaded in the middle of the answer, and the earlier text was preserved.
        assert whole.startswith(seen["before"])
        assert seen["kept"].startswith(seen["before"])
        assert len(seen["before"]) < len(whole)
    # A reload of the page does not restart the source.
    assert len(server.memory) == 2


_ANSWERS_DRIVER = (
    _TOOLS
    + b"""
  const text = () => element("answer").textContent;
  const words = () => text().trim().split(" ").length;
  const state = () => element("state").textContent;
  const ask = () => element("form").requestSubmit();

  await show(() => (frame.src = "/"));
  await pause();
  await until(() => element("form").onsubmit);
  ask();
  await until(() => words() > 3);
  const before = text();
  await show(() => frame.contentWindow.location.reload());
  await until(() => words() > before.trim().split(" ").length + 3);
  const after = text();
  element("stop").click();
  await until(() => state() === "stopped");
  const stopped = text();
  await show(() => frame.contentWindow.location.reload());
  await until(() => text() === stopped);
  await send({ before, after, stopped, answers: await (await fetch("/answers")).json() });
</script>
"""
)


def test_an_answer_continues_after_a_reload_and_stops_on_request(tmp_path: Path) -> None:
    server = _load(_EXAMPLES / "answers" / "server.py")
    driven = _Driven(server.app, _ANSWERS_DRIVER)
    with under_uvicorn(driven) as url, chromium(f"{url}/driver", tmp_path):
        assert driven.reported.wait(3 * TIMEOUT_S), "the page did not report"
    report = driven.report
    whole = "You asked: why is the sky blue. " * 10
    for text in ("before", "after", "stopped"):
        assert whole.startswith(report[text])
    assert len(report["before"]) < len(report["after"]) <= len(report["stopped"]) < len(whole)
    (answer,) = report["answers"]
    assert answer["state"] == "stopped"


def test_the_news_of_the_answers_example_reach_every_reader(tmp_path: Path) -> None:
    with _running("server:app", _EXAMPLES / "answers", tmp_path / "log") as url:
        seen: list[bytes] = []

        def read() -> None:
            seen.append(read_raw(f"{url}/news", on_read=lambda raw: b"data: " not in raw.data).data)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        give_up = time.monotonic() + TIMEOUT_S
        while any(reader.is_alive() for reader in readers) and time.monotonic() < give_up:
            read_raw(f"{url}/news", "POST", body=b'{"prompt": "hello"}')
            time.sleep(0.1)
        for reader in readers:
            reader.join(TIMEOUT_S)
        page = read_raw(f"{url}/news.html").data
    assert len(seen) == 2
    assert all(b'data: {"text":"hello"}' in data for data in seen)
    assert b"EventSource" in page
