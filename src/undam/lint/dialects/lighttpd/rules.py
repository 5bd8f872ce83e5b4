"""What is looked for at each route that streams."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import Diagnostic, diagnostic_at
from undam.lint.dialects.lighttpd.catalogue import ACCEL_HEADER, HELD, READ_TIMEOUT, WRITE_IDLE
from undam.lint.dialects.lighttpd.reader import Assign, Config, number_in
from undam.lint.dialects.lighttpd.routes import Route, elsewhere, number_of, setting
from undam.lint.limits import idle_limit_severity
from undam.lint.routes import RouteHints
from undam.textfiles.edits import Edit, insert_line_after, line_ending
from undam.textfiles.source import Source

_STREAM = "server.stream-response-body"
_WRITE_IDLE = "server.max-write-idle"
_HEADERS = ("setenv.add-response-header", "setenv.set-response-header")
_LONG_S = 3600


def find_held(route: Route, config: Config, hints: RouteHints) -> Iterator[Diagnostic]:
    """A relay whose response is not streamed."""
    relay, now = route.relay, setting(config, _STREAM, route.relay)
    if _level(now) != 0:
        return
    if any(_level(one) != 0 for one in elsewhere(config, _STREAM, relay, hints)):
        return
    edits, own = _set(route, _STREAM, 1, now)
    if now is not None and own:
        span, what = (now.start, now.end), f"{_STREAM} is 0"
        yield diagnostic_at(HELD, now.source, span, *edits, what=what)
    else:
        span = (relay.start, relay.start + len(relay.name))
        what = f"{_STREAM} is not set to 1 for this route"
        yield diagnostic_at(HELD, relay.source, span, *edits, what=what)


def find_headers(route: Route, config: Config) -> Iterator[Diagnostic]:
    """X-Accel-Buffering, set here."""
    for name in _HEADERS:
        assign = setting(config, name, route.relay)
        if assign is None:
            continue
        for token in assign.value:
            if token.text.lower() == "x-accel-buffering":
                yield diagnostic_at(ACCEL_HEADER, assign.source, (token.start, token.end))


def find_limits(
    route: Route, config: Config, hints: RouteHints, heartbeat_s: float
) -> Iterator[Diagnostic]:
    """Limits of silence below two heartbeats."""
    relay = route.relay
    for limit, token in number_of(relay, "read-timeout"):
        severity = idle_limit_severity(limit, heartbeat_s)
        if severity is not None:
            span = (token.start, token.end)
            yield diagnostic_at(
                READ_TIMEOUT,
                relay.source,
                span,
                Edit(*span, str(_LONG_S)),
                severity=severity,
                limit=limit,
                heartbeat=heartbeat_s,
            )
    now = setting(config, _WRITE_IDLE, relay)
    limit = _level(now) or 0
    severity = idle_limit_severity(limit, heartbeat_s)
    if now is None or severity is None:
        return
    others = [_level(one) or 0 for one in elsewhere(config, _WRITE_IDLE, relay, hints)]
    if any(idle_limit_severity(other, heartbeat_s) is None for other in others):
        return
    edits, own = _set(route, _WRITE_IDLE, _LONG_S, now)
    # An edit belongs into the file that the mistake is told of.
    if not own and now.source.path != relay.source.path:
        span, source = (relay.start, relay.start + len(relay.name)), relay.source
    else:
        span, source = (now.start, now.end), now.source
    yield diagnostic_at(
        WRITE_IDLE,
        source,
        span,
        *edits,
        severity=severity,
        limit=limit,
        heartbeat=heartbeat_s,
    )


def _level(assign: Assign | None) -> int | None:
    """The value of the directive; 0 where it is not set, ``None`` where it cannot be read."""
    if assign is None:
        return 0
    return assign.number[0] if assign.number is not None else None


def _set(route: Route, name: str, value: int, now: Assign | None) -> tuple[list[Edit], bool]:
    """Edits that set a directive for this route alone, and whether it is ``now`` that changes."""
    relay = route.relay
    if now is not None and set(now.tests) == set(relay.tests) and "" in route.keys:
        token = now.value[0]
        number = number_in(token)
        assert number is not None  # asked for above
        return [Edit(token.start, token.end, str(value))], True
    if "" in route.keys or relay.tests:
        return [_line_behind(relay, f"{name} = {value}")], False
    source, end = relay.source, line_ending(relay.source)
    block = "".join(
        f'{end}$HTTP["url"] =~ "^{_escaped(key)}" {{{end}    {name} = {value}{end}}}'
        for key in route.keys
        if key.startswith("/")
    )
    return ([Edit(_line_stop(source, relay.end), _line_stop(source, relay.end), block)], False)


def _line_behind(relay: Assign, text: str) -> Edit:
    source = relay.source
    rest = source.text[relay.end : _line_stop(source, relay.end)].strip()
    if rest and not rest.startswith("#"):  # the "}" of its block, behind which it is too late
        indent = source.indent_at(relay.start)
        return Edit(relay.start, relay.start, f"{text}{line_ending(source)}{indent}")
    return insert_line_after(source, relay.end, text, source.indent_at(relay.start))


def _line_stop(source: Source, offset: int) -> int:
    start, end = source.line_span(offset)
    return start + len(source.text[start:end].rstrip("\r\n"))


def _escaped(path: str) -> str:
    return "".join("\\" + one if one in ".*+?()[]{}|^$\\" else one for one in path)
