"""JavaScript and TypeScript programs: detection of routes, rules and positions."""

# ruff: noqa: E501 (each case of a table is one line)
from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from tree_sitter import Node

from support.mutations import robustness_faults
from support.program_corpus import codes_of, corpus_faults, corpus_files, lint_program
from undam.errors import ConfigSyntaxError, MissingExtra
from undam.lint import RenderRequest, RouteOutcome, dialect_named
from undam.lint.dialects.javascript_app import parser
from undam.rules import Severity

DIALECT = dialect_named("javascript-app")
FREE = '"Cache-Control": "no-transform", "X-Accel-Buffering": "no"'
SSE = f'res.writeHead(200, {{ "Content-Type": "text/event-stream", {FREE} }});'


def codes(text: str, path: str = "f.js", **options: object) -> list[str]:
    return codes_of("javascript-app", path, text, **options)


def routes(text: str, path: str = "f.js", **options: object) -> list[tuple[str, RouteOutcome]]:
    found = lint_program("javascript-app", path, text, **options).routes
    return [(one.name, one.outcome) for one in found]


def test_the_corpus_has_the_diagnostics_that_its_files_expect() -> None:
    files = corpus_files("javascript_app")
    assert sum(file.name.startswith("healthy") for file in files) >= 8
    assert sum(file.name.startswith("faulty") for file in files) >= 8
    assert corpus_faults("javascript-app", "javascript_app") == []


# Expressions with the string text/event-stream, and whether the string is a response type.
TYPES = [
    ('res.setHeader("Content-Type", "text/event-stream")', True),
    ('ctx.type = "text/event-stream"', True),
    ('x = "text/event-stream"', False),
    ('new Response(s, { headers: { "content-type": "text/event-stream; charset=utf-8" } })', True),
    ('fetch(u, { headers: { "Content-Type": "text/event-stream" } })', False),
    ('fetch(u, { headers: { Accept: "text/event-stream" } })', False),
    ('req.set("Accept", "text/event-stream")', False),
    ('if (type.includes("text/event-stream")) read()', False),
    ('const h = { "Content-Type": "text/event-stream" }', True),
    ('return "text/event-stream"', False),
    ("result.toDataStreamResponse()", True),
    ("return streamSSE(c, send)", True),
]


@pytest.mark.parametrize(("text", "streams"), TYPES)
def test_event_streams_that_a_program_sends_are_routes(text: str, streams: bool) -> None:
    assert bool(routes(f"function f() {{ {text} }}")) == streams


def test_the_path_is_that_of_the_registration_or_of_the_file() -> None:
    assert routes(f"app.get('/a', (req, res) => {{ {SSE} }})") == [("/a", RouteOutcome.STREAMS)]
    assert routes(f"app.get(path, (req, res) => {{ {SSE} }})")[0][0] == "the response"
    handler = f"export function GET() {{ {SSE} }}"
    assert routes(handler, "app/(chat)/api/x/route.ts")[0][0] == "/api/x"
    assert routes(handler, "src/pages/api/x.ts")[0][0] == "/api/x"
    registered = f"app.get('/a', (req, res) => {{ {SSE} }})"
    assert routes(registered, stream_paths=("/b",)) == [("/a", RouteOutcome.UNKNOWN)]
    calling = f"{handler.replace('{', '{ fetch(`http://vllm:8000/v1`);', 1)} // {SSE}"
    (route,) = lint_program("javascript-app", "web/f.js", calling).routes
    assert route.hop is not None
    assert (route.hop.names, route.hop.upstreams) == (("web",), ("vllm",))
    assert (route.hop.compresses, route.hop.buffers) == (None, None)


