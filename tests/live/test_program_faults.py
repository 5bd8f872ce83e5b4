"""Program faults that `undam lint` finds in source text and `undam check` in running programs.

Each program is a healthy or faulty form of a common snippet. All Python programs run in three
servers, and all JavaScript programs in one Node.js process.
"""

# ruff: noqa: E501 (each program in the tables is one line)
from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
import warnings
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings  # type: ignore[import-untyped]
from django.utils.functional import empty  # type: ignore[import-untyped]
from starlette.applications import Starlette
from starlette.responses import StreamingResponse
from starlette.routing import Mount, Route
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.serving import make_server

from support.eventually import eventually
from support.live import skip_or_fail
from support.program_corpus import codes_of
from support.uvicorn_thread import under_uvicorn
from undam.errors import ResponseError
from undam.lab.proxies import Missing
from undam.lint import RenderRequest, Settings, Source, dialect_named, fix_source
from undam.probe import CheckOptions, Place, Report, report_json, run_check
from undam.sse import Event, Parser

pytestmark = [pytest.mark.live, pytest.mark.slow]

MODULES = Path(__file__).parents[2] / ".proxies" / "node_modules"
UPSTREAM = "http://vllm:8000"
HEAD = """
import asyncio, json, time
import httpx, requests
from fastapi import FastAPI
from fastapi.responses import StreamingResponse
app = FastAPI()
H = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
async def model():
    for number in range(15):
        await asyncio.sleep(0.04)
        yield json.dumps({"choices": [{"index": 0, "delta": {"content": f"word {number} "}}]})
"""
ROUTE = """
@app.post("/v1/events")
async def handler():
    return StreamingResponse(events(), media_type="text/event-stream", headers=H)
"""
FLASK = """
import json, time
from flask import Flask, Response, request, stream_with_context
app = Flask("program")
H = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
"""
HELD = frozenset({"held-to-end", "batched", "late"})
STREAMS = frozenset({"streaming"})


@dataclass(frozen=True)
class Program:
    """Program under test, and the findings expected from `undam lint` and `undam check`.

    Args:
        path: path of the request.
        lint: codes of errors and warnings, and of the remarks that are part of the case.
        verdicts: the verdicts that are possible; empty for a program whose stream is broken.
        check: a code of check that has to be among the findings.
        server: the server to run it in.
        blocks: the fault appears in the streams of other programs, which are blocked meanwhile.
    """

    name: str
    text: str
    lint: frozenset[str] = frozenset()
    verdicts: frozenset[str] = STREAMS
    check: str = ""
    server: str = "asyncio"
    path: str = "/v1/events"
    blocks: bool = False


def case(name: str, text: str, *lint: str, **more: Any) -> Program:
    return Program(name, text, frozenset(lint), **more)


POST = "requests.post('http://vllm:8000/events'{})"


def relay(request: str, read: str) -> str:
    """Return a Python program whose handler relays a response in a thread."""
    return f"""{HEAD}
@app.post("/v1/events")
def handler():
    r = {request}
    return StreamingResponse(r.{read}, media_type="text/event-stream", headers=H)
"""


def async_relay(client: str, path: str, read: str) -> str:
    """Return a Python program whose generator relays a response."""
    return f"""{HEAD}
client = httpx.AsyncClient({client})
async def events():
    async with client.stream("POST", "http://vllm:8000/{path}") as r:
        async for part in r.{read}:
            yield part
{ROUTE}"""


