"""Python programs: routes, rules and positions. The programs are parsed, never executed."""

# ruff: noqa: E501 (each case of a table is one line)
from __future__ import annotations

import ast

import pytest

from support.mutations import robustness_faults
from support.program_corpus import codes_of, corpus_faults, corpus_files, lint_program
from undam.errors import ConfigSyntaxError
from undam.lint import RenderRequest, RouteOutcome, dialect_named
from undam.lint.dialects.python_app.parser import parse_program
from undam.lint.dialects.python_app.rules.framing import pieces
from undam.lint.evidence.neighbours import Neighbours, neighbours_from
from undam.rules import Severity
from undam.textfiles.source import Source
from undam.versions import Version

DIALECT = dialect_named("python-app")
HEAD = """\
import asyncio, time, os, json, subprocess
import httpx
import requests
from fastapi import FastAPI, Body
from fastapi.responses import StreamingResponse
app = FastAPI()
"""
HEADERS = 'headers={"Cache-Control": "no-transform", "X-Accel-Buffering": "no"}'


def codes(text: str, **options: object) -> list[str]:
    return codes_of("python-app", "f.py", text, **options)


def sse(body: str, *, media: str = "text/event-stream", before: str = "") -> str:
    """Return a FastAPI program whose generator has this body."""
    lines = "\n".join(f"    {line}" for line in body.strip("\n").split("\n"))
    return (
        f"{HEAD}{before}\nasync def events(queue=None):\n{lines}\n"
        f'@app.get("/v1/events")\nasync def handler():\n'
        f'    return StreamingResponse(events(), media_type="{media}", {HEADERS})\n'
    )


def test_the_corpus_has_the_diagnostics_that_its_files_expect() -> None:
    files = corpus_files("python_app")
    assert sum(file.name.startswith("healthy") for file in files) >= 8
    assert sum(file.name.startswith("faulty") for file in files) >= 8
    assert corpus_faults("python-app", "python_app") == []


