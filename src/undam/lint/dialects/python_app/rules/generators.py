"""Rules PYA106-PYA108, PYA201 and PYA205: generators that block or ignore cancellation."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import takewhile

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.python_app.parser import (
    FunctionNode,
    PythonProgram,
    last_name,
    number_of,
)
from undam.lint.dialects.python_app.routes import StreamingRoute
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source

BLOCKS = ConfigRule(
    code="PYA106",
    slug="blocking-call-in-generator",
    severity=Severity.ERROR,
    message="{call} blocks the event loop: meanwhile no stream of this process makes progress",
    safety=Safety.NONE,
    what="An asynchronous generator or handler calls a blocking function.",
    why="""
        While the call waits, the event loop runs nothing else. Every other stream of the process
        pauses. The process sends no heartbeats and does not detect client disconnects.
    """,
    detection="""
        An asynchronous function that produces a stream calls `time.sleep`, `requests`, `urllib`,
        the synchronous `httpx` client, or a synchronous SDK. For a call outside the generator, the
        severity is lower. Calls that run through `asyncio.to_thread` or `run_in_executor` are not
        reported.
    """,
    measured="""
        uvicorn 0.54.0: one stream called `time.sleep(0.3)` three times. Meanwhile, another stream
        with an event due every 40 ms paused for 0.9 s.
    """,
    fix="""
        Use the asynchronous form of the call, or move it to a thread.

            await asyncio.sleep(1)
            client = openai.AsyncOpenAI()
            await asyncio.to_thread(blocking_call)
    """,
    source="measured on loopback with uvicorn 0.54.0; docs.python.org, Developing with asyncio",
)

NEVER_AWAITS = ConfigRule(
    code="PYA107",
    slug="generator-never-awaits",
    severity=Severity.WARNING,
    message="the loop of the asynchronous generator {name} never awaits, so no other task runs",
    safety=Safety.NONE,
    what="An asynchronous generator yields events in a loop that contains no `await`.",
    why="""
        The generator blocks the event loop until it has produced all events. Meanwhile, other
        streams pause, the server sends no heartbeats, and it does not detect client disconnects.
    """,
    detection="""
        An asynchronous generator has a loop around a `yield`, and the loop contains no `await`,
        `async for` or `async with`. The rule cannot determine how long the loop runs.
    """,
    measured="""
        uvicorn 0.54.0: a generator without `await` produced 20 events and spent 50 ms on each.
        Meanwhile, another stream paused for 1.0 s. The generator's own events were sent one by one.
    """,
    fix="""
        Iterate over an asynchronous source. If the source is synchronous, make the generator
        synchronous too; Starlette then runs it in a thread.

            async for token in model.stream(prompt):
                yield event(token)
    """,
    source="measured on loopback with uvicorn 0.54.0",
)

THREADS = ConfigRule(
    code="PYA108",
    slug="generator-occupies-thread",
    severity=Severity.INFO,
    message="each stream of the synchronous generator {name} occupies one of 40 threads",
    safety=Safety.NONE,
    what="A synchronous generator produces the events of a `StreamingResponse`.",
    why="""
        Starlette runs each step of the generator in an AnyIO worker thread. AnyIO allows 40 such
        threads by default. If 40 streams occupy them, the next stream and all synchronous handlers
        have to wait.
    """,
    detection="A synchronous generator is passed to `StreamingResponse` as its content.",
    measured="""
        Starlette 1.10.0: with a limit of 2 threads and pauses of 0.4 s, three streams took twice as
        long as two.
    """,
    fix="""
        Make the generator asynchronous, or raise the number of threads when the application starts.

            anyio.to_thread.current_default_thread_limiter().total_tokens = 400
    """,
    source="starlette.dev, Thread pool",
)

SLEEP_ZERO = ConfigRule(
    code="PYA201",
    slug="sleep-zero-is-no-flush",
    severity=Severity.INFO,
    message="sleep(0) does not flush: the server has sent each event before the generator resumes",
    safety=Safety.SAFE,
    what="A generator awaits `asyncio.sleep(0)` after each event in order to flush it.",
    why="""
        ASGI servers write each chunk when they receive it, so the call has no effect on the stream.
        `asyncio.sleep(0)` only adds a pass through the event loop for each event.
    """,
    detection="""
        A stream's generator contains `await asyncio.sleep(0)` and also awaits something else. If
        `asyncio.sleep(0)` is the only `await`, it is not reported, because it lets other tasks run.
    """,
    measured="""
        uvicorn 0.54.0: each event of a stream arrived in a separate read, with and without
        `asyncio.sleep(0)`.
    """,
    fix="Remove the `asyncio.sleep(0)` call.",
    source="measured on loopback with uvicorn 0.54.0; docs.python.org, asyncio.sleep",
)

SWALLOWED = ConfigRule(
    code="PYA205",
    slug="cancellation-swallowed",
    severity=Severity.WARNING,
    message="{caught} is caught but not raised again, so a cancelled stream {effect}",
    safety=Safety.SAFE,
    what="A generator catches its own cancellation exception and continues.",
    why="""
        When a client disconnects, the server cancels the generator. If a loop swallows the
        exception, the model keeps producing tokens that nobody receives, and the request keeps its
        slot.
    """,
    detection="""
        An `except` clause without a type, or with `BaseException`, `CancelledError` or
        `GeneratorExit`, covers an `await` or a `yield`. The clause does not contain `raise`,
        `return` or `break`. Outside a loop the severity is lower, because the generator ends
        anyway.
    """,
    fix="""
        Raise the exception again after cleaning up.

            except asyncio.CancelledError:
                await upstream.aclose()
                raise
    """,
    source="docs.python.org, asyncio, Task cancellation",
)

RULES = (BLOCKS, NEVER_AWAITS, THREADS, SLEEP_ZERO, SWALLOWED)

_BLOCKING = re.compile(
    r"time\.sleep|requests\.(?:get|post|put|patch|request|Session\(\)\.\w+)"
    r"|urllib\.request\.urlopen|httpx\.(?:get|post|put|request|stream)|subprocess\.(?:run|check_output)"
    r"|os\.system|litellm\.completion|ollama\.(?:chat|generate)|openai\.ChatCompletion\.create"
)
_SYNC_CLIENTS = frozenset({
    "openai.OpenAI()", "openai.AzureOpenAI()", "anthropic.Anthropic()", "groq.Groq()",
    "mistralai.Mistral()", "ollama.Client()", "httpx.Client()", "requests.Session()",
    "requests.session()",
})  # fmt: skip
_SDK_METHODS = frozenset({
    "create", "stream", "chat", "generate", "get", "post", "put", "patch", "request",
})  # fmt: skip
_CANCELS = frozenset({"BaseException", "CancelledError", "GeneratorExit"})
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_LOOPS = (ast.For, ast.AsyncFor, ast.While)
_PAUSES = (ast.Await, ast.AsyncFor, ast.AsyncWith)


def find(program: PythonProgram, route: StreamingRoute) -> Iterator[Diagnostic]:
    """Find problems in the functions that produce a stream."""
    for function in route.functions:
        is_generator = function in route.generators
        blocking: list[Diagnostic] = []
        if isinstance(function, ast.AsyncFunctionDef):
            blocking = list(_blocking(program, function, is_generator=is_generator))
            yield from blocking
        if is_generator:
            if not blocking and route.framework != "undam.asgi":
                yield from _pauses(program, route, function)
            yield from _zero_sleeps(program, function)
            yield from _swallowed(program, function)


def _blocking(
    program: PythonProgram, function: FunctionNode, *, is_generator: bool
) -> Iterator[Diagnostic]:
    severity = Severity.ERROR if is_generator else Severity.WARNING
    for node in program.own_nodes(function):
        if isinstance(node, ast.Call) and _waits(program, node):
            call = last_name(program.called(node))
            written = ast.unparse(node.func) if call != "sleep" else "time.sleep"
            span = program.span(node.func)
            yield diagnostic_at(BLOCKS, program.source, span, severity=severity, call=written)


def _waits(program: PythonProgram, call: ast.Call) -> bool:
    """Return whether a call blocks the calling thread."""
    name = program.called(call)
    if isinstance(next(program.parents(call), None), ast.Await):
        return False
    if _BLOCKING.fullmatch(name):
        return not (name == "time.sleep" and call.args and number_of(call.args[0]) == 0)
    root, _, method = name.partition(".")
    if last_name(method) not in _SDK_METHODS:
        return False
    client = program.value_of(root, call)
    return client is not None and program.dotted(client) in _SYNC_CLIENTS


def _pauses(
    program: PythonProgram, route: StreamingRoute, function: FunctionNode
) -> Iterator[Diagnostic]:
    # FastAPI pauses after each event of a decorated generator.
    is_decorated = route.call in function.decorator_list
    if isinstance(function, ast.FunctionDef):
        if route.framework in {"FastAPI", "Starlette"}:
            span = program.name_span(function)
            yield diagnostic_at(THREADS, program.source, span, name=function.name)
        return
    nodes = program.own_nodes(function)
    loops = [one for one in nodes if isinstance(one, _LOOPS) and _yields(program, one, function)]
    is_async = any(isinstance(one, _PAUSES) for one in nodes) or any(
        isinstance(one, ast.comprehension) and one.is_async for one in nodes
    )
    if loops and not is_async and not is_decorated:
        span = program.name_span(function)
        yield diagnostic_at(NEVER_AWAITS, program.source, span, name=function.name)


def _yields(program: PythonProgram, loop: ast.AST, function: FunctionNode) -> bool:
    return any(
        isinstance(one, ast.Yield | ast.YieldFrom) and loop in program.parents(one)
        for one in program.own_nodes(function)
    )


def _zero_sleeps(program: PythonProgram, function: FunctionNode) -> Iterator[Diagnostic]:
    pauses = [one for one in program.own_nodes(function) if isinstance(one, _PAUSES)]
    zero = [one for one in pauses if isinstance(one, ast.Await) and _is_zero_sleep(program, one)]
    if len(zero) == len(pauses):
        return
    for one in zero:
        edit = _without_statement(program, one)
        edits = () if edit is None else (edit,)
        yield diagnostic_at(SLEEP_ZERO, program.source, program.span(one), *edits)


def _is_zero_sleep(program: PythonProgram, node: ast.Await) -> bool:
    call = node.value
    if not isinstance(call, ast.Call) or program.called(call) not in {
        "asyncio.sleep",
        "anyio.sleep",
    }:
        return False
    return bool(call.args) and number_of(call.args[0]) == 0


def _without_statement(program: PythonProgram, node: ast.AST) -> Edit | None:
    """Return the edit that removes a statement, if it is alone on its line and in its block."""
    statement = next(program.parents(node))
    block = next(program.parents(statement), program.tree)
    body = getattr(block, "body", [])
    first, last = program.source.line_span(program.start(statement))
    line = _without_comment(program.source, first, last)
    if (
        statement not in body
        or len(body) == 1
        or line != ast.get_source_segment(program.source.text, statement)
    ):
        return None
    return Edit(first, last, "")


def _without_comment(source: Source, first: int, last: int) -> str:
    return source.text[first:last].partition("#")[0].strip()


def _swallowed(program: PythonProgram, function: FunctionNode) -> Iterator[Diagnostic]:
    for node in program.own_nodes(function):
        if not isinstance(node, ast.Try):
            continue
        inside = [one for statement in node.body for one in ast.walk(statement)]
        if not any(isinstance(one, (*_PAUSES, ast.Yield)) for one in inside):
            continue
        for handler in node.handlers:
            caught = _cancels(program, handler)
            if caught and not _leaves(handler):
                yield _swallowing(program, node, handler, caught)
            if caught:
                break  # Later handlers never receive this exception.


def _cancels(program: PythonProgram, handler: ast.ExceptHandler) -> str:
    """Return the exception type with which a handler catches cancellation; empty if it does not."""
    if handler.type is None:
        return "every exception"
    types = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = [last_name(program.dotted(one)) for one in types]
    return next((name for name in names if name in _CANCELS), "")


def _leaves(handler: ast.ExceptHandler) -> bool:
    nodes = [one for statement in handler.body for one in ast.walk(statement)]
    return any(isinstance(one, ast.Raise | ast.Return | ast.Break) for one in nodes)


def _swallowing(
    program: PythonProgram, statement: ast.Try, handler: ast.ExceptHandler, caught: str
) -> Diagnostic:
    inner = list(takewhile(lambda one: not isinstance(one, _FUNCTIONS), program.parents(statement)))
    in_loop = any(isinstance(one, _LOOPS) for one in inner)
    edits: tuple[Edit, ...] = ()
    if len(handler.body) == 1 and isinstance(handler.body[0], ast.Pass):
        edits = (Edit(program.start(handler.body[0]), program.end(handler.body[0]), "raise"),)
    return diagnostic_at(
        SWALLOWED, program.source, program.span(handler), *edits,
        severity=Severity.WARNING if in_loop else Severity.INFO,
        caught=caught,
        effect="goes on" if in_loop else "ends as if it were complete",
    )  # fmt: skip
