"""Rules CMD401-CMD403: servers that cut off long responses, and engines without heartbeats."""

from __future__ import annotations

import re
from collections.abc import Iterator

from undam.lint.diagnostics import (
    ConfigRule,
    Diagnostic,
    Safety,
    diagnostic_at,
    with_unread_part,
)
from undam.lint.dialects.commands.parser import CommandStyle
from undam.lint.dialects.commands.programs import GUNICORN, LLAMA_CPP, UWSGI
from undam.lint.dialects.commands.routes import ServerCommand, total_limit_of
from undam.lint.evidence.neighbours import DYNAMIC
from undam.lint.limits import total_limit_severity
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source

SYNC_WORKER = ConfigRule(
    code="CMD401",
    slug="gunicorn-sync-worker",
    severity=Severity.ERROR,
    message=(
        "gunicorn uses sync workers: a response is cut after {limit:g} s, and a worker serves no "
        "other request while it streams"
    ),
    safety=Safety.UNSAFE,
    what="""
        A gunicorn sync worker notifies the arbiter only between requests. If a worker does not
        notify the arbiter for `--timeout` seconds (30 by default), the arbiter kills the worker.
        Killing the worker cuts the response.
    """,
    why="""
        An answer that takes longer than `--timeout` is cut; heartbeats do not help. Each stream
        also occupies a whole worker process.
    """,
    detection="""
        A command starts gunicorn with the default worker class and without threads. The image, the
        name or a program in the same directory shows that the application streams. A configuration
        file of gunicorn in the same directory is read. If gunicorn reads another configuration
        file, the severity is lower, because that file may set the worker class.
    """,
    measured="""
        gunicorn 27.0.1 with `--timeout 2`: a sync worker that sent an event every 0.2 s was killed
        3.1 s after the request. The response was truncated. With `--worker-class gthread --threads
        32`, the whole 6 s stream arrived. Neither uvicorn 0.54 with `--timeout-keep-alive 1` nor
        hypercorn 0.18 with `--read-timeout 2` cut the stream.
    """,
    fix="""
        Use gevent workers or threads. The number of threads limits the number of concurrent
        streams. For an ASGI application, use the worker class `asgi` or
        `uvicorn_worker.UvicornWorker`.

            gunicorn --worker-class gthread --threads 32 app:app
    """,
    source="measured on loopback with gunicorn 27.0.1; docs.gunicorn.org, timeout, worker_class",
)

HARAKIRI = ConfigRule(
    code="CMD402",
    slug="uwsgi-harakiri",
    severity=Severity.WARNING,
    message="harakiri kills the worker if a response takes longer than {limit:g} s",
    safety=Safety.UNSAFE,
    what="""
        uWSGI kills a worker that spends more than `--harakiri` seconds on one request. By default,
        the duration of a request is not limited.
    """,
    why="""
        A longer stream is cut off while tokens are still arriving; heartbeats do not
        help.
    """,
    detection="""
        A command starts uWSGI with a `--harakiri` limit below one hour, and the application is
        known to stream. A limit of up to one minute is reported as an error, and a longer limit as
        a warning.
    """,
    measured="No; the rule relies on documentation.",
    fix="""
        Raise the `--harakiri` limit. With a longer limit, a hanging request occupies its worker for
        longer.

            --harakiri 3600
    """,
    source="uwsgi-docs.readthedocs.io, Options, harakiri (uWSGI 2.0.31); accessed 2026-11",
)