# Bodies of event stream generators, with the codes of their diagnostics.
BODIES = [
    ("async for e in x: yield e.sse()", []),
    ("time.sleep(1)\nyield e.sse()", ["PYA106"]),
    ("time.sleep(0)\nyield e.sse()", []),
    ("await asyncio.to_thread(time.sleep, 1)\nyield e.sse()", []),
    ("r = await loop.run_in_executor(None, lambda: requests.get('x'))\nyield r", []),
    ("requests.get('http://a/b')\nyield e.sse()", ["PYA106"]),
    ("subprocess.run(['a'])\nos.system('a')\nyield e.sse()", ["PYA106", "PYA106"]),
    ("c = httpx.Client(timeout=None)\nc.get('http://a')\nyield e.sse()", ["PYA106"]),
    ("c = httpx.AsyncClient(timeout=None)\nawait c.get('http://a')\nyield e.sse()", []),
    ("for t in tokens: yield t.sse()", ["PYA107"]),
    ("while True: yield t.sse()", ["PYA107"]),
    ("for t in tokens:\n    yield t.sse()\n    await asyncio.sleep(0)", []),
    ("async with lock:\n    for t in tokens: yield t.sse()", []),
    ("for t in [u async for u in x]: yield t.sse()", []),
    ("for t in tokens: print(t)\nyield done.sse()", []),
    ("yield start.sse()\nyield end.sse()", []),
    ("await a()\nawait asyncio.sleep(0)\nyield e.sse()", ["PYA201"]),
    ("token: str = 'a'\nother: str\nyield f'data: {token}\\n\\n'", []),
    ("yield f'data: {token}\\n\\n'\ntoken = 'a'", []),
    ("yield f'{1}'\nyield f''", []),
    ("async for t in x: yield t.content\nyield from y", []),
    ("await a(); await asyncio.sleep(0)\nyield e.sse()", ["PYA201"]),
    ("await a()\nif x:\n    await asyncio.sleep(0)\nyield e.sse()", ["PYA201"]),
    ("await a()\nawait asyncio.sleep(1)\nawait asyncio.sleep()\nawait b\nyield e.sse()", []),
    ("try:\n    yield await q.get()\nexcept:\n    pass", ["PYA205"]),
    ("try:\n    yield await q.get()\nexcept (OSError, asyncio.CancelledError):\n    log()", ["PYA205"]),
    ("try:\n    yield await q.get()\nexcept OSError:\n    pass", []),
    ("try:\n    yield await q.get()\nexcept GeneratorExit:\n    return", []),
    ("try:\n    yield await q.get()\nexcept Exception:\n    pass\nexcept BaseException:\n    raise", []),
    ("try:\n    x = 1\nexcept BaseException:\n    pass\nyield await q.get()", []),
    ("while True:\n    try:\n        yield await q.get()\n    except BaseException:\n        continue",
     ["PYA205"]),
    ("async for t in x: yield f'data: {t.model_dump_json()}\\n'", ["PYA601"]),
    ("async for t in x: yield f'data: {t.model_dump_json()}'", []),
    ("async for t in x: yield f'data: {t.content}'", ["PYA601", "PYA602"]),
    ("async for t in x: yield t.content", ["PYA601"]),
    ("async for t in x: yield t['text'] or ''", ["PYA601"]),
    ("async for token in x: yield token", ["PYA601"]),
    ("async for line in r.aiter_lines(): yield line", ["PYA601"]),
    ("async for line in r.aiter_lines(): yield line.strip().encode()", ["PYA601"]),
    ("async for line in r.aiter_lines(): yield line + '\\n'", []),
    ("async for line in r.aiter_lines():\n    yield line\n    yield '\\n'", []),
    ("async for line in r.aiter_lines():\n    line += '\\n\\n'\n    yield line", []),
    ("async for line in r.aiter_lines():\n    line = f(line)\n    yield line", []),
    ("async for line in r.aiter_raw(): yield line", []),
    ("async for event in x: yield event", []),
    ("async for t in x: yield 'hello '\nyield 'world'", ["PYA601"]),
    ("yield await a()\nyield", []),
    ("async for t in x:\n    yield f'event: a\\n'\n    yield f'data: {t.id}\\n'\n    yield '\\n'", []),
    ("async for t in x:\n    yield f'data: {t.id}\\n'\n    yield other", []),
    ("async for t in x: yield 'data: ' + t.content + '\\n\\n'", ["PYA602"]),
    ("async for t in x: yield 'data: %s\\n\\n' % t.content", ["PYA602"]),
    ("async for t in x: yield 'data: {}\\n\\n'.format(t.content)", ["PYA602"]),
    ("async for t in x: yield 'data: {} {}\\n\\n'.format(t.content, 1)", []),
    ("async for t in x: yield 'data: %s %s\\n\\n' % (t.content, 1)", []),
    ("async for t in x: yield f'data: {json.dumps(t.content)}\\n\\n'", []),
    ("async for t in x:\n    text = json.dumps(t.content)\n    yield f'data: {text}\\n\\n'", []),
    ("async for t in x:\n    text = await t.dumps()\n    yield f'data: {text}\\n\\n'", []),
    ("async for t in x:\n    text = f'{t}'\n    yield f'data: {text}\\n\\n'", ["PYA602"]),
    ("await a()\nfor token in ['a', 'b']: yield f'data: {token}\\n\\n'", []),
    ("await a()\nfor token in ['a\\n', 'b']: yield f'data: {token}\\n\\n'", ["PYA602"]),
    ("await a()\nfor token in range(3): yield f'data: {token}\\n\\n'", []),
    ("token = 'a'\nyield f'data: {token}\\n\\n'", []),
    ("yield f'data: {len(x)}\\n\\nid: {token}\\n\\n'", []),
    ("yield f'{x}data: {y}'", []),
    ("last = 0\nasync for e in x:\n    if now - last > 15: yield ': ping\\n\\n'\n    yield e.sse()",
     ["PYA402"]),
    ("async for e in with_pings(x):\n    if e is None: yield ': ping\\n\\n'\n    yield e.sse()", []),
    ("while True:\n    if now - last > 15: yield ': ping\\n\\n'\n    yield await q.get()", []),
    ("yield ': ready\\n\\n'\nasync for e in x: yield e.sse()", []),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), BODIES, ids=range(len(BODIES)))
def test_rules_of_generators(body: str, expected: list[str]) -> None:
    assert codes(sse(body)) == expected


