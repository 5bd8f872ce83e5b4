"""Rules PYA202-PYA204: headers, prompts in query strings, and lost request contexts."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.python_app.parser import (
    FunctionNode,
    PythonProgram,
    last_name,
    text_of,
)
from undam.lint.dialects.python_app.routes import (
    StreamingRoute,
    StreamKind,
    header_of,
    headers_of,
    is_returned,
)
from undam.lint.dialects.python_app.rules.relays import add_argument
from undam.rules import Severity
from undam.textfiles.edits import Edit

HEADERS = ConfigRule(
    code="PYA202",
    slug="proxy-headers-missing",
    severity=Severity.INFO,
    message="the stream has no {missing}, so proxies may compress or buffer it",
    safety=Safety.SAFE,
    what="An event stream is sent without the headers that keep proxies from holding it.",
    why="""
        nginx buffers a response unless it has the header `X-Accel-Buffering: no`. Proxies and CDNs
        that compress the response hold small events unless `Cache-Control` contains `no-transform`.
    """,
    detection="""
        The file sets the headers of a text/event-stream response, and `no-transform`,
        `X-Accel-Buffering`, or both are missing. In a running service, `undam check` reports
        missing headers as UD202.
    """,
    measured="""
        nginx 1.22.1 in front of uvicorn held a stream in blocks of 4 KB. With `X-Accel-Buffering:
        no`, each event arrived immediately.
    """,
    fix="""
        Send Cache-Control and X-Accel-Buffering with the stream.

            headers={"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}
    """,
    source="RFC 9111, section 5.2.2.6, no-transform; nginx.org, proxy_buffering",
)

QUERY = ConfigRule(
    code="PYA203",
    slug="prompt-in-query-string",
    severity=Severity.WARNING,
    message="FastAPI reads {name} of {route} from the query string, not from the body",
    safety=Safety.NONE,
    what="A POST handler declares the prompt as a parameter of type `str`.",
    why="""
        FastAPI takes parameters of simple types from the query string. A client that sends the
        prompt as JSON receives status 422. If the client sends the prompt in the URL instead, every
        proxy on the path logs it.
    """,
    detection="""
        A streaming POST handler of FastAPI has a parameter such as `prompt: str` without `Body`,
        `Form` or `Query`.
    """,
    measured="FastAPI 0.165.0: a POST with the prompt in a JSON body was answered with status 422.",
    fix="""
        Declare a Pydantic model for the request body.

            class Prompt(BaseModel):
                prompt: str

            @app.post("/v1/stream")
            async def stream(body: Prompt):
    """,
    source="measured on loopback with FastAPI 0.165.0; fastapi.tiangolo.com, Request Body",
)

CONTEXT = ConfigRule(
    code="PYA204",
    slug="request-context-lost",
    severity=Severity.ERROR,
    message="the generator uses {name} of Flask after the request context has ended",
    safety=Safety.SAFE,
    what="""
        A generator in a Flask application uses `request`, `session` or `g` without
        `stream_with_context`.
    """,
    why="""
        Flask ends the request context when the handler returns, before the server runs the
        generator. The generator's first access to one of these objects raises `RuntimeError`, and
        the response breaks off.
    """,
    detection="""
        The generator of a streaming response uses an object of the request context, and neither the
        call nor the generator is wrapped in `stream_with_context`.
    """,
    measured="""
        Flask 3.1.3: an access to `request` before the first event resulted in status 500. An access
        after the first event broke the connection, which `undam check` reported as UD602.
    """,
    fix="""
        Keep the request context until the generator has ended.

            return Response(stream_with_context(generate()), mimetype="text/event-stream")
    """,
    source="measured on loopback with Flask 3.1.3; Flask, Streaming with Context",
)

RULES = (HEADERS, QUERY, CONTEXT)

_WITH_HEADERS = frozenset({"FastAPI", "Starlette", "Flask", "Quart", "Django"})
_CONTEXT_NAMES = frozenset({"flask.request", "flask.session", "flask.g"})
_PROMPTS = re.compile(
    r"(?:user_)?(?:prompts?|messages?|query|questions?|inputs?|input_text|text|content|msg)"
)
_BODY_METHODS = frozenset({"post", "put", "patch"})


def find(program: PythonProgram, route: StreamingRoute) -> Iterator[Diagnostic]:
    """Find problems with a response and its handler."""
    if route.kind is StreamKind.SSE:
        yield from _headers(program, route)
    if route.framework == "FastAPI" and route.handler is not None:
        yield from _query(program, route, route.handler)
    if route.framework == "Flask":
        yield from _context(program, route)


def _headers(program: PythonProgram, route: StreamingRoute) -> Iterator[Diagnostic]:
    call = route.call
    name = last_name(program.called(call))
    if route.framework not in _WITH_HEADERS or name in {"EventSourceResponse", "get", "post"}:
        return
    headers = headers_of(program, call)
    if headers is None and is_returned(program, call):
        return
    if headers is not None and not (isinstance(headers, ast.Dict) and None not in headers.keys):
        return
    cache = header_of(program, call, "cache-control")
    has_transform = cache is not None and "no-transform" in (text_of(cache) or "no-transform")
    has_accel = header_of(program, call, "x-accel-buffering") is not None
    if has_transform and has_accel:
        return
    missing = [
        name
        for name, is_set in (("no-transform", has_transform), ("X-Accel-Buffering", has_accel))
        if not is_set
    ]
    edits = _header_edits(program, call, headers, (cache, has_transform, has_accel))
    span = program.span(call.func)
    yield diagnostic_at(HEADERS, program.source, span, *edits, missing=" and no ".join(missing))


def _header_edits(
    program: PythonProgram,
    call: ast.Call,
    headers: ast.expr | None,
    found: tuple[ast.expr | None, bool, bool],
) -> list[Edit]:
    cache, has_transform, has_accel = found
    entries: list[str] = []
    edits: list[Edit] = []
    if not has_transform:
        if cache is None:
            entries.append('"Cache-Control": "no-cache, no-transform"')
        else:
            end = program.end(cache) - 1
            edits.append(Edit(end, end, ", no-transform"))
    if not has_accel:
        entries.append('"X-Accel-Buffering": "no"')
    text = ", ".join(entries)
    if headers is None and text:
        edits.append(add_argument(program, call, f"headers={{{text}}}"))
    elif isinstance(headers, ast.Dict) and text:
        if headers.values:
            end = program.end(headers.values[-1])
            edits.append(Edit(end, end, f", {text}"))
        else:
            end = program.end(headers) - 1
            edits.append(Edit(end, end, text))
    return edits


def _query(
    program: PythonProgram, route: StreamingRoute, handler: FunctionNode
) -> Iterator[Diagnostic]:
    methods = [
        one
        for one in handler.decorator_list
        if isinstance(one, ast.Call)
        and isinstance(one.func, ast.Attribute)
        and one.func.attr in _BODY_METHODS
    ]
    arguments = handler.args.args
    no_default = [None] * (len(arguments) - len(handler.args.defaults))
    for one, default in zip(arguments, [*no_default, *handler.args.defaults], strict=True):
        is_prompt = _PROMPTS.fullmatch(one.arg) is not None and _is_string(one.annotation)
        in_path = f"{{{one.arg}" in route.assessed.name
        if methods and is_prompt and not in_path and not isinstance(default, ast.Call):
            span, name = program.span(one), f"`{one.arg}`"
            yield diagnostic_at(QUERY, program.source, span, name=name, route=route.assessed.name)


def _is_string(annotation: ast.expr | None) -> bool:
    written = "" if annotation is None else ast.unparse(annotation)
    return written in {"str", "str | None", "Optional[str]", "typing.Optional[str]"}


def _context(program: PythonProgram, route: StreamingRoute) -> Iterator[Diagnostic]:
    written = ast.unparse(route.call)
    if "stream_with_context" in written:
        return
    for generator in route.generators:
        decorators = [last_name(program.dotted(one)) for one in generator.decorator_list]
        used = next(
            (
                one
                for one in program.own_nodes(generator)
                if isinstance(one, ast.Name | ast.Attribute)
                and program.dotted(one) in _CONTEXT_NAMES
            ),
            None,
        )
        if used is not None and "stream_with_context" not in decorators:
            edits = _wrapped(program, route.call)
            span = program.span(used)
            name = f"`{ast.unparse(used)}`"
            yield diagnostic_at(CONTEXT, program.source, span, *edits, name=name)


def _wrapped(program: PythonProgram, call: ast.Call) -> list[Edit]:
    """Return the edits that wrap the content of a response and import the wrapper function."""
    content = call if is_returned(program, call) else next(iter(call.args), None)
    if content is None:
        return []
    start, end = program.start(content), program.end(content)
    imported = [
        node
        for node in program.nodes
        if isinstance(node, ast.ImportFrom) and node.module == "flask"
    ]
    if not imported:
        return [Edit(start, start, "flask.stream_with_context("), Edit(end, end, ")")]
    edits = [Edit(start, start, "stream_with_context("), Edit(end, end, ")")]
    if not any(one.name == "stream_with_context" for node in imported for one in node.names):
        last = program.end(imported[0].names[-1])
        edits.append(Edit(last, last, ", stream_with_context"))
    return edits
