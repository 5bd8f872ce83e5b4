"""The Python dialect: programs that serve or relay streams, in common web frameworks.

A program is parsed and never imported. Each file is read on its own, so generators of other modules
are not analyzed.
"""

from __future__ import annotations

import re

from undam.lint.diagnostics import Diagnostic, for_route, if_anything_streams, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult, has_any
from undam.lint.dialects.python_app.parser import PythonProgram, parse_program
from undam.lint.dialects.python_app.render import render
from undam.lint.dialects.python_app.routes import StreamingRoute, find_routes
from undam.lint.dialects.python_app.rules import RULES, compression, find, find_in_readers
from undam.lint.dialects.python_app.rules.limits import read_limits
from undam.lint.dialects.python_app.rules.middleware import find_collecting, find_wrapping
from undam.lint.evidence.program_facts import with_facts
from undam.lint.routes import RouteOutcome
from undam.lint.settings import Settings
from undam.textfiles.source import Source

_WORDS = (
    "StreamingResponse", "EventSourceResponse", "StreamingHttpResponse", "event-stream",
    "stream_with_context", "EventStream", "StreamResponse", "body_iterator", "iter_lines",
    "iter_content", "iter_bytes", "iter_raw", ".completions.create", ".messages.create",
    "GZipMiddleware", "ndjson",
)  # fmt: skip
_COMPRESSING = frozenset({"PYA101", "PYA109"})
_BUFFERING = frozenset({"PYA102", "PYA104", "PYA105"})
# Tests are not deployed and may contain faulty programs on purpose.
_TEST_NAME = re.compile(r"(?:^|/)(?:test_[^/]*|[^/]*_test|conftest)\.py$")


def recognises(path: str, text: str) -> bool:
    """Return whether a file is a Python program that streams."""
    name = path.replace("\\", "/").lower()
    if not name.endswith((".py", ".pyw")) or not has_any(text, *_WORDS):
        return False
    return _TEST_NAME.search(name) is None


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the streaming responses in a Python program, and the clients that read streams.

    Raises:
        ConfigSyntaxError: the text is not Python of the version that runs undam.
    """
    program = parse_program(source)
    routes = find_routes(program, settings.hints_for(source.path))
    considered = [one for one in routes if one.assessed.assessment.is_considered]
    found: list[Diagnostic] = []
    for route in considered:
        own = [
            *find(program, route, settings),
            *find_wrapping(program, route.assessed.name),
        ]
        found += for_route(route.assessed, own)
    for route, one in compression.find(program, considered, settings):
        found += for_route(route.assessed, [one])
    if not considered:
        found += compression.find_elsewhere(program)
    streams = any(one.assessed.outcome is RouteOutcome.STREAMS for one in considered)
    collecting = find_collecting(program)
    found += collecting if streams else map(if_anything_streams, collecting)
    found += find_in_readers(program, considered, settings)
    return LintResult(
        unique_diagnostics(found),
        routes=tuple(
            with_facts(
                one.assessed,
                found,
                compressing=_COMPRESSING,
                buffering=_BUFFERING,
                idle_limit_s=_idle_limit(program, one),
            )
            for one in routes
        ),
    )


def _idle_limit(program: PythonProgram, route: StreamingRoute) -> float | None:
    """Return the shortest read timeout among the requests sent by a route's functions."""
    limits = [
        one.limit_s
        for function in route.functions
        for one in read_limits(program, program.own_nodes(function))
    ]
    return min(limits, default=None)


DIALECT = Dialect(
    name="python-app",
    title="Python program",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
    reads_programs=True,
)