# Client programs, with the codes of their diagnostics.
CLIENTS = [
    ("r = requests.post(u, json={'stream': True})\nfor l in r.iter_lines(chunk_size=1): p(l)", ["PYA104"]),
    ("r = requests.post(u, json={'stream': True}, stream=False)\nfor l in r.iter_content(1): p(l)",
     ["PYA104"]),
    ("r = requests.post(u, json={'stream': True}, stream=s)\nfor l in r.iter_content(1): p(l)", []),
    ("r = requests.post(u, json={'stream': True}, **more)\nfor l in r.iter_content(1): p(l)", []),
    ("r = requests.post(*a)\nx = {'stream': True}\nfor l in r.iter_content(1): p(l)", []),
    ("r = requests.post(u, json={'stream': True}, stream=True)\nfor l in r.iter_lines(): p(l)",
     ["PYA105"]),
    ("r = requests.post(u, json={'stream': True}, stream=True)\nfor l in r.iter_content(8192): p(l)",
     ["PYA105"]),
    ("r = requests.post(u, json={'stream': True}, stream=True)\nfor l in r.iter_content(N): p(l)", []),
    ("r = requests.post(u, json={'stream': True}, stream=True)\nfor l in r.iter_content(): p(l)", []),
    ("r = requests.post(u, json={'stream': True}, stream=True, timeout=30)", ["PYA401"]),
    ("r = requests.post(u, json={'stream': True}, stream=True, timeout=(3, 30))", ["PYA401"]),
    ("r = requests.post(u, json={'stream': True}, stream=True, timeout=(3, None))", []),
    ("r = requests.post(u, json={'stream': True}, stream=True, timeout=(3,))", []),
    ("r = httpx.post(u, json={'stream': True})\nfor l in r.iter_raw(): p(l)", ["PYA104"]),
    ("with httpx.stream('POST', '/v1/chat/completions') as r:\n    for l in r.iter_raw(): p(l)",
     ["PYA401"]),
    (("with httpx.stream('POST', '/v1/chat/completions', timeout=None) as r:\n"
     "    for l in r.iter_bytes(1024): p(l)"), ["PYA105"]),
    ("with httpx.stream('POST', '/v1/chat/completions', timeout=60) as r: pass", ["PYA401"]),
    ("T = httpx.Timeout(10.0)\nx = 'text/event-stream'\nc = httpx.Client(timeout=T)\nc.stream('GET', u)",
     ["PYA401"]),
    ("x = 'text/event-stream'\nc = httpx.Client(timeout=httpx.Timeout(5, read=600))\nc.stream('GET', u)",
     []),
    ("x = 'text/event-stream'\nc = httpx.Client(timeout=settings.timeout)\nc.stream('GET', u)", []),
    ("x = 'text/event-stream'\nc = httpx.Client(timeout=unknown)\nc.stream('GET', u)", []),
    ("x = 'text/event-stream'\nc = httpx.Client(timeout=httpx.Timeout())\nc.stream('GET', u)", []),
    ("x = b'data: '\nself.c = httpx.Client()\nself.c.stream('GET', u)", ["PYA401"]),
    ("x = b'data: '\nself.c = httpx.Client()\nself.c = None\nself.c.stream('GET', u)", []),
    ("x = b'data: '\nopen().stream('GET', u)\nstream('GET', u)", []),
    ("a = a\nx = 'data:'\nc = httpx.Client(timeout=a)\nc.stream('GET', u)", []),
    ("for t in client.chat.completions.create(messages=[{'stream': True}]): p(t)", ["PYA104"]),
    ("for t in client.chat.completions.create(): p('data: ')", ["PYA104"]),
    ("for t in client.chat.completions.create(stream=True): p('data: ')", []),
    ("for r in x:\n    for l in r.iter_lines(chunk_size=1): p('data: ')", []),
    ("r = requests.get('https://example.org/large.csv')\nfor l in r.iter_lines(): p(l)", []),
]  # fmt: skip


@pytest.mark.parametrize(("body", "expected"), CLIENTS, ids=range(len(CLIENTS)))
def test_rules_of_clients(body: str, expected: list[str]) -> None:
    package = "httpx" if "httpx" in body else "requests"
    assert codes(f"import {package}\n{body}\n") == expected


def test_iter_lines_of_httpx_is_not_that_of_requests() -> None:
    reader = "    for line in r.iter_lines(): p('data: ')\n"
    assert codes(f"import httpx\nwith httpx.stream('GET', u, timeout=None) as r:\n{reader}") == []
    both = "import httpx, requests\nwith s.get(u) as r:\n" + reader
    assert codes(both) == ["PYA105"]


MEDIA = [
    ("text/event-stream", RouteOutcome.STREAMS),
    ("application/x-ndjson", RouteOutcome.STREAMS),
    ("text/plain", RouteOutcome.MAYBE),
    ("text/csv", RouteOutcome.UNKNOWN),
    ("video/mp4", RouteOutcome.UNKNOWN),
]


