"""Rules PYA101 and PYA109: compression middleware that does not flush after each event."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from undam.lint.diagnostics import (
    ConfigRule,
    Diagnostic,
    Safety,
    diagnostic_at,
    if_anything_streams,
)
from undam.lint.dialects.python_app.parser import (
    PythonProgram,
    last_name,
    text_of,
)
from undam.lint.dialects.python_app.routes import StreamingRoute, StreamKind
from undam.lint.settings import Settings
from undam.rules import Severity
from undam.versions import Version, VersionRange

STARLETTE_GZIP = ConfigRule(
    code="PYA101",
    slug="gzip-middleware-holds-stream",
    severity=Severity.ERROR,
    message="GZipMiddleware holds {kind} in blocks of gzip output with Starlette {versions}{known}",
    safety=Safety.NONE,
    what="""
        `GZipMiddleware` of Starlette and FastAPI compresses streams. In older versions, the
        middleware does not flush the compressor after an event.
    """,
    why="""
        The compressor holds its output until a block of some kilobytes is full or the stream ends.
        Users see nothing until the whole answer is complete, although the model sends each token at
        once.
    """,
    detection="""
        A program adds `GZipMiddleware` and has a streaming response. Since 0.46.0, Starlette does
        not compress `text/event-stream`, and since 1.5.0 it flushes each chunk of all other types.
        The version is read from requirements.txt, pyproject.toml or a lock file. If none of them
        pins it, the severity is lower. If the version is not pinned, state it with `--target
        starlette=VERSION`.
    """,
    measured="""
        Starlette 0.45.3 held an event stream of 120 events until its end. Starlette 1.10.0 sent
        each event immediately. Starlette 1.4.0 still held JSON lines.
    """,
    fix="""
        Require a Starlette version that flushes the compressor after each chunk.

            starlette>=1.5
    """,
    source="measured on loopback with Starlette 0.45.3, 1.4.0 and 1.10.0; release notes of 1.5.0",
)

DJANGO_GZIP = ConfigRule(
    code="PYA109",
    slug="django-gzip-holds-stream",
    severity=Severity.ERROR,
    message="Django {versions}: GZipMiddleware holds the synchronous stream until it ends{known}",
    safety=Safety.NONE,
    what="""
        Before Django 6.1, `GZipMiddleware` compresses a `StreamingHttpResponse` whose content is a
        synchronous iterator, and does not flush the compressor after each item.
    """,
    why="""
        Under WSGI every streaming response has a synchronous iterator, so all events of a short
        answer arrive together at its end.
    """,
    detection="""
        A file uses `GZipMiddleware` or the decorator `gzip_page`. The same file passes a
        synchronous generator to `StreamingHttpResponse`. Since 6.1, Django flushes each item; older
        versions do so only for asynchronous generators. State the Django version with `--target
        django=VERSION`.
    """,
    measured="""
        Django 5.2.19: a synchronous stream of 15 events arrived in a single read at the end of the
        stream.
    """,
    fix="""
        Use Django 6.1, or encode the response as `identity` so that the middleware skips it.

            response.headers["Content-Encoding"] = "identity"
    """,
    source="measured on loopback with Django 5.2.19; django/utils/text.py of 5.2.19 and 6.1.3",
)

RULES = (STARLETTE_GZIP, DJANGO_GZIP)

_SSE_HELD = VersionRange(until="0.46")
_OTHERS_HELD = VersionRange(until="1.5")
_DJANGO_HELD = VersionRange(until="6.1")
_INCLUDES = frozenset({"include_router", "mount", "Mount"})
_DJANGO_GZIP = "django.middleware.gzip.GZipMiddleware"


def find(
    program: PythonProgram, routes: list[StreamingRoute], settings: Settings
) -> Iterator[tuple[StreamingRoute, Diagnostic]]:
    """Yield a diagnostic for compression middleware, with each route whose stream it holds."""
    uses = [one for one in program.nodes if _is_gzip(program, one)]
    for route in routes:
        if route.framework == "Django":
            yield from _django(program, route, settings)
        elif route.framework in {"FastAPI", "Starlette"}:
            for node in uses:
                yield from _starlette(program, node, route, settings)


def find_elsewhere(program: PythonProgram) -> Iterator[Diagnostic]:
    """Report compression middleware as a remark if the streams are in other files."""
    includes = any(last_name(program.called(one)) in _INCLUDES for one in program.calls)
    for node in program.nodes:
        if includes and _is_gzip(program, node):
            yield if_anything_streams(_elsewhere(STARLETTE_GZIP, program, node, _OTHERS_HELD))
        elif text_of(node) == _DJANGO_GZIP:
            yield if_anything_streams(_elsewhere(DJANGO_GZIP, program, node, _DJANGO_HELD))


def _elsewhere(
    rule: ConfigRule, program: PythonProgram, node: ast.AST, held: VersionRange
) -> Diagnostic:
    kind = "streams that are not text/event-stream"
    span = program.span(node)
    return diagnostic_at(rule, program.source, span, kind=kind, versions=held, known="")


def _is_gzip(program: PythonProgram, node: ast.AST) -> bool:
    if not isinstance(node, ast.Name | ast.Attribute):
        return False
    return program.dotted(node) in {
        "starlette.middleware.gzip.GZipMiddleware",
        "fastapi.middleware.gzip.GZipMiddleware",
    }


def _starlette(
    program: PythonProgram, node: ast.AST, route: StreamingRoute, settings: Settings
) -> Iterator[tuple[StreamingRoute, Diagnostic]]:
    is_sse = route.kind is StreamKind.SSE
    held = _SSE_HELD if is_sse else _OTHERS_HELD
    kind = "event streams" if is_sse else "streams that are not text/event-stream"
    # Only old versions hold event streams, so an unknown version probably does not.
    unknown = Severity.INFO if is_sse else Severity.WARNING
    found = _for_version(
        STARLETTE_GZIP, program, node, (held, settings.target("starlette"), unknown), kind=kind
    )
    if found is not None:
        yield route, found


def _django(
    program: PythonProgram, route: StreamingRoute, settings: Settings
) -> Iterator[tuple[StreamingRoute, Diagnostic]]:
    if any(isinstance(one, ast.AsyncFunctionDef) for one in route.generators):
        return
    version = settings.target("django")
    for node in _django_gzip(program, route):
        held = (_DJANGO_HELD, version, Severity.WARNING)
        found = _for_version(DJANGO_GZIP, program, node, held)
        if found is not None:
            yield route, found


def _django_gzip(program: PythonProgram, route: StreamingRoute) -> Iterator[ast.AST]:
    """Yield the gzip middleware in the settings and the gzip decorator on the view."""
    yield from (one for one in program.nodes if text_of(one) == _DJANGO_GZIP)
    for one in route.handler.decorator_list if route.handler else ():
        if last_name(program.dotted(one)) == "gzip_page":
            yield one


def _for_version(
    rule: ConfigRule,
    program: PythonProgram,
    node: ast.AST,
    held: tuple[VersionRange, Version | None, Severity],
    **evidence: object,
) -> Diagnostic | None:
    """Return the diagnostic if the framework version is affected."""
    affected, version, unknown = held
    name = "django" if rule is DJANGO_GZIP else "starlette"
    known = f"; state the version with --target {name}=VERSION"
    severity = unknown
    if version is not None:
        if not affected.contains(version):
            return None
        known, severity = f" ({version} is pinned)", rule.severity
    return diagnostic_at(
        rule, program.source, program.span(node), severity=severity, versions=affected,
        known=known, **evidence,
    )  # fmt: skip