PYTHON = [
    case("healthy", HEAD + "async def events():\n    async for t in model():\n        yield f'data: {t}\\n\\n'\n" + ROUTE),
    case("sleep-zero", HEAD + "async def events():\n    async for t in model():\n        yield f'data: {t}\\n\\n'\n"
         "        await asyncio.sleep(0)\n" + ROUTE, "PYA201"),
    case("no-headers", HEAD + "async def events():\n    async for t in model():\n        yield f'data: {t}\\n\\n'\n"
         + ROUTE.replace(", headers=H", ""), "PYA202", check="UD202"),
    case("wrapped", HEAD + "@app.middleware('http')\nasync def stamp(request, call_next):\n    return await call_next(request)\n"
         "async def events():\n    async for t in model():\n        yield f'data: {t}\\n\\n'\n" + ROUTE, "PYA103"),
    case("collecting", HEAD + "from starlette.responses import Response\n@app.middleware('http')\n"
         "async def log(request, call_next):\n    response = await call_next(request)\n"
         "    body = b''.join([part async for part in response.body_iterator])\n"
         "    return Response(body, headers=dict(response.headers))\n"
         "async def events():\n    async for t in model():\n        yield f'data: {t}\\n\\n'\n" + ROUTE,
         "PYA102", "PYA103", verdicts=HELD),
    case("whole-requests", relay(POST.format(""), "iter_content(1024)"), "PYA104", verdicts=HELD),
    case("stream-requests", relay(POST.format(", stream=True"), "iter_content(1)")),
    case("whole-httpx", relay("httpx.post('http://vllm:8000/events')", "iter_bytes()"), "PYA104", verdicts=HELD),
    case("blocks-httpx", async_relay("timeout=None", "events", "aiter_bytes(4096)"),
         "PYA105", verdicts=HELD),
    case("relay-httpx", async_relay("timeout=None", "events", "aiter_raw()")),
    case("read-timeout", async_relay("timeout=0.5", "silent", "aiter_raw()"),
         "PYA401", verdicts=frozenset(), check="UD602"),
    case("blocking", HEAD + "async def events():\n    for n in range(3):\n        time.sleep(0.3)\n"
         "        yield f'data: {n}\\n\\n'\n" + ROUTE, "PYA106", blocks=True),
    case("never-awaits", HEAD + "def slow(n):\n    time.sleep(0.05)\n    return n\n"
         "async def events():\n    for n in range(20):\n        yield f'data: {slow(n)}\\n\\n'\n" + ROUTE,
         "PYA107", blocks=True),
    case("unframed", HEAD + "async def events():\n    async for t in model():\n        yield f'data: {t}\\n'\n" + ROUTE,
         "PYA601", verdicts=frozenset(), check="UD604"),
    case("flask", FLASK + "@app.post('/v1/events')\ndef handler():\n    count = int(request.args.get('count', 15))\n"
         "    def events():\n        for n in range(count):\n            time.sleep(0.04)\n            yield f'data: {n}\\n\\n'\n"
         "    return Response(events(), mimetype='text/event-stream', headers=H)\n", server="wsgi"),
    case("flask-context", FLASK + "@app.post('/v1/events')\ndef handler():\n    def events():\n        yield 'data: start\\n\\n'\n"
         "        for n in range(int(request.args.get('count', 15))):\n            yield f'data: {n}\\n\\n'\n"
         "    return Response(events(), mimetype='text/event-stream', headers=H)\n",
         "PYA204", server="wsgi", verdicts=frozenset(), check="UD602"),
]  # fmt: skip
DJANGO = """
import time
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import StreamingHttpResponse
from django.urls import re_path
def handler(request):
    def events():
        for number in range(15):
            time.sleep(0.04)
            yield f"data: {number}\\n\\n"
    return StreamingHttpResponse(events(), content_type="text/event-stream", headers={"X-Accel-Buffering": "no", "Cache-Control": "no-cache"})
handler.csrf_exempt = True
class urls:
    urlpatterns = [re_path("", handler)]
settings.configure(
    ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls, SECRET_KEY="for a test", USE_TZ=True,
    MIDDLEWARE=["django.middleware.gzip.GZipMiddleware"],
)
app = get_wsgi_application()
"""
PYTHON.append(case("django-gzip", DJANGO, "PYA109", "PYA202", server="wsgi", verdicts=HELD))


async def _upstream(request: Any) -> StreamingResponse:
    async def events() -> AsyncIterator[bytes]:
        for number in range(15):
            if number == 8 and request.url.path.endswith("/silent"):
                await asyncio.sleep(1.5)
            await asyncio.sleep(0.04)
            yield b"data: %d\n\n" % number

    return StreamingResponse(events(), media_type="text/event-stream")