@pytest.mark.parametrize(("media", "outcome"), MEDIA)
def test_the_media_type_shows_whether_a_response_streams(media: str, outcome: RouteOutcome) -> None:
    text = sse("async for e in x: yield e.part()", media=media).replace("/v1/events", "/parts")
    (route,) = lint_program("python-app", "app/f.py", text).routes
    assert route.outcome is outcome
    assert route.hop is not None
    assert (route.hop.title, route.hop.names) == ("FastAPI application", ("app",))


def outcome(text: str, **options: object) -> list[tuple[str, RouteOutcome]]:
    found = lint_program("python-app", "f.py", text, **options).routes
    return [(one.name, one.outcome) for one in found]


def test_the_generator_the_path_or_the_upstream_shows_a_stream() -> None:
    plain = f"{HEAD}@app.get('/x')\ndef f():\n    return StreamingResponse(g())\n"
    assert outcome(plain) == [("/x", RouteOutcome.UNKNOWN)]
    assert outcome(plain, stream_paths=("/x",)) == [("/x", RouteOutcome.STREAMS)]
    assert outcome(plain, stream_paths=("/y",)) == [("/x", RouteOutcome.UNKNOWN)]
    events = "async def g():\n    yield b'event: a\\n\\n'\n"
    assert outcome(plain + events) == [("/x", RouteOutcome.STREAMS)]
    joined = "async def g():\n    for t in x: yield 'data: ' + t\n"
    assert outcome(plain + joined) == [("/x", RouteOutcome.STREAMS)]
    chained = "async def g():\n    yield x.a().b().c().d().e()\n"
    assert outcome(plain + chained) == [("/x", RouteOutcome.MAYBE)]
    model = "async def g():\n    async for t in llm.astream('x'): yield t\n"
    assert outcome(plain + model) == [("/x", RouteOutcome.STREAMS)]
    chat = plain.replace("/x", "/v1/chat/completions")
    assert outcome(chat) == [("/v1/chat/completions", RouteOutcome.STREAMS)]
    download = plain.replace("/x", "/static/x") + "def g():\n    yield 1\n"
    assert outcome(download) == [("/static/x", RouteOutcome.UNKNOWN)]
    dynamic = plain.replace("g())", "g(), media_type=kind)")
    assert outcome(dynamic) == [("/x", RouteOutcome.UNKNOWN)]


def test_responses_of_other_frameworks() -> None:
    flask = "from flask import Flask, Response\napp = Flask('a')\n"
    assert outcome(f"{flask}Response((x for x in y), mimetype='text/event-stream')") == [
        ("the response", RouteOutcome.STREAMS)
    ]
    assert outcome(f"{flask}Response('text')\nResponse(text)\nResponse(f(x))\nResponse()\n") == []
    assert outcome(
        f"{flask}r = requests.get(u)\nit = r.iter_content(1)\nResponse(it, headers=h)"
    ) == [("the response", RouteOutcome.UNKNOWN)]
    quart = "from quart import Quart, Response\nasync def g():\n    yield b'data: 1\\n\\n'\nResponse(g())"
    assert outcome(quart) == [("the response", RouteOutcome.STREAMS)]
    starlette = "from starlette.responses import StreamingResponse\nStreamingResponse(content=g)\n"
    assert outcome(starlette) == [("the response", RouteOutcome.UNKNOWN)]
    undam = (
        "from undam.asgi import EventStream\nasync def g():\n    for t in x: yield t\n"
        "async def app(scope, receive, send):\n    await EventStream(g(), heartbeat=5)(scope)\n"
    )
    (route,) = lint_program("python-app", "f.py", undam).routes
    assert route.hop is not None
    assert (route.hop.title, route.hop.heartbeat_s) == ("undam.asgi application", 5)
    assert codes(undam) == []
    aiohttp = "from aiohttp import web\nr = web.StreamResponse()\n"
    assert outcome(aiohttp) == [("the response", RouteOutcome.UNKNOWN)]
    plain = "@app.get('/a')\ndef f(): return 'x'\n@app.get('/b', response_class=EventSourceResponse)\nasync def g(): ...\n"
    assert outcome(f"{HEAD}{plain}# StreamingResponse") == []