EXPRESS = "const compression = require('compression');\nconst app = require('express')();\n"
HANDLER = (
    "app.get('/events', (req, res) => { res.set('X-Accel-Buffering', 'no');"
    " res.set('Content-Type', 'text/event-stream'); });\n"
)
# Programs that use compression, and whether the compression holds the stream.
COMPRESSION = [
    (f"app.use(compression());\n{HANDLER}", True),
    (f"{HANDLER}app.use(compression());\n", False),
    (f"app.use(compression({{ filter: f }}));\n{HANDLER}", False),
    (f"app.use(compression({{}}));\n{HANDLER}", True),
    (f"app.use(compression(config));\n{HANDLER}", False),
    (f"app.use('/static', compression());\n{HANDLER}", False),
    (f"app.use('/events', compression());\n{HANDLER}", True),
    (f"app.get('/other', compression(), f);\n{HANDLER}", False),
    (HANDLER.replace("'/events', ", "'/events', compression(), "), True),
    (f"const c = compression();\n{HANDLER}", True),
    (f"app.use(other());\nlib.compression();\n(f)();\n{HANDLER}", False),
    (f"app.use(require('compression')());\n{HANDLER}", True),
    (f"app.use(require(name)());\nrequire();\n{HANDLER}", False),
    (f"app.register(other, {{}});\napp.register();\n{HANDLER}", False),
]


@pytest.mark.parametrize(("text", "held"), COMPRESSION, ids=range(len(COMPRESSION)))
def test_compression_without_a_filter_holds_the_streams_after_it(text: str, held: bool) -> None:
    found = [one for one in codes(EXPRESS + text) if one != "JSA201"]
    assert found == (["JSA101"] if held else [])


def test_compression_without_a_stream_in_the_file_is_a_remark() -> None:
    (found,) = lint_program(
        "javascript-app", "f.js", EXPRESS + "app.use(compression());"
    ).diagnostics
    assert (found.severity, found.edits) == (Severity.INFO, ())


def test_fastify_compresses_streams_only_if_their_type_is_listed() -> None:
    head = "import compress from '@fastify/compress';\nfastify.register(compress, %s);\n"
    stream = "fastify.get('/x', (request, reply) => { reply.headers({ 'Content-Type': 'text/event-stream' }); });"
    listed = head % "{ customTypes: /event-stream/ }"
    assert "JSA101" in codes(listed + stream)
    assert "JSA101" not in codes(head % "{ customTypes: /json/ }" + stream)
    assert "JSA101" not in codes(head % "{}" + stream)
    assert "JSA101" in codes(
        listed.replace("compress,", "require('@fastify/compress'),", 1) + stream
    )
    raw = stream.replace("reply.headers(", "reply.raw.writeHead(200, ")
    assert "JSA101" not in codes(listed + raw)


def test_koa_gets_a_filter_by_type() -> None:
    text = "const c = require('koa-compress');\napp.use(c({ br: false }));\n"
    handler = "app.use((ctx) => { ctx.type = 'text/event-stream'; });"
    found = lint_program("javascript-app", "f.js", text + handler).diagnostics
    assert [edit.text for edit in found[0].edits] == [
        " filter: (type) => !/event-stream/.test(type),"
    ]


NEXT = "module.exports = { %s async rewrites() { return [%s]; } };"
REWRITE = "{ source: '/v1/chat/completions', destination: 'http://vllm:8000/v1' }"


def test_rewrites_of_next_hold_streams_and_have_a_limit() -> None:
    assert codes(NEXT % ("", REWRITE)) == ["JSA103", "JSA401"]
    assert codes(NEXT % ("compress: true,", REWRITE)) == ["JSA103", "JSA401"]
    assert codes(NEXT % ("compress: false,", REWRITE)) == ["JSA401"]
    assert codes(NEXT % ("compress: dev,", REWRITE), heartbeat_s=10) == []
    inner = REWRITE.replace("http://vllm:8000", "")
    assert codes(NEXT % ("", inner)) == []
    assert codes(NEXT.replace("rewrites", "redirects") % ("", REWRITE)) == []
    assert codes(f"const list = [{REWRITE}];") == []
    function = f"const rewrites = async () => [{REWRITE}];\nmodule.exports = {{ other: 1 }};"
    assert codes(function) == []


@pytest.mark.parametrize(
    ("experimental", "expected"),
    [
        ("experimental: { proxyTimeout: 10_000 },", ["JSA401"]),
        ("experimental: { proxyTimeout: LIMIT },", []),
        ("experimental: { proxyTimeout: 600000 },", []),
        ("experimental: {},", ["JSA401"]),
        ("experimental: { ppr: true },", ["JSA401"]),
    ],
)
def test_the_limit_of_rewrites(experimental: str, expected: list[str]) -> None:
    text = NEXT % (f"compress: false, {experimental}", REWRITE)
    found = lint_program("javascript-app", "f.js", text).diagnostics
    assert [one.rule.code for one in found] == expected
    assert all(len(one.edits) == 1 for one in found)


