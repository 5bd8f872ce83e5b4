"""Rules PYA102 and PYA103: HTTP middleware that collects or wraps streams."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.python_app.parser import FunctionNode, PythonProgram, last_name, text_of
from undam.rules import Severity

COLLECTS = ConfigRule(
    code="PYA102",
    slug="middleware-collects-body",
    severity=Severity.ERROR,
    message="the middleware reads the whole body of each response before it returns the response",
    safety=Safety.NONE,
    what="""
        An HTTP middleware iterates over `response.body_iterator` itself, for instance to log the
        body, and returns a new response afterwards.
    """,
    why="""
        The client receives nothing until the stream's generator has ended. The middleware also
        holds the whole answer in memory.
    """,
    detection="""
        A function in the program iterates over an attribute `body_iterator` and is not a generator.
        A function that first compares the content type or the path is not reported, because it may
        leave streams alone.
    """,
    measured="Starlette 1.10.0: all events arrived in a single read at the end of the stream.",
    fix="""
        Forward each chunk as soon as it is read.

            async def copied(body):
                async for chunk in body:
                    log(chunk)
                    yield chunk

            response.body_iterator = copied(response.body_iterator)
    """,
    source="measured on loopback with Starlette 1.10.0; starlette/middleware/base.py",
)

WRAPS = ConfigRule(
    code="PYA103",
    slug="middleware-wraps-stream",
    severity=Severity.INFO,
    message="BaseHTTPMiddleware passes each event of {route} through a queue and a task of its own",
    safety=Safety.NONE,
    what="""
        `BaseHTTPMiddleware` and `@app.middleware("http")` run the application in a task and
        receive each chunk of the body through a memory stream.
    """,
    why="""
        Events are not held, but each event requires at least one more task switch. Context
        variables and cancellation behave differently inside the middleware, so stream errors are
        hard to debug.
    """,
    detection="""
        A program uses `BaseHTTPMiddleware` or `@app.middleware("http")`, and has a streaming
        response.
    """,
    measured="Starlette 1.10.0: each event of a stream arrived immediately.",
    fix="""
        Write the middleware as an ASGI application. An ASGI application can change the response
        head without reading the body.

            class Stamp:
                def __init__(self, app):
                    self.app = app

                async def __call__(self, scope, receive, send):
                    await self.app(scope, receive, send)
    """,
    source="starlette.dev, Middleware, limitations of BaseHTTPMiddleware",
)

RULES = (COLLECTS, WRAPS)

_SELECTS = re.compile(
    r"content[-_]type|event-stream|path|startswith|StreamingResponse", re.IGNORECASE
)


def find_collecting(program: PythonProgram) -> Iterator[Diagnostic]:
    """Find middleware functions that read the entire response body before they return it."""
    for node in program.nodes:
        if not (isinstance(node, ast.Attribute) and node.attr == "body_iterator"):
            continue
        around = next(program.parents(node), program.tree)
        is_read = isinstance(around, ast.For | ast.AsyncFor | ast.comprehension)
        function = program.scope_of(node)
        if is_read and not program.is_generator(function) and not _selects(function):
            yield diagnostic_at(COLLECTS, program.source, program.span(node))


def _selects(scope: ast.AST) -> bool:
    """Return whether a function checks the content type or the path."""
    tests = [one.test for one in ast.walk(scope) if isinstance(one, ast.If | ast.IfExp)]
    return any(_SELECTS.search(ast.unparse(one)) for one in tests)


def find_wrapping(program: PythonProgram, route: str) -> Iterator[Diagnostic]:
    """Find HTTP middleware that wraps every response, such as `BaseHTTPMiddleware`."""
    for node in program.nodes:
        if isinstance(node, ast.ClassDef):
            if any(last_name(program.dotted(one)) == "BaseHTTPMiddleware" for one in node.bases):
                start = program.source.text.index(node.name, program.start(node))
                span = start, start + len(node.name)
                yield diagnostic_at(WRAPS, program.source, span, route=route)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_decorated(node):
            span = program.name_span(node)
            yield diagnostic_at(WRAPS, program.source, span, route=route)


def _is_decorated(function: FunctionNode) -> bool:
    return any(
        isinstance(one, ast.Call)
        and isinstance(one.func, ast.Attribute)
        and one.func.attr == "middleware"
        and bool(one.args)
        and text_of(one.args[0]) == "http"
        for one in function.decorator_list
    )