def test_generators_are_followed_through_variables_methods_and_helpers() -> None:
    followed = """
class Chat:
    def parts(self):
        yield from self.inner_parts()
    def inner_parts(self):
        time.sleep(1)
        yield b"data: 1\\n\\n"
async def outer():
    async for x in inner(): yield x
async def inner():
    time.sleep(1)
    yield b"data: 1\\n\\n"
@app.get("/v1/events")
async def handler():
    content = wrap(outer())
    return StreamingResponse(await content, headers=h)
@app.get("/v1/sync")
async def sync():
    chat = Chat()
    return StreamingResponse(chat.parts(), headers=h)
@app.get("/v1/other")
async def other():
    time.sleep(1)
    return StreamingResponse(outer, headers=h)
"""
    found = lint_program("python-app", "f.py", HEAD + followed).diagnostics
    assert [(one.rule.code, one.severity) for one in found] == [
        ("PYA108", Severity.INFO),
        ("PYA108", Severity.INFO),
        ("PYA106", Severity.ERROR),
        ("PYA106", Severity.WARNING),
    ]


def test_the_hop_of_a_relay_has_its_upstream_and_its_limit() -> None:
    relay = "async with httpx.AsyncClient() as c:\n    async with c.stream('GET', 'http://vllm:8000/x') as r:\n        async for b in r.aiter_bytes(9): yield b"
    (route,) = lint_program("python-app", "backend/f.py", sse(relay)).routes
    assert route.hop is not None
    assert (route.hop.names, route.hop.upstreams) == (("backend",), ("vllm",))
    assert (route.hop.idle_limit_s, route.hop.buffers, route.hop.compresses) == (5, True, None)


def test_headers_in_variables_and_statements_count() -> None:
    base = sse("async for e in x: yield e.sse()")
    assert codes(base.replace(HEADERS, "headers={}")) == ["PYA202"]
    assert codes(base.replace(HEADERS, "headers=make()")) == []
    assert codes(base.replace(HEADERS, "headers={**COMMON}")) == []
    assert (
        codes(base.replace(HEADERS, "headers={'Cache-Control': cache, 'X-Accel-Buffering': 'no'}"))
        == []
    )
    one = base.replace(HEADERS, "headers={'Cache-Control': 'no-cache', 'X-Accel-Buffering': 'no'}")
    (found,) = lint_program("python-app", "f.py", one).diagnostics
    assert [edit.text for edit in found.edits] == [", no-transform"]
    empty = base.replace(HEADERS, "headers={}")
    (found,) = lint_program("python-app", "f.py", empty).diagnostics
    assert [edit.text[:1] for edit in found.edits] == ['"']
    some = base.replace(HEADERS, "headers={'Cache-Control': 'no-transform'}")
    (found,) = lint_program("python-app", "f.py", some).diagnostics
    assert [edit.text for edit in found.edits] == [', "X-Accel-Buffering": "no"']
    accel = base.replace(HEADERS, "headers=H")
    accel = accel.replace(HEAD, f"{HEAD}H = {{'X-Accel-Buffering': 'no'}}\n")
    (found,) = lint_program("python-app", "f.py", accel).diagnostics
    assert len(found.edits) == 1


def test_parameters_that_are_not_prompts_are_not_reported() -> None:
    text = (
        f"{HEAD}async def g(): yield b'data: 1\\n\\n'\n@app.post('/v1/%s')\nasync def f(%s):\n"
        f"    return StreamingResponse(g(), {HEADERS})\n"
    )
    assert codes(text % ("a", "prompt: str")) == ["PYA203"]
    assert codes(text % ("a", "message: str | None = None")) == ["PYA203"]
    for path, parameter in (
        ("{prompt}", "prompt: str"), ("a", "prompt: str = Body()"), ("a", "user: str"),
        ("a", "prompt"), ("a", "prompt: Prompt"),
    ):  # fmt: skip
        assert codes(text % (path, parameter)) == []


def test_a_decorator_of_fastapi_and_the_headers_of_a_dictionary() -> None:
    text = sse("async for e in x: yield e.sse()").replace("@app.get", "@login\n@app.get")
    assert outcome(text) == [("/v1/events", RouteOutcome.STREAMS)]
    numbered = text.replace(HEADERS, "headers={1: 2, 'X-Accel-Buffering': 'no'}")
    assert codes(numbered) == ["PYA202"]
    nested = text.replace("events(),", "a(b(c(d(e(f(x)))))),")
    assert codes(nested) == []