def _loaded(program: Program, upstream: str) -> Any:
    names: dict[str, Any] = {"__name__": program.name}
    exec(program.text.replace(UPSTREAM, upstream), names)
    return names["app"]


@contextlib.contextmanager
def _under_werkzeug(app: Any) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextlib.contextmanager
def _unconfigured_django() -> Iterator[None]:
    """Hide the Django settings that other tests in this process have configured."""
    before = settings._wrapped
    settings._wrapped = empty
    try:
        yield
    finally:
        settings._wrapped = before


@pytest.fixture(scope="module")
def servers() -> Iterator[dict[str, str]]:
    """Run the Python programs, each under its name; yield the URL of each kind of server."""
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    upstream = Starlette(routes=[Route("/{path:path}", _upstream, methods=["POST"])])
    with contextlib.ExitStack() as running, _unconfigured_django():
        model = running.enter_context(under_uvicorn(upstream))
        mounts: dict[str, dict[str, Any]] = {"asyncio": {}, "wsgi": {}}
        for one in PYTHON:
            mounts[one.server][f"/{one.name}"] = _loaded(one, model)
        urls = {
            loop: running.enter_context(
                under_uvicorn(
                    Starlette(routes=[Mount(at, app) for at, app in mounts[loop].items()]), loop
                )
            )
            for loop in ("asyncio",)
        }
        wsgi = DispatcherMiddleware(lambda _env, _start: [], mounts["wsgi"])
        yield {**urls, "wsgi": running.enter_context(_under_werkzeug(wsgi))}


def _check(url: str) -> Report:
    options = CheckOptions(
        places=(Place("edge", url),), method="POST", data=b"{}", experiments=False
    )
    return asyncio.run(run_check(options))


def _check_beside(healthy: str, blocking: str) -> Report:
    """Check a healthy stream while a second stream starts at about the third event."""
    request = urllib.request.Request(blocking, b"{}", {"Content-Type": "application/json"})
    timer = threading.Timer(0.15, lambda: urllib.request.urlopen(request).read())
    timer.start()
    try:
        return _check(healthy)
    finally:
        timer.join()


def _longest_gap_s(report: Report) -> float:
    at = [one.at_ns for one in report.exchanges[0].arrivals]
    return max(after - before for before, after in pairwise(at)) / 1e9


def _assert_witnessed(program: Program, report: Report) -> None:
    found = {one.code for one in report.findings}
    verdict = report_json(report)["verdict"]
    if program.verdicts:
        assert verdict in program.verdicts, found
    if program.check:
        assert program.check in found, (verdict, found)


@pytest.mark.parametrize("program", PYTHON, ids=lambda one: one.name)
def test_the_fault_of_a_python_program_is_in_its_stream(
    servers: dict[str, str], program: Program
) -> None:
    assert set(codes_of("python-app", "app.py", program.text)) == program.lint
    url = f"{servers[program.server]}/{program.name}{program.path}"
    if program.blocks:
        report = _check_beside(f"{servers['asyncio']}/healthy/v1/events", url)
        assert _longest_gap_s(report) > 0.25
    else:
        _assert_witnessed(program, _check(url))


def _post(url: str, body: bytes = b"{}") -> bytes:
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as response:
        return bytes(response.read())


NEWLINE = """
async def events():
    for token in ["a\\n\\nb", "c"]:
        await asyncio.sleep(0)
        yield f"data: {token}\\n\\n"
"""
QUERY = """
@app.post("/v1/events")
async def handler(prompt: str):
    return StreamingResponse(model(), media_type="text/event-stream", headers=H)
"""


def test_a_line_break_in_a_token_loses_the_rest_of_the_text() -> None:
    text = HEAD + NEWLINE + ROUTE
    assert set(codes_of("python-app", "app.py", text)) == {"PYA602"}
    names: dict[str, Any] = {"__name__": "newline"}
    exec(text, names)
    with under_uvicorn(names["app"]) as url:
        events = [
            one.data
            for one in Parser().receive_data(_post(f"{url}/v1/events"))
            if isinstance(one, Event)
        ]
    assert events == ["a", "c"]


