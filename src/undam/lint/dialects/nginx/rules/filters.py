"""NGX107: a filter that reads the body of the stream."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety
from undam.lint.dialects.nginx.marks import told
from undam.lint.dialects.nginx.routes import Route
from undam.lint.dialects.nginx.tree import Directive
from undam.lint.settings import Settings
from undam.rules import Severity
from undam.textfiles.edits import Edit

_STREAMS = frozenset({"*", "text/event-stream"})

SUB_FILTER = ConfigRule(
    code="NGX107",
    slug="sub-filter-one-event-late",
    severity=Severity.WARNING,
    message=(
        "sub_filter looks for a text that begins with a line end: "
        "the end of each event waits for the next event"
    ),
    safety=Safety.UNSAFE,
    what="""
        Sub_filter keeps back whatever may be the beginning of what it looks for. Each event ends
        with line ends, so a pattern that begins with one keeps every event incomplete.
    """,
    why="""
        Each event is complete when the next one comes: exactly one event late, and the last before
        a pause waits for the whole pause.
    """,
    detection="""
        Sub_filter_types names text/event-stream (or `*`) on a route that streams, and the pattern
        of a sub_filter begins with \\n or \\r.
    """,
    measured="""
        nginx 1.22.1 with buffering off, one event each 10 ms: with `sub_filter '\\n\\ndata: …'`
        each came 10 ms late. Other patterns, and `ssi on`, passed each event at once (0.2 ms).
    """,
    fix="""
        Unsafe, since the filter then leaves event streams alone: take the type away, or begin the
        pattern with a visible character.
            sub_filter_types text/css;
    """,
    source="measured on loopback with nginx 1.22.1; nginx.org, ngx_http_sub_module",
)

RULES = (SUB_FILTER,)


def find(route: Route, _settings: Settings) -> Iterator[Diagnostic]:
    """One for each pattern."""
    types = route.scope.in_force("sub_filter_types")
    if not any(arg.lower() in _STREAMS for one in types for arg in one.args):
        return
    edit = _without_streams(route, types)
    for one in route.scope.in_force("sub_filter"):
        if one.value[:1] in {"\n", "\r"}:
            same_file = types[0].source is one.source
            yield told(SUB_FILTER, (one, edit if same_file else None))


def _without_streams(route: Route, types: list[Directive]) -> Edit | None:
    """Leave event streams out, where that is one line of this location."""
    if len(types) != 1 or types[0] not in route.scope.own("sub_filter_types"):
        return None
    left = [word.text for word in types[0].words[1:] if word.text.lower() not in _STREAMS]
    # With none named, nginx takes text/html, as it always does.
    outside = route.scope.parent.in_force("sub_filter_types") if route.scope.parent else []
    if left:
        return types[0].replace_value(" ".join(left))
    return None if outside else types[0].remove()