def test_the_context_of_flask_is_kept_by_a_decorator_or_a_copy() -> None:
    text = """
from flask import Flask, request, stream_with_context
app = Flask("a")
@app.get("/v1/events")
def f():
    @stream_with_context
    def g():
        yield f"data: {request.args['a']}\\n\\n"
    return app.response_class(g(), headers=h)
"""
    assert codes(text) == []
    lost = text.replace("    @stream_with_context\n", "")
    assert codes(lost) == ["PYA204"]
    named = lost.replace("g(), headers=h", "response=g(), headers=h")
    (found,) = lint_program("python-app", "f.py", named).diagnostics
    assert found.edits == ()


GZIP = "from fastapi.middleware.gzip import GZipMiddleware\napp.add_middleware(GZipMiddleware)\n"


@pytest.mark.parametrize(
    ("media", "version", "severity"),
    [
        ("text/event-stream", None, Severity.INFO),
        ("text/event-stream", "0.45.3", Severity.ERROR),
        ("text/event-stream", "0.46.0", None),
        ("application/x-ndjson", None, Severity.WARNING),
        ("application/x-ndjson", "1.4.1", Severity.ERROR),
        ("application/x-ndjson", "1.5.0", None),
    ],
)
def test_the_version_of_starlette_decides_whether_gzip_holds(
    media: str, version: str | None, severity: Severity | None
) -> None:
    text = sse("async for e in x: yield e.sse()", media=media, before=GZIP)
    pins = [("requirements.txt", f"starlette[full]=={version}\n")] if version else []
    neighbours = neighbours_from(pins)
    found = lint_program("python-app", "f.py", text, neighbours=neighbours).diagnostics
    assert [one.severity for one in found] == ([] if severity is None else [severity])


def test_versions_are_read_from_lock_files_and_lists_of_requirements() -> None:
    lock = ("uv.lock", '[[package]]\nname = "starlette"\nversion = "0.41.3"\n')
    listed = ("pyproject.toml", 'dependencies = [\n  "Django==5.2.19",\n  "starlette>=1",\n]\n')
    targets = neighbours_from([lock, listed]).targets
    assert targets == {"starlette": Version((0, 41, 3)), "django": Version((5, 2, 19))}
    assert neighbours_from([lock, ("requirements.txt", "starlette==1.0\n")]).targets == {}


def test_gzip_of_django_leaves_asynchronous_streams_alone() -> None:
    text = """
from django.http import StreamingHttpResponse
M = ["django.middleware.gzip.GZipMiddleware"]
def view(request):
    {} events():
        yield e.sse()
    return StreamingHttpResponse(events(), content_type="text/event-stream", headers=h)
"""
    assert codes(text.format("def")) == ["PYA109"]
    assert codes(text.format("async def")) == []
    assert codes(text.format("def").replace("def view", "@login\ndef view")) == ["PYA109"]
    known = Neighbours(targets={"django": Version((6, 1, 3))})
    assert codes(text.format("def"), neighbours=known) == []
    ndjson = text.format("def").replace("text/event-stream", "application/x-ndjson")
    assert codes(ndjson) == ["PYA109"]


MIDDLEWARE = """
from starlette.middleware.base import BaseHTTPMiddleware
class Log(BaseHTTPMiddleware):
    async def dispatch(self, request, call_next):
        response = await call_next(request)
        {}
        return response
@app.middleware("http")
async def stamp(request, call_next): ...
@app.middleware
def no(): ...
@app.middleware("websocket")
def neither(): ...
"""


def test_middleware_that_collects_the_body() -> None:
    collects = "body = [part async for part in response.body_iterator]"
    guarded = f"if 'event-stream' not in response.content_type: {collects}"
    copies = "response.body_iterator = copied(response.body_iterator)"
    text = sse("async for e in x: yield e.sse()")
    assert codes(text + MIDDLEWARE.format(collects)) == ["PYA103", "PYA102", "PYA103"]
    assert codes(text + MIDDLEWARE.format(guarded)) == ["PYA103"] * 2
    assert codes(text + MIDDLEWARE.format(copies)) == ["PYA103"] * 2
    (found,) = lint_program("python-app", "f.py", MIDDLEWARE.format(collects)).diagnostics
    assert (found.rule.code, found.severity) == ("PYA102", Severity.INFO)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("x = 1\nprint 'Python 2'\n", 2),
        ("def f(:\n", 1),
        ("x = '\0'", 1),
        ("(" * 500, 1),
        ("-" * 200_000 + "1", 1),
    ],
)
def test_text_that_is_not_python_is_a_syntax_error(text: str, line: int) -> None:
    with pytest.raises(ConfigSyntaxError) as error:
        parse_program(Source("f.py", text))
    assert error.value.line == line