def test_a_prompt_in_the_query_string_is_not_read_from_the_body() -> None:
    text = HEAD + QUERY
    assert "PYA203" in codes_of("python-app", "app.py", text)
    names: dict[str, Any] = {"__name__": "query"}
    exec(text, names)
    with under_uvicorn(names["app"]) as url, pytest.raises(ResponseError, match="422"):
        _check(f"{url}/v1/events")


def test_synchronous_generators_share_few_threads() -> None:
    text = HEAD + "def events():\n    time.sleep(0.4)\n    yield 'data: a\\n\\n'\n" + (
        "@app.on_event('startup')\nasync def threads():\n    import anyio.to_thread\n"
        "    anyio.to_thread.current_default_thread_limiter().total_tokens = 2\n"
    ) + ROUTE  # fmt: skip
    assert set(codes_of("python-app", "app.py", text)) == {"PYA108"}
    names: dict[str, Any] = {"__name__": "threads"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        exec(text, names)
    with under_uvicorn(names["app"]) as url, ThreadPoolExecutor(3) as pool:
        began = time.monotonic()
        list(pool.map(_post, [f"{url}/v1/events"] * 3))
        assert time.monotonic() - began > 0.75


NODE = """
const http = require("http");
const root = require("express")();
for (const name of process.argv.slice(2)) root.use("/" + name, require("./" + name + ".js"));
const server = root.listen(0, "127.0.0.1", () => console.log(server.address().port));
"""
EXPRESS = """
const compression = require("compression");
const app = require("express")();
%s
app.post("/v1/events", (req, res) => {
  res.writeHead(200, { "Content-Type": "text/event-stream", "X-Accel-Buffering": "no" %s });
  let number = 0;
  const timer = setInterval(() => {
    res.write(`data: ${number}\\n\\n`);
    %s
    if (++number === 15) { clearInterval(timer); res.end(); }
  }, 40);
});
module.exports = app;
"""
PROXY = """
const { createProxyMiddleware, responseInterceptor } = require("http-proxy-middleware");
const target = "http://vllm:8000";
module.exports = require("express")().use("/v1", createProxyMiddleware(%s));
"""
COLLECTS = """
const app = require("express")();
app.post("/v1/events", async (req, res) => {
  const body = JSON.stringify({ stream: true });
  const upstream = await fetch("http://vllm:8000/v1/events", { method: "POST", body });
  res.type("text/event-stream");
  %s
});
module.exports = app;
"""
FREE = ', "Cache-Control": "no-cache, no-transform"'
INTERCEPT = (
    "{ target, selfHandleResponse: true, on: { proxyRes: responseInterceptor(async (b) => b) } }"
)
PROGRAMS = [
    case("express", EXPRESS % ("", FREE, "")),
    case("compression", EXPRESS % ("app.use(compression());", "", ""), "JSA101", "JSA201", verdicts=HELD),
    case("no-transform", EXPRESS % ("app.use(compression());", FREE, "")),
    case("flush", EXPRESS % ("app.use(compression());", "", "res.flush();"), "JSA201"),
    case("interceptor", PROXY % INTERCEPT, "JSA102", verdicts=HELD),
    case("proxy", PROXY % "{ target }"),
    case("collects", COLLECTS % "res.send(await upstream.text());", "JSA104", "JSA201", verdicts=HELD),
    case("forwards", COLLECTS % "require('stream').Readable.fromWeb(upstream.body).pipe(res);", "JSA201"),
]  # fmt: skip


def _lint_js(text: str) -> set[str]:
    # These proxies do not use known model paths, so their stream paths are passed to lint.
    return set(codes_of("javascript-app", "app.js", text, stream_paths=("/v1",)))


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        skip_or_fail(Missing("node", "apt-get install --no-install-recommends nodejs"))
    if not (MODULES / "compression").is_dir():
        skip_or_fail(Missing("the Node.js package compression", "scripts/install-proxies all"))
    return node


@pytest.fixture(scope="module")
def node_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run the JavaScript programs and their fixed forms in one Node.js process."""
    folder = tmp_path_factory.mktemp("node")
    upstream = Starlette(routes=[Route("/{path:path}", _upstream, methods=["POST"])])
    with under_uvicorn(upstream) as model:
        names = []
        for one in PROGRAMS:
            fixed = fix_source(
                dialect_named("javascript-app"), Source("a.js", one.text), Settings()
            )
            for name, text in ((one.name, one.text), (f"{one.name}-fixed", fixed)):
                (folder / f"{name}.js").write_text(text.replace(UPSTREAM, model))
                names.append(name)
        (folder / "main.js").write_text(NODE)
        command = [_node(), "main.js", *names]
        with subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, text=True,
            env={**os.environ, "NODE_PATH": str(MODULES)},
        ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
            finally:
                process.kill()


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda one: one.name)
def test_the_fault_of_a_javascript_program_is_in_its_stream(
    node_server: str, program: Program
) -> None:
    assert _lint_js(program.text) == program.lint
    _assert_witnessed(program, _check(f"{node_server}/{program.name}{program.path}"))


def test_the_fix_for_compression_lets_the_stream_pass(node_server: str) -> None:
    report = _check(f"{node_server}/compression-fixed/v1/events")
    assert report_json(report)["verdict"] == "streaming"


READER = """
async function* body() {
  yield new Uint8Array([0x64, 0x61, 0x74, 0x61, 0x3a, 0x20, 0x22, 0xc3]);
  yield new Uint8Array([0xa9, 0x22, 0x0a, 0x0a]);
}
(async () => {
  const decoder = new TextDecoder();
  let text = "", lines = 0;
  for await (const chunk of body()) {
    const part = decoder.decode(chunk%s);
    text += part;
    for (const line of part.split("\\n")) {
      if (!line.startsWith("data: ")) continue;
      try { JSON.parse(line.slice(6)); lines++; } catch { }
    }
  }
  console.log(JSON.stringify([text, lines]));
})();
"""


@pytest.mark.parametrize(("option", "text", "expected"), [
    ("", 'data: "\ufffd\ufffd"\n\n', {"JSA601", "JSA602"}),
    (", { stream: true }", 'data: "é"\n\n', {"JSA602"}),
])  # fmt: skip
def test_a_reader_loses_what_two_chunks_share(option: str, text: str, expected: set[str]) -> None:
    program = READER % option
    assert _lint_js(program) == expected
    done = subprocess.run([_node(), "-e", program], capture_output=True, timeout=30, check=True)
    assert json.loads(done.stdout) == [text, 0]


@pytest.fixture
def model() -> Iterator[str]:
    upstream = Starlette(routes=[Route("/{path:path}", _upstream, methods=["POST"])])
    with under_uvicorn(upstream) as url:
        yield url


def test_the_rendered_program_of_python_relays_each_event(model: str) -> None:
    text = dialect_named("python-app").render(RenderRequest(upstream=model, path="/v1"))
    names: dict[str, Any] = {"__name__": "relay"}
    exec(text, names)
    with under_uvicorn(names["app"]) as url:
        assert report_json(_check(f"{url}/v1/events"))["verdict"] == "streaming"


def test_the_rendered_program_of_javascript_relays_each_event(model: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        listen = f"127.0.0.1:{free.getsockname()[1]}"
    request = RenderRequest(upstream=model, path="/v1", listen=listen)
    script = tmp_path / "relay.mjs"
    script.write_text(dialect_named("javascript-app").render(request))
    with subprocess.Popen([_node(), str(script)]) as process:
        try:
            eventually(lambda: _accepts(listen))
            assert report_json(_check(f"http://{listen}/v1/events"))["verdict"] == "streaming"
        finally:
            process.kill()


def _accepts(listen: str) -> bool:
    host, _, port = listen.partition(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 1):
        return True
    return False
