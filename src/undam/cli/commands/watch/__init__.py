"""`undam watch`: print a stream token by token, and one line of timing at the end."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import replace

import click

import undam
from undam.apis import PLAIN
from undam.cli.commands.check.arguments import (
    chat_of_base,
    default_url,
    options_from,
    require_outputs,
)
from undam.cli.commands.watch.stream import Watched, watch_stream
from undam.cli.commands.watch.text import closing_line, is_clean, watched_json
from undam.cli.commands.watch.view import RawView, TextView, View
from undam.cli.main import EXIT_CLEAN, EXIT_FINDINGS
from undam.cli.ui.output import STDOUT, json_option, write_atomically, write_json
from undam.cli.ui.sanitize import one_line
from undam.cli.ui.target_options import (
    connection_options,
    curl_option,
    data_option,
    header_option,
    http_version_options,
    method_option,
    model_option,
    redirect_options,
)
from undam.errors import UndamError, UsageError
from undam.probe import DEFAULT_PROMPT, CheckOptions
from undam.probe.options import api_of
from undam.probe.secrecy import clean_error, clean_text
from undam.record import record_lines

_EXAMPLE = "undam watch http://localhost:8000/v1 'Why is the sky blue?'"

# No model accepts a larger prompt. A longer input was probably piped in by mistake.
_MAX_PROMPT_BYTES = 16 << 20


@click.command(context_settings={"max_content_width": 100})
@click.argument("url", required=False)
@click.argument("prompt", required=False)
@click.option("--raw", is_flag=True, help="Show events and comments with their arrival times.")
@model_option
@header_option
@data_option
@method_option
@curl_option
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 86400),
    default=600.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit for the whole stream.",
)
@click.option("--proxy", metavar="URL", help="URL of an HTTP proxy.")
@http_version_options
@connection_options
@redirect_options
@click.option(
    "--record",
    metavar="FILE",
    help="Save the raw response, to re-analyze it later with `undam report`.",
)
@json_option
def command(
    url: str | None,
    prompt: str | None,
    raw: bool,
    record: str | None,
    json_to: str | None,
    **given: object,
) -> int:
    """Print the stream from URL as it arrives, followed by one line with timing metrics.

    URL is an endpoint or the base URL of an API; the default is OPENAI_BASE_URL. A base URL, which
    has no path or ends in /v1, is expanded to its chat endpoint. The keys in OPENAI_API_KEY and
    ANTHROPIC_API_KEY are sent to their APIs. PROMPT is read from standard input if it is `-`, or if
    it is omitted and standard input is not a terminal.

    The response is written to standard output and the line with metrics to standard error. On a
    terminal, brackets mark heartbeats, stalls and bursts, and reasoning is shown in dim text.

    Exit codes: 0 if the response streamed and is complete, 1 if it did not stream, is incomplete or
    is damaged, 2 if the command could not run.
    """
    if given["curl"] is not None:
        url = url or default_url(given, os.environ)
    url, prompt, json_to = _arguments(url, prompt, json_to, os.environ)
    fixed: dict[str, object] = {
        "hops": (), "streams": 1, "beacon": False, "idle": None, "cancel": False,
    }  # fmt: skip
    options = options_from(url, {**given, **fixed, "prompt": DEFAULT_PROMPT})
    require_outputs(record, json_to)
    options = _with_prompt(options, prompt)
    view: View = RawView(sys.stdout) if raw else TextView.on(sys.stdout, api_of(options.edge))
    return _run(options, None if json_to == STDOUT else view, record, json_to)


def _run(options: CheckOptions, view: View | None, record: str | None, json_to: str | None) -> int:
    started = time.monotonic()
    try:
        watched = asyncio.run(watch_stream(options, view))
    except BrokenPipeError:
        return _output_closed()
    except KeyboardInterrupt:
        _print_line(f"interrupted after {time.monotonic() - started:.1f} s, before the response")
        raise
    except UndamError as error:
        clean_error(error, options.secrets)
        raise
    try:
        if view is not None:
            view.finish()
    except BrokenPipeError:
        return _output_closed()
    _print_line(clean_text(closing_line(watched), options.secrets))
    _write_files(watched, options, record, json_to)
    if watched.interrupted:
        raise KeyboardInterrupt
    return EXIT_CLEAN if is_clean(watched) else EXIT_FINDINGS


def _output_closed() -> int:
    """Discard further output after the reader of standard output has exited (`| head`)."""
    from undam.cli.ui.console import discard_stdout  # noqa: PLC0415 (loads rich)

    discard_stdout()
    return EXIT_CLEAN


def _print_line(line: str) -> None:
    click.echo(one_line(line), err=True)


def _write_files(
    watched: Watched, options: CheckOptions, record: str | None, json_to: str | None
) -> None:
    if record is not None:
        write_atomically(record, record_lines([watched.exchange], _environment(), options.secrets))
    if json_to is not None:
        result = watched_json(watched)
        cleaned = {key: clean_text(result[key], options.secrets) for key in ("url", "text")}
        write_json({**result, **cleaned}, json_to)


def _arguments(
    url: str | None, prompt: str | None, json_to: str | None, environ: Mapping[str, str]
) -> tuple[str, str | None, str | None]:
    """Return URL, prompt and JSON target from the arguments; each may be omitted."""
    if url is None and json_to is not None and "://" in json_to:
        url, json_to = json_to, STDOUT
    base = environ.get("OPENAI_BASE_URL", "").strip()
    if url is not None and prompt is None and base and "://" not in url:
        url, prompt = None, url
    if url is None:
        if not base:
            raise UsageError(f"missing URL, and OPENAI_BASE_URL is not set; example: {_EXAMPLE}")
        return chat_of_base(base), prompt, json_to
    return url, prompt, json_to


def _with_prompt(options: CheckOptions, prompt: str | None) -> CheckOptions:
    needed = options.data is None and api_of(options.edge) is not PLAIN
    if prompt not in {None, "-"}:
        return replace(options, prompt=str(prompt))
    if prompt == "-" or (needed and not _is_terminal()):
        text = _read_prompt()
        if text.strip():
            return replace(options, prompt=text)
        if prompt == "-":
            raise UsageError("the prompt on standard input is empty")
    return options


def _is_terminal() -> bool:
    return sys.stdin is None or sys.stdin.closed or sys.stdin.isatty()


def _read_prompt() -> str:
    try:
        data = sys.stdin.buffer.read(_MAX_PROMPT_BYTES + 1)
    except OSError as error:
        raise UsageError(f"standard input: {error.strerror}") from None
    if len(data) > _MAX_PROMPT_BYTES:
        raise UsageError(f"the prompt is larger than {_MAX_PROMPT_BYTES >> 20} MB")
    return data.decode("utf-8", "replace")


def _environment() -> dict[str, object]:
    return {
        "command": "watch",
        "undam": undam.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