def test_positions_count_characters_and_any_line_ending() -> None:
    text = sse("é = 'ü'; time.sleep(1); yield e.sse()").replace("\n", "\r\n")
    (found,) = lint_program("python-app", "f.py", text).diagnostics
    marked = text.split("\r\n")[found.line - 1][found.column - 1 :][: found.length]
    assert marked == "time.sleep"
    program = parse_program(Source("f.py", "a = 1\rb = 2\r\nc = 3"))
    assert [program.start(one) for one in program.tree.body] == [0, 6, 13]


def test_invalid_escape_sequences_give_no_warning() -> None:
    assert codes("x = '\\d'\n") == []


def test_tests_and_other_files_are_not_recognised() -> None:
    text = "return StreamingResponse(x)"
    assert DIALECT.recognises("src/app.py", text)
    assert DIALECT.recognises("contest.py", text)
    for name in ("test_app.py", "a/app_test.py", "conftest.py", "app.pyi", "app.txt"):
        assert not DIALECT.recognises(name, text)
    assert not DIALECT.recognises("app.py", "print(1)")


def test_long_texts_are_read_as_far_as_needed() -> None:
    long = "yield " + "'a' + " * 100 + "'b'"
    assert codes(sse(f"await x\n{long}")) == []
    assert len(pieces(ast.parse("'a' + " * 100 + "'b'", mode="eval").body)) < 100
    chain = "a" + ".b()" * 100
    assert codes(sse(f"await x\n{chain}\nyield e.sse()")) == []


def test_rendered_program_has_no_diagnostics() -> None:
    text = DIALECT.render(RenderRequest(upstream="http://127.0.0.1:9000", path="/v1/"))
    assert codes(text) == []
    assert '"/v1/{rest:path}"' in text


def test_damaged_programs_give_findings_or_a_syntax_error() -> None:
    for file in corpus_files("python_app"):
        text = file.read_text("utf-8")
        for cut in range(0, len(text), 211):
            assert robustness_faults(DIALECT, text[:cut]) == []
            assert robustness_faults(DIALECT, text[:cut] + text[cut + 40 :]) == []


def test_compression_of_streams_in_other_files_is_a_remark() -> None:
    app = f"{HEAD}{GZIP}"
    assert codes(app) == []
    for included in ("app.include_router(chat.router)\n", "app.mount('/a', other)\n"):
        (found,) = lint_program("python-app", "f.py", app + included).diagnostics
        assert (found.rule.code, found.severity) == ("PYA101", Severity.INFO)
        assert found.message.startswith("if anything here streams: ")
    django = "MIDDLEWARE = ['django.middleware.gzip.GZipMiddleware']\n"
    (found,) = lint_program("python-app", "settings.py", django).diagnostics
    assert (found.rule.code, found.severity) == ("PYA109", Severity.INFO)


@pytest.mark.parametrize(
    ("registration", "name"),
    [
        ("routes = [Route('/v1/events', handler)]", "/v1/events"),
        ("urlpatterns = [path('v1/events', handler)]", "/v1/events"),
        ("app.add_route('/v1/events', other)", "handler()"),
        ("app.add_route('/v1/events')", "handler()"),
    ],
)
def test_the_path_may_be_registered_beside_the_handler(registration: str, name: str) -> None:
    text = sse("async for e in x: yield e.sse()").replace('@app.get("/v1/events")\n', "")
    assert outcome(f"{text}{registration}\n") == [(name, RouteOutcome.STREAMS)]


@pytest.mark.parametrize(
    ("body", "heartbeat_s"),
    [
        ("while True:\n    e = await asyncio.wait_for(q.get(), 20)\n    yield ': ping\\n\\n'", 20),
        ("while True:\n    e = await asyncio.wait_for(q.get(), timeout=9)\n    yield ':\\n\\n'", 9),
        ("while True:\n    e = await asyncio.wait_for(q.get(), LIMIT)\n    yield ':\\n\\n'", None),
        ("while True:\n    print(await q.get())\n    yield ':\\n\\n'", None),
        ("while True:\n    e = await asyncio.wait_for(q.get(), 20)\n    yield e.sse()", None),
    ],
)
def test_the_interval_of_heartbeats_is_that_of_the_wait(
    body: str, heartbeat_s: float | None
) -> None:
    (route,) = lint_program("python-app", "f.py", sse(body)).routes
    assert route.hop is not None
    assert route.hop.heartbeat_s == heartbeat_s


