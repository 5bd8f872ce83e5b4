"""Rules PYA601 and PYA602: generators whose output is not parsed as the intended events."""

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
from undam.lint.dialects.python_app.routes import StreamingRoute, StreamKind
from undam.rules import Severity

UNFRAMED = ConfigRule(
    code="PYA601",
    slug="event-without-framing",
    severity=Severity.ERROR,
    message="{what}, so event-stream clients do not receive any events",
    safety=Safety.NONE,
    what="""
        An event stream's generator yields text without `data:` or never ends an event with a blank
        line. It may also relay lines from `iter_lines` without the line breaks that `iter_lines`
        removes.
    """,
    why="""
        A client ignores lines that do not begin with a field name, and delivers an event only when
        a blank line follows. The stream arrives, but the application receives nothing.
    """,
    detection="""
        The response has the type text/event-stream, and its generator is in the same file. The
        generator is reported if no yield begins with a field, if no yield ends with a blank line,
        or if every yield is the variable of a loop over `iter_lines`, `aiter_lines` or
        `splitlines`. A yield of any other variable with unknown content is not reported.
    """,
    measured="""
        `undam check` received the bytes of such a stream, but no event (UD604).
    """,
    fix="""
        Write `data:` before each event's text, and a blank line after the text.

            yield f"data: {json.dumps(token)}\\n\\n"
    """,
    source="WHATWG HTML, 9.2.6 Interpreting an event stream",
)

NEWLINE = ConfigRule(
    code="PYA602",
    slug="newline-in-token",
    severity=Severity.WARNING,
    message="a line break in {value} ends the event early, and the rest of the text is lost",
    safety=Safety.NONE,
    what="Model output is written after `data:` without being encoded.",
    why="""
        Models produce line breaks, often two in a row. Lines after the first have no field name, so
        clients ignore them, and an empty line ends the event.
    """,
    detection="""
        The value after `data:` is an attribute such as `.content` or a variable such as `token`
        that is not the result of `json.dumps` or a similar function.
    """,
    measured="""
        A token contained two line breaks between "a" and "b". The client received "a" and lost "b".
    """,
    fix="""
        Encode the text of each event as JSON.

            yield f"data: {json.dumps(token)}\\n\\n"
    """,
    source="WHATWG HTML, 9.2.6 Interpreting an event stream",
)

RULES = (UNFRAMED, NEWLINE)

_FIELD = re.compile(r"\s*(?:data|event|id|retry|)\s*:")
_ENDED = re.compile(r"(?:\r\n\r\n|\n\n|\r\r)[ \t]*$")
_TEXT_NAMES = re.compile(
    r"(?:\w+_)?(?:token|tok|text|content|word|delta|piece|answer|reply|completion|sentence)\w?"
)
_TEXT_KEYS = frozenset({"content", "text", "response", "token", "delta", "message"})
_TEXT_ATTRIBUTES = frozenset({"content", "text", "token", "delta", "output_text"})
# Functions whose result contains no line breaks.
_ENCODERS = frozenset({
    "dumps", "model_dump_json", "json", "to_json", "quote", "quote_plus", "b64encode",
    "urlsafe_b64encode", "repr", "replace", "range", "enumerate", "splitlines", "iter_lines",
    "aiter_lines", "split", "strip", "encode_json", "escape", "hex", "isoformat",
})  # fmt: skip
# Functions that remove line breaks, and methods that do not add line breaks.
_LINE_LOOPS = frozenset({"iter_lines", "aiter_lines", "splitlines"})
_LINE_METHODS = frozenset({"decode", "encode", "strip", "rstrip"})
_MAX_NESTED = 30


def find(program: PythonProgram, route: StreamingRoute) -> Iterator[Diagnostic]:
    """Find problems in the text that the generator of an event stream yields."""
    name = last_name(program.called(route.call))
    frames_itself = name in {"EventSourceResponse", "EventStream", "StreamResponse", "post", "get"}
    if frames_itself or not route.generators:
        return
    generator = route.generators[0]
    yields = [one for one in program.own_nodes(generator) if isinstance(one, ast.Yield)]
    if route.kind is StreamKind.SSE:
        yield from _unframed(program, generator, yields)
    for one in yields:
        yield from _newlines(program, one)


def pieces(expression: ast.AST | None) -> list[str | ast.expr]:
    """Return the constants and values that a string expression consists of, in order."""
    found: list[str | ast.expr] = []
    pending: list[ast.AST | None] = [expression]
    for _ in range(_MAX_NESTED):
        if not pending:
            break
        one = pending.pop()
        text = text_of(one)
        if text is not None:
            found.append(text)
        elif isinstance(one, ast.JoinedStr):
            pending += reversed(one.values)
        elif isinstance(one, ast.FormattedValue):
            found.append(one.value)
        elif isinstance(one, ast.BinOp) and isinstance(one.op, ast.Add):
            pending += (one.right, one.left)
        elif isinstance(one, ast.Call) and _is_encode(one):
            pending.append(one.func.value)  # type: ignore[attr-defined]
        elif isinstance(one, ast.expr):
            found += _formatted(one) or [one]
    return found


def _is_encode(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Attribute) and call.func.attr == "encode"