NO_PINGS = ConfigRule(
    code="CMD403",
    slug="heartbeats-turned-off",
    severity=Severity.WARNING,
    message="{flag} {value} turns off the heartbeats that llama.cpp sends during a silence",
    safety=Safety.SAFE,
    what="""
        llama-server sends a comment when a stream has been silent for `--sse-ping-interval` seconds
        (30 by default). An interval of 0 or less turns the heartbeats off.
    """,
    why="""
        Without heartbeats, nothing is sent during a long prefill. Each proxy on the path then cuts
        the stream at its idle limit, often after 60 s.
    """,
    detection="A command sets `--sse-ping-interval` to 0 or a negative number.",
    measured="No; the rule relies on documentation.",
    fix="""
        Remove `--sse-ping-interval`, or set it to at most half of the shortest idle limit on the
        path.

            --sse-ping-interval 15
    """,
    source="ggml-org/llama.cpp#25241 and tools/server/README.md (b9864, 2026); accessed 2026-11",
)

RULES = (SYNC_WORKER, HARAKIRI, NO_PINGS)

_THREADS = ("--worker-class", "gthread", "--threads", "32")
_CONFIG = ("-c", "--config")
# Flags that gunicorn also reads from the environment.
_VARIABLE = re.compile(r"GUNICORN_CMD_ARGS[^\n]*(?:\n[ \t]*value[^\n]*)?")
_ASYNC_WORKERS = re.compile(
    r"(?:-k|--worker-class)[ =]+(?!sync\b)[\w.]+|--threads[ =]+(?:[2-9]|1\d)"
)


def find(server: ServerCommand, source: Source) -> Iterator[Diagnostic]:
    """Find server time limits and disabled heartbeats."""
    if server.program is GUNICORN:
        yield from _find_sync(server, source)
    elif server.program is UWSGI:
        yield from _find_harakiri(server, source)
    elif server.program is LLAMA_CPP:
        yield from _find_pings(server, source)


def _find_sync(server: ServerCommand, source: Source) -> Iterator[Diagnostic]:
    limit = total_limit_of(server.command, server.program)
    severity = total_limit_severity(limit.seconds) if limit is not None else None
    if limit is None or severity is None:
        return
    found = diagnostic_at(
        SYNC_WORKER,
        source,
        limit.span or server.span,
        *_use_threads(server, source),
        severity=severity,
        limit=limit.seconds,
    )
    config = server.command.flag(*_CONFIG)
    known = server.command.config
    variable = _VARIABLE.search(source.text)
    if variable is not None and _ASYNC_WORKERS.search(variable[0]):
        return
    if variable is not None:
        found = with_unread_part(found, "GUNICORN_CMD_ARGS")
    elif DYNAMIC in (known or {}) or (config is not None and known is None):
        name = config.value if config is not None else "gunicorn.conf.py"
        found = with_unread_part(found, f"the configuration {name}")
    yield found


def _use_threads(server: ServerCommand, source: Source) -> list[Edit]:
    """Return the edits that add threads; empty if threads or a worker class are already set."""
    named = server.command.flag("-k", "--worker-class", "--threads")
    is_set = named is not None or {"worker_class", "threads"} & set(server.command.config or ())
    if is_set or server.word is None:
        return []
    if server.command.style is CommandStyle.FLOW and source.text[server.word.start] != '"':
        return []
    return [server.command.insert_after(source, server.word, _THREADS)]


def _find_harakiri(server: ServerCommand, source: Source) -> Iterator[Diagnostic]:
    limit = total_limit_of(server.command, server.program)
    severity = total_limit_severity(limit.seconds) if limit is not None else None
    if limit is not None and limit.value_span is not None and severity is not None:
        yield diagnostic_at(
            HARAKIRI,
            source,
            limit.value_span,
            Edit(*limit.value_span, "3600"),
            severity=severity,
            limit=limit.seconds,
        )


def _find_pings(server: ServerCommand, source: Source) -> Iterator[Diagnostic]:
    seconds, flag = server.program.heartbeat_of(server.command)
    if flag is not None and seconds is None and flag.value.lstrip("-").isdecimal():
        yield diagnostic_at(
            NO_PINGS,
            source,
            flag.value_span,
            Edit(*flag.value_span, "15"),
            flag=flag.name,
            value=flag.value,
        )