def test_response_classes_send_heartbeats_of_their_own() -> None:
    text = "from sse_starlette import EventSourceResponse\nEventSourceResponse(g()%s)\n"
    for option, expected in (("", 15), (", ping=5", 5), (", ping=PING", None)):
        (route,) = lint_program("python-app", "f.py", text % option).routes
        assert route.hop is not None
        assert route.hop.heartbeat_s == expected


def test_flask_may_return_a_generator_with_headers() -> None:
    text = """
from flask import Flask, session
app = Flask("a")
def generate():
    yield "data: a\\n\\n"
    yield f"data: {session['user']}\\n\\n"
@app.get("/v1/events")
def f():
    return generate(), 200, {"Content-Type": "text/event-stream"}
@app.get("/other")
def g():
    return {"a": 1}, {}
@app.get("/plain")
def h():
    return other()
@app.get("/last")
def i():
    return
"""
    assert outcome(text) == [("/v1/events", RouteOutcome.STREAMS)]
    found = lint_program("python-app", "f.py", text).diagnostics
    assert [one.rule.code for one in found] == ["PYA204", "PYA202"]
    assert found[0].edits[0].text == "stream_with_context("
    bare = text.replace(', 200, {"Content-Type": "text/event-stream"}', "")
    assert outcome(bare) == [("/v1/events", RouteOutcome.STREAMS)]
    assert codes(bare) == ["PYA204"]
    later = bare.replace(
        "    return generate()",
        "    h['Content-Type'] = 'text/event-stream'\n    return generate()",
    )
    assert codes(later) == ["PYA204"]
    named = text.replace('{"Content-Type": "text/event-stream"}', "HEADERS")
    named = f'HEADERS = {{"Content-Type": "text/event-stream"}}\n{named}'
    assert codes(named) == ["PYA204", "PYA202"]
    quart = text.replace("flask", "quart").replace("Flask", "Quart")
    assert codes(quart) == ["PYA202", "PYA403"]


def test_a_variable_named_token_may_be_an_event_already() -> None:
    (found,) = lint_program(
        "python-app", "f.py", sse("async for token in x: yield token")
    ).diagnostics
    assert (found.rule.code, found.severity) == ("PYA601", Severity.WARNING)
    (found,) = lint_program("python-app", "f.py", sse("async for t in x: yield t.text")).diagnostics
    assert (found.rule.code, found.severity) == ("PYA601", Severity.ERROR)


QUART_STREAM = """\
from quart import Quart, make_response
APP
async def chat():
    async def events():
        async for event in source():
            yield event.sse()
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-transform",
               "X-Accel-Buffering": "no"}
    response = await make_response(events(), headers)
    OWN
    return response
"""


@pytest.mark.parametrize(
    ("app", "own", "expected"),
    [
        ("app = Quart(__name__)", "pass", ["error"]),
        ("", "pass", ["warning"]),
        ("app = Quart(__name__)", "response.timeout = None", []),
        ("", "response.timeout = 600", ["warning"]),
        ("", "response.timeout = limit()", []),
        ("", "response.other = 1", ["warning"]),
        ('app = Quart("a"); app.config["RESPONSE_TIMEOUT"] = None', "pass", []),
        ('app = Quart("a"); app.config["RESPONSE_TIMEOUT"] = 30', "pass", ["error"]),
        ('app = Quart("a"); app.config["RESPONSE_TIMEOUT"] = 30', "response.timeout = None", []),
        ('app = Quart("a"); app.config["BODY_TIMEOUT"] = 30', "pass", ["error"]),
        ("app = Quart('a'); app.config.update(RESPONSE_TIMEOUT=7200)", "pass", []),
    ],
)
def test_quart_limits_the_duration_of_a_response(app: str, own: str, expected: list[str]) -> None:
    text = QUART_STREAM.replace("APP", app).replace("OWN", own)
    found = lint_program("python-app", "a.py", text).diagnostics
    assert [one.severity for one in found if one.rule.code == "PYA403"] == expected
    assert codes(text.replace("quart", "flask").replace("Quart", "Flask")) == []