def _formatted(one: ast.expr) -> list[str | ast.expr]:
    """Return the pieces of ``"…{}…".format(value)`` or ``"…%s…" % value`` with a single value."""
    if isinstance(one, ast.BinOp) and isinstance(one.op, ast.Mod):
        text, mark, value = text_of(one.left), "%s", one.right
    elif isinstance(one, ast.Call) and last_name_of(one) == "format" and len(one.args) == 1:
        assert isinstance(one.func, ast.Attribute)
        text, mark, value = text_of(one.func.value), "{}", one.args[0]
    else:
        return []
    if text is None or text.count(mark) != 1:
        return []
    before, _, after = text.partition(mark)
    return [before, value, after]


def last_name_of(call: ast.Call) -> str:
    """Return the name of the called method; empty for a function call."""
    return call.func.attr if isinstance(call.func, ast.Attribute) else ""


def _unframed(
    program: PythonProgram, generator: FunctionNode, yields: list[ast.Yield]
) -> Iterator[Diagnostic]:
    texts = [pieces(one.value) for one in yields]
    if texts and all(_is_bare_line(program, one) for one in texts):
        what = "the lines have no line breaks here, and no yield of this generator adds them"
        yield diagnostic_at(UNFRAMED, program.source, program.span(yields[0]), what=what)
        return
    has_unknown = any(not _is_known(program, one) for one in texts)
    if any(isinstance(one, ast.YieldFrom) for one in program.own_nodes(generator)):
        has_unknown = True
    if not texts or has_unknown:
        return
    node = yields[0]
    if not any(one and isinstance(one[0], str) and _FIELD.match(one[0]) for one in texts):
        what = "no yield of this generator begins with a field such as `data:`"
        # A variable named `token` may contain an event that was already framed.
        is_certain = not all(isinstance(one, ast.Name) for text in texts for one in text)
        severity = Severity.ERROR if is_certain else Severity.WARNING
        span = program.span(node)
        yield diagnostic_at(UNFRAMED, program.source, span, severity=severity, what=what)
    elif not any(_ends_event(one) for one in texts):
        what = "no yield of this generator ends an event with a blank line"
        yield diagnostic_at(UNFRAMED, program.source, program.span(node), what=what)


def _is_bare_line(program: PythonProgram, text: list[str | ast.expr]) -> bool:
    """Return whether a text is a line whose line ending was removed by the loop that reads it."""
    value = text[0] if len(text) == 1 else None
    while isinstance(value, ast.Call) and last_name_of(value) in _LINE_METHODS:
        assert isinstance(value.func, ast.Attribute)
        value = value.func.value
    if not isinstance(value, ast.Name) or program.value_of(value.id, value) is not None:
        return False
    loop = program.loop_over(value.id, value)
    if loop is None or not isinstance(loop.iter, ast.Call):
        return False
    is_extended = any(
        isinstance(one, ast.AugAssign) and ast.unparse(one.target) == value.id
        for one in ast.walk(loop)
    )
    return not is_extended and last_name(program.called(loop.iter)) in _LINE_LOOPS


def _is_known(program: PythonProgram, text: list[str | ast.expr]) -> bool:
    """Return whether the start and the end of a text are known."""
    first = text[0] if text else ""
    if not isinstance(first, str) and not _is_model_text(program, first):
        return False
    if any(isinstance(one, str) and one for one in text):
        last = text[-1]
        return isinstance(last, str) or _is_model_text(program, last)
    return len(text) == 1 and not isinstance(text[0], str) and _is_model_text(program, text[0])


def _ends_event(text: list[str | ast.expr]) -> bool:
    if text in (["\n"], ["\r\n"]):  # the previous text ended with a line break
        return True
    return isinstance(text[-1], str) and _ENDED.search(text[-1]) is not None


def _is_model_text(program: PythonProgram, value: ast.expr) -> bool:
    """Return whether an expression has a name that is commonly used for model output."""
    if isinstance(value, ast.BoolOp):  # for example, `content or ""`
        value = value.values[0]
    if isinstance(value, ast.Attribute):
        return value.attr in _TEXT_ATTRIBUTES
    if isinstance(value, ast.Subscript):
        return text_of(value.slice) in _TEXT_KEYS
    if isinstance(value, ast.Name) and _TEXT_NAMES.fullmatch(value.id.lower()):
        return not _is_encoded(program, value)
    return False


def _is_encoded(program: PythonProgram, name: ast.Name) -> bool:
    """Return whether a variable holds the result of a function that never returns line breaks."""
    loop = program.loop_over(name.id, name)
    value = program.value_of(name.id, name) if loop is None else loop.iter
    if isinstance(value, ast.Await):
        value = value.value
    if isinstance(value, ast.Call):
        return last_name(program.called(value)) in _ENCODERS
    if isinstance(value, ast.List | ast.Tuple):
        return all("\n" not in (text_of(one) or "") for one in value.elts)
    if isinstance(value, ast.JoinedStr):
        return False
    return isinstance(value, ast.Constant) and "\n" not in (text_of(value) or "")


def _newlines(program: PythonProgram, node: ast.Yield) -> Iterator[Diagnostic]:
    before = ""
    for one in pieces(node.value):
        if isinstance(one, str):
            before = one
            continue
        if before.rstrip(" ").endswith("data:") and _is_model_text(program, one):
            value = ast.unparse(one)
            yield diagnostic_at(NEWLINE, program.source, program.span(node), value=f"`{value}`")
            return
        before = ""
