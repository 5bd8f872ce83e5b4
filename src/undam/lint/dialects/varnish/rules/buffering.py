"""Rules VRN101-VRN103: backend response flags that make Varnish hold the response."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.varnish.parser import VclFile, VclStatement
from undam.lint.dialects.varnish.routes import EVENT_STREAM, VclRoutes
from undam.rules import Severity
from undam.textfiles.edits import Edit, line_ending
from undam.textfiles.source import UnreadPart

NO_STREAM = ConfigRule(
    code="VRN101",
    slug="response-not-streamed",
    severity=Severity.ERROR,
    message="'beresp.do_stream = false' holds the whole response",
    safety=Safety.SAFE,
    what="""
        Varnish streams by default. With `set beresp.do_stream = false;` Varnish fetches the whole
        response before it delivers the first byte, and adds a Content-Length.
    """,
    why="""
        The first token arrives together with the last one, and heartbeats are held as well. Varnish
        also holds the response headers.
    """,
    detection="""
        The statement `set beresp.do_stream = false` applies to a streaming response. `undam`
        evaluates conditions on the URL and on Content-Type. A statement with any other condition is
        not reported.
    """,
    measured="""
        varnish 7.1.1, 120 events 25 ms apart: all of them arrived after 3.0 s; with the default
        setting, events were 0.2 ms late.
    """,
    fix="""
        Exclude event streams from the `set` statement. If only streams satisfy the statement's
        condition, the automatic fix inverts the value instead.

            if (beresp.http.Content-Type !~ "text/event-stream") {
                set beresp.do_stream = false;
            }
    """,
    source="measured on loopback with varnish 7.1.1; vcl-var(7), beresp.do_stream",
)

ESI = ConfigRule(
    code="VRN102",
    slug="esi-on-event-streams",
    severity=Severity.ERROR,
    message="'beresp.do_esi = true' holds the whole response",
    safety=Safety.SAFE,
    what="""
        To process ESI tags, Varnish reads the whole response before it delivers the first byte.
    """,
    why="""
        The first token arrives together with the last one. Event streams do not contain ESI tags.
    """,
    detection="""
        The statement `set beresp.do_esi = true` applies to a streaming response. A statement whose
        condition depends on Surrogate-Control, or on a type other than text/event-stream, is not
        reported.
    """,
    measured="""
        varnish 7.1.1, 120 events 25 ms apart: all of them arrived after 3.0 s, with a
        Content-Length.
    """,
    fix="""
        Exclude event streams from the `set` statement. If only streams satisfy the statement's
        condition, the automatic fix inverts the value instead.

            if (beresp.http.Content-Type !~ "text/event-stream") {
                set beresp.do_esi = true;
            }
    """,
    source="measured on loopback with varnish 7.1.1; vcl-var(7), beresp.do_esi",
)

GZIP = ConfigRule(
    code="VRN103",
    slug="event-stream-gzipped",
    severity=Severity.ERROR,
    message="'beresp.do_gzip = true' holds a stream in blocks of 16 KB of gzip",
    safety=Safety.SAFE,
    what="""
        Varnish compresses the response in blocks and does not flush the compressor between events.
    """,
    why="""
        The headers arrive immediately, but no event follows until the end, because a whole answer
        produces less than 16 KB of gzip output. `do_stream = true` does not prevent the hold.
    """,
    detection="""
        The statement `set beresp.do_gzip = true` applies to a streaming response. A condition on
        Content-Type that does not match text/event-stream excludes event streams; `~ "text"`
        matches them.
    """,
    measured="""
        varnish 7.1.1, 120 events 25 ms apart: the headers arrived after 1 ms, and all events after
        3.0 s.
    """,
    fix="""
        Exclude event streams from the `set` statement. If only streams satisfy the statement's
        condition, the automatic fix inverts the value instead.

            if (beresp.http.Content-Type !~ "text/event-stream") {
                set beresp.do_gzip = true;
            }
    """,
    source="measured on loopback with varnish 7.1.1; vcl-var(7), beresp.do_gzip",
)

RULES = (NO_STREAM, ESI, GZIP)

# Maps each variable to its rule, the value that holds the response, and the value that releases it.
_FLAGS = {
    "beresp.do_stream": (NO_STREAM, "false", "true"),
    "beresp.do_esi": (ESI, "true", "false"),
    "beresp.do_gzip": (GZIP, "true", "false"),
}


def find(vcl: VclFile, routes: VclRoutes) -> Iterator[Diagnostic]:
    """Find flags that hold a streaming response and are not reset by a later statement."""
    holding: dict[str, list[VclStatement]] = {}
    for statement in vcl.statements:
        if statement.sub.startswith("vcl_") and statement.sub != "vcl_backend_response":
            continue
        is_return = statement.texts[0] == "return" and statement.sub.startswith("vcl_")
        if is_return and routes.applies(statement):
            break  # streams never reach later statements
        name, value = statement.assignment
        if name not in _FLAGS or value is None or not routes.applies(statement):
            continue
        _, holds, frees = _FLAGS[name]
        if value.text.lower() == frees:
            holding.pop(name, None)
        elif value.text.lower() == holds:
            holding.setdefault(name, []).append(statement)
    for name, statements in holding.items():
        for statement in statements:
            yield _flag_diagnostic(name, statement, routes)


def unread_flags(vcl: VclFile, routes: VclRoutes) -> Iterator[UnreadPart]:
    """Yield flags whose effect on a stream depends on a condition that is not evaluated."""
    for statement in vcl.statements:
        name, value = statement.assignment
        holds = _FLAGS[name][1] if name in _FLAGS else None
        if value is not None and value.text.lower() == holds and routes.may_apply(statement):
            line = statement.source.position(statement.start)[0]
            what = f"{name}: a condition around it was not understood"
            yield UnreadPart(statement.source.path, line, what)


def _flag_diagnostic(name: str, statement: VclStatement, routes: VclRoutes) -> Diagnostic:
    rule, _, frees = _FLAGS[name]
    source, value = statement.source, statement.tokens[3]
    span = (statement.tokens[1].start, value.end)
    if routes.applies_to_streams_only(statement):
        return diagnostic_at(rule, source, span, Edit(*value.span, frees))
    indent, end = source.indent_at(statement.start), line_ending(source)
    text = source.text[statement.start : statement.stop]
    step = "\t" if "\t" in indent else "    "
    wrapped = (
        f'if (beresp.http.Content-Type !~ "{EVENT_STREAM}") {{{end}'
        f"{indent}{step}{text}{end}{indent}}}"
    )
    return diagnostic_at(rule, source, span, Edit(statement.start, statement.stop, wrapped))