def test_a_rewrite_of_every_path_of_a_backend_may_stream() -> None:
    every = REWRITE.replace("/v1/chat/completions", "/api/:path*").replace("vllm", "backend")
    result = lint_program("javascript-app", "f.js", NEXT % ("", every))
    (found,) = result.diagnostics
    hop = result.routes[0].hop
    assert hop is not None
    assert (hop.compresses, hop.buffers, hop.idle_limit_s) == (True, True, 30)
    assert (found.rule.code, found.severity) == ("JSA103", Severity.INFO)
    static = every.replace("/api/", "/static/")
    assert codes(NEXT % ("", static)) == []
    dynamic = every.replace("http://backend:8000", "${process.env.URL}").replace("'", "`")
    assert routes(NEXT % ("", dynamic)) == [("/api/:path*", RouteOutcome.MAYBE)]
    assert routes(NEXT % ("", every), stream_paths=("/v2",)) == [
        ("/api/:path*", RouteOutcome.UNKNOWN)
    ]


def test_proxies_of_development_servers() -> None:
    webpack = "module.exports = { devServer: { %s } };"
    entry = "'/v1/chat/completions': 'http://localhost:8000'"
    assert codes(webpack % f"proxy: {{ {entry} }}") == ["JSA105"]
    assert codes(webpack % f"compress: true, proxy: {{ {entry} }}") == ["JSA105"]
    assert codes(webpack % f"compress: false, proxy: {{ {entry} }}") == []
    listed = "proxy: [{ context: ['/v1/chat/completions', '/a'], target }, { target: t }, other]"
    assert "JSA105" in codes(webpack % listed)
    assert codes(webpack % "proxy: { ...more }") == []
    assert codes(webpack % "port: 1") == []
    vite = f"export default defineConfig({{ server: {{ proxy: {{ {entry} }} }} }});"
    assert routes(vite) == [("/v1/chat/completions", RouteOutcome.STREAMS)]
    assert codes(vite) == []


def test_proxy_middleware_takes_its_path_from_arguments_options_or_registration() -> None:
    for text in (
        "app.use('/v1/chat/completions', createProxyMiddleware({ target }));",
        "createProxyMiddleware('/v1/chat/completions', { target: 'http://a' });",
        "createProxyMiddleware({ pathFilter: '/v1/chat/completions' });",
    ):
        assert routes(text) == [("/v1/chat/completions", RouteOutcome.STREAMS)]
    assert routes("createProxyMiddleware();") == [("/", RouteOutcome.MAYBE)]


HANDLER_104 = "app.post('/chat', async (req, res) => { %s });"
STREAM_104 = "const r = await fetch(u, { body: JSON.stringify({ stream: true }) });"
# Handler bodies, and whether the handler collects the stream that it requests.
COLLECTING = [
    (f"{STREAM_104} res.json(await r.json());", True),
    (f"{STREAM_104} if (!r.ok) res.send(await r.text()); r.body.pipe(res);", False),
    (f"{STREAM_104} if (req.body.x) res.send(await r.text());", True),
    (f"{STREAM_104} res.send(await r.body.text());", False),
    (f"{STREAM_104} other.json();", False),
    ("const b = { stream: true }; const r = await fetch(u, { body: b }); res.send(await r.text());", True),
    ("const b = { x: 1 }; const r = await fetch(u, { body: b }); res.send(await r.text());", False),
    ("const r = await fetch(u); res.send(await r.text());", False),
    ("const r = parse(u); res.send(await r.text());", False),
    ("let t = ''; for await (const c of await o.create({ stream: true })) t += c; res.send(t);", True),
    ("let t = ''; const s = await o.create({ stream: true }); for await (const c of s) t += c; return t;",
     True),
    ("let t = ''; const s = await o.create({ stream: true }); for await (const c of s) t += c;", False),
    ("const s = await o.create({ stream: true }); for await (const c of s) res.write(c); res.end();", False),
    ("const s = await o.create({ stream: true }); for await (const c of s) { t += c; on(c); } res.end();",
     True),
    ("const s = await o.create({}); for await (const c of s) t += c; res.send(t);", False),
    ("for await (const c of other) t += c; res.send(t);", False),
    ("for (const c of o.create({ stream: true })) t += c; res.send(t);", False),
]  # fmt: skip


@pytest.mark.parametrize(("body", "collects"), COLLECTING, ids=range(len(COLLECTING)))
def test_handlers_that_collect_a_stream(body: str, collects: bool) -> None:
    assert codes(HANDLER_104 % body) == (["JSA104"] if collects else [])


def test_functions_that_answer_no_request_may_collect() -> None:
    body = f"{STREAM_104} return r.text();"
    assert codes(f"async function ask(text) {{ {body} }}") == []
    assert codes(f"const ask = async (text) => {{ {body} }}") == []
    assert codes(f"const ask = async text => {{ {body} }}") == []
    assert codes(f"export async function POST() {{ {body} }}") == ["JSA104"]
    assert codes(f"{STREAM_104} await r.text();") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("new EventSource('/a');", []),
        ("new Other('/a');" * 9, []),
        ("new EventSource('/a');" * 7, ["JSA301"]),
        ("while (x) new EventSource('/a');", ["JSA301"]),
        ("ids.map((id) => new EventSource(id));", ["JSA301"]),
        ("for (const a of b) { run(() => new EventSource(a)); }", []),
    ],
)
def test_connections_of_browsers(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


def test_headers_are_added_beside_the_type() -> None:
    def fixes(text: str) -> list[str]:
        found = lint_program("javascript-app", "f.js", text).diagnostics
        assert [one.rule.code for one in found] == ["JSA201"]
        return [edit.text for edit in found[0].edits]

    pair = "new Response(s, { headers: { 'Content-Type': 'text/event-stream', %s } });"
    assert fixes(pair % "'X-Accel-Buffering': 'no'") == [
        ", 'Cache-Control': 'no-cache, no-transform'"
    ]
    assert fixes(pair % "'X-Accel-Buffering': 'no', 'Cache-Control': 'no-cache'") == [
        ", no-transform"
    ]
    assert fixes(pair % "'X-Accel-Buffering': 'no', 'Cache-Control': cache")[0].startswith(
        ", 'Cache"
    )
    assert fixes(pair % "'Cache-Control': 'no-transform'") == [", 'X-Accel-Buffering': 'no'"]
    call = "res.setHeader('Content-Type', 'text/event-stream'); %s"
    assert fixes(call % "send();") == [
        (
            " res.setHeader('Cache-Control', 'no-cache, no-transform');"
            " res.setHeader('X-Accel-Buffering', 'no');"
        )
    ]
    assert fixes("a(res.setHeader('Content-Type', 'text/event-stream'));") == []
    assert fixes("res.set('Content-Type', 'text/event-stream');") == []
    assert fixes("ctx.type = 'text/event-stream';") == []
    assert codes("result.toDataStreamResponse();") == []


READ = "const d = new TextDecoder();\nwhile (true) { const { value } = await reader.read(); %s }"
READERS = [
    (READ % "show(d.decode(value));", ["JSA601"]),
    (READ % "show(d.decode());", []),
    (READ % "show(d.decode(value, { stream: true }));", []),
    (READ % "show(d.decode(value, { stream: !done }));", []),
    (READ % "show(d.decode(value, { stream: false }));", ["JSA601"]),
    (READ % "show(d.decode(value, options));", []),
    (READ % "show(d.decode(value, {}));", ["JSA601"]),
    (READ % "show(new TextDecoder().decode(value));", ["JSA601"]),
    (READ % "show(base64.decode(value));", []),
    (READ % "show(this.decoder.decode(value));", ["JSA601"]),
    (READ % "const t = d.decode(value, { stream: true }); t.split('\\n');", ["JSA602"]),
    (READ % "const t = d.decode(value, { stream: true }); t.split(',');", []),
    (READ % "const t = d.decode(value, { stream: true }); t.split();", []),
    (READ % "const t = rest + d.decode(value, { stream: true }); t.split('\\n');", []),
    (READ % "let t = d.decode(value, { stream: true }); t += rest; t.split('\\n');", []),
    (READ % "let t = d.decode(value, { stream: true }); u += t; t.split('\\n');", ["JSA602"]),
    (READ % "lines.split('\\n');", []),
    (READ % "(a + b).split('\\n');", []),
    (READ % "const t = other(value); t.split('\\n');", []),
    (READ % "const t = String(value).toString().split('\\n');", ["JSA602"]),
    ("res.on('data', (chunk) => { const t = chunk.toString(); t.split('\\n\\n'); });", ["JSA602"]),
    ("const t = data.toString();\nres.on('data', () => { t.split('\\n'); });", []),
    ("for await (const c of body) show(new TextDecoder().decode(c));", ["JSA601"]),
    (("const d = new TextDecoder();\nreader.read().then(function step({ value }) {"
     " show(d.decode(value)); return reader.read().then(step); });"), ["JSA601"]),
    ("res.on('message', (m) => show(new TextDecoder().decode(m)));", []),
    ("new TransformStream({ transform(c) { show(new TextDecoder().decode(c)); } });", ["JSA601"]),
    ("reader.read().then(({ value }) => { show(new TextDecoder().decode(value)); });", ["JSA601"]),
    ("for (const c of chunks) show(new TextDecoder().decode(c));", []),
    ("const text = new TextDecoder().decode(bytes);", []),
    ("function f(b) { cache.read(); return new TextDecoder().decode(b); }", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), READERS, ids=range(len(READERS)))
def test_readers_that_lose_text_split_between_two_chunks(text: str, expected: list[str]) -> None:
    assert codes(text) == expected


def test_the_interceptor_is_found_on_streaming_routes_only() -> None:
    text = "createProxyMiddleware('%s', { target: 'http://a', on: { proxyRes: responseInterceptor(f) } });"
    assert codes(text % "/v1/chat/completions") == ["JSA102"]
    assert codes(text % "/static") == []


def test_positions_count_characters() -> None:
    text = "const é = 'ü'; new EventSource(1); while (x) new EventSource('/ä');"
    (found,) = lint_program("javascript-app", "f.js", text).diagnostics
    assert text[found.column - 1 :][: found.length] == "new EventSource('/ä')"


def test_types_and_imports_of_typescript_are_read() -> None:
    text = "import { a, b as c } from 'compression';\nlet x = <any>y;\nc();\nimport 'x';\nlet z;\n"
    assert codes(text, "f.ts") == ["JSA101"]
    assert codes(
        "const { a } = (await import('x'));\nconst b = require('compression').default;\nb();"
    ) == ["JSA101"]


def test_programs_are_recognised_by_name_and_content() -> None:
    for name in ("a.js", "a.mjs", "a.tsx", "a.config.ts"):
        assert DIALECT.recognises(name, "x = 'text/event-stream'")
    assert DIALECT.recognises("a.js", "devServer proxy")
    for name in ("a.test.js", "a.spec.tsx", "a.d.ts", "a.min.js", "a.json"):
        assert not DIALECT.recognises(name, "x = 'text/event-stream'")
    assert not DIALECT.recognises("a.js", "let x = 1; // devServer")
    assert not DIALECT.recognises("bundle.js", "text/event-stream" + "x" * 30_000)
    assert DIALECT.recognises("long.js", "text/event-stream\n" + "x = 1\n" * 10_000)


def test_without_tree_sitter_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tree_sitter_typescript", None)
    parser._parser.cache_clear()
    with pytest.raises(MissingExtra, match=r"install undam\[javascript\]"):
        codes("x")


def test_rendered_program_has_no_diagnostics() -> None:
    text = DIALECT.render(RenderRequest(upstream="http://127.0.0.1:9000", path="/v1/"))
    assert codes(text) == []
    assert 'PREFIX = "/v1/"' in text


def test_damaged_programs_are_read() -> None:
    for file in corpus_files("javascript_app"):
        text = file.read_text("utf-8")
        for cut in range(0, len(text), 211):
            assert robustness_faults(DIALECT, text[:cut]) == []
            assert robustness_faults(DIALECT, text[:cut] + text[cut + 40 :]) == []


READ_LOOP = (
    "const r = await fetch(u, { body: JSON.stringify({ stream: true }) });"
    " const reader = r.body.getReader(); let t = ''; %s { const { value } = await reader.read(); %s }"
)


@pytest.mark.parametrize(
    ("body", "collects"),
    [
        (READ_LOOP % ("while (true)", "t += value;") + " res.json({ t });", True),
        (READ_LOOP % ("for (;;)", "t += value;") + " res.json({ t });", True),
        (READ_LOOP % ("while (true)", "res.write(value);") + " res.end();", False),
        (READ_LOOP % ("while (true)", "t += value;"), False),
        (
            READ_LOOP.replace("true }", "false }") % ("while (1)", "t += value;") + " res.json(t);",
            False,
        ),
        ("while (queue.length) t += queue.pop(); res.json(t);", False),
    ],
)
def test_handlers_that_collect_what_a_reader_returns(body: str, collects: bool) -> None:
    assert codes(HANDLER_104 % body) == (["JSA104"] if collects else [])
    assert codes(f"async function ask(text) {{ {body} }}") == []


@pytest.mark.parametrize(
    ("timer", "heartbeat_s"),
    [
        ("setInterval(() => res.write(': ping\\n\\n'), 15_000);", 15),
        ("setInterval(() => { res.write(`: ping\\n\\n`); }, 20000);", 20),
        ("setInterval(() => res.write('data: x\\n\\n'), 1000);", None),
    ],
)
def test_timers_that_send_comments_are_heartbeats(timer: str, heartbeat_s: float | None) -> None:
    text = f"app.get('/a', (req, res) => {{ {SSE} {timer} }})"
    (route,) = lint_program("javascript-app", "f.js", text).routes
    assert route.hop is not None
    assert route.hop.heartbeat_s == heartbeat_s


@pytest.mark.parametrize(
    "handler",
    [
        f"const sse = (req, res) => {{ {SSE.replace('no-transform', 'no-cache')} }};",
        f"function sse(req, res) {{ {SSE.replace('no-transform', 'no-cache')} }}",
    ],
)
def test_a_handler_is_registered_where_its_name_is_used(handler: str) -> None:
    after = f"{EXPRESS}{handler}\napp.use(compression());\napp.get('/events', sse);\n"
    assert "JSA101" in codes(after)
    assert routes(after) == [("/events", RouteOutcome.STREAMS)]
    before = f"{EXPRESS}{handler}\napp.get('/events', other, sse);\napp.use(compression());\n"
    assert "JSA101" not in codes(before)
    unused = f"{EXPRESS}{handler}\napp.get('/events', other);\n"
    assert routes(unused) == [("the response", RouteOutcome.STREAMS)]


def test_a_program_that_is_nested_too_deeply_is_not_read() -> None:
    with pytest.raises(ConfigSyntaxError, match="nested too deeply"):
        codes("f(" * 2000 + ")" * 2000)
    assert codes("f(" * 200 + ")" * 200) == []


def test_a_function_with_many_calls_is_searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    searched: list[Node] = []

    def counted(node: Node) -> Iterator[Node]:
        searched.append(node)
        return parser.walk(node)

    monkeypatch.setattr(f"{parser.__package__}.rules.framing.walk", counted)
    lines = "".join(f"  names.push(line{n}.split(','));\n" for n in range(300))
    text = f"function f() {{\n{lines}}}\nnew TextDecoder();\n"
    assert codes(text) == []
    assert len(searched) == 1


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("30", ["JSA402"]),
        ("299", ["JSA402"]),
        ("300", []),
        ("800", []),
        ("LIMIT", []),
        ("0", []),
    ],
)
def test_a_streaming_route_has_a_maximum_duration(value: str, expected: list[str]) -> None:
    text = f"export const maxDuration = {value};\nlet other, maxDurations = 1;\n"
    stream = "export async function POST() { return r.toDataStreamResponse(); }"
    assert codes(text + stream, "app/api/chat/route.ts") == expected
    plain = "export async function POST() { return Response.json({}); }"
    assert codes(text + plain, "app/api/users/route.ts") == []


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1000 * 60", ["JSA401"]),
        ("10*60*1000", []),
        ("60 * MS", []),
        ("1*1*1*1*1*1*1", []),
    ],
)
def test_a_timeout_may_be_a_product(value: str, expected: list[str]) -> None:
    rewrite = "{ source: '/v1/chat/completions', destination: 'http://vllm:8000/v1/chat' }"
    text = (
        f"module.exports = {{ compress: false, experimental: {{ proxyTimeout: {value} }},"
        f" async rewrites() {{ return [{rewrite}] }} }}"
    )
    assert codes(text, heartbeat_s=None) == expected
