"""`undam check`: find the hop that holds a stream, and show how to fix it."""

from __future__ import annotations

import asyncio
import os
import platform

import click

import undam
from undam.cli.commands.check.arguments import (
    default_url,
    options_from,
    require_outputs,
    url_and_json,
)
from undam.cli.commands.check.hop_arguments import hop_options
from undam.cli.commands.check.mcp import run_mcp
from undam.cli.commands.check.progress import live_progress
from undam.cli.commands.check.text import print_report
from undam.cli.main import EXIT_CLEAN, EXIT_FINDINGS
from undam.cli.ui.output import STDOUT, console, json_option, write_atomically, write_json
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
from undam.errors import UsageError
from undam.probe import DEFAULT_PROMPT, CheckOptions, Report, report_json, run_check
from undam.record import record_lines


@click.command(context_settings={"max_content_width": 100})
@click.argument("url", required=False, metavar="URL")
@click.option(
    "--hop",
    "hops",
    multiple=True,
    metavar="NAME=URL",
    help="An inner hop. Repeatable: the outermost first, the one nearest to the model last.",
)
@hop_options
@model_option
@click.option("--prompt", metavar="P", default=DEFAULT_PROMPT, help="Prompt to send.")
@header_option
@data_option
@method_option
@curl_option
@click.option(
    "--streams",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of streams to open at once.",
)
@click.option(
    "--beacon",
    is_flag=True,
    help="The origin is `undam sim` or uses undam.asgi.Beacon: measure hold times exactly.",
)
@click.option(
    "--idle",
    type=click.FloatRange(0.5, 3600),
    metavar="SECONDS",
    help="Keep streams silent for up to S seconds, to find idle limits (needs --beacon or --mcp).",
)
@click.option(
    "--cancel",
    is_flag=True,
    help="Check that a client disconnect reaches the origin (needs --beacon).",
)
@click.option(
    "--no-experiments",
    is_flag=True,
    help="Do not send further requests if the first ones do not show the cause.",
)
@click.option(
    "--tools",
    is_flag=True,
    help="Also request a tool call, and check that its arguments stream and are complete.",
)
@click.option(
    "--mcp",
    is_flag=True,
    help="URL is an MCP server: check the stream on which it sends notifications.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 86400),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="Time limit per stream, in seconds.",
)
@click.option(
    "--proxy", metavar="URL", help="Proxy to use for URL: http://, socks5:// or socks5h://."
)
@click.option(
    "--proxy-hops", is_flag=True, help="Send the requests to --hop URLs through the proxy, too."
)
@http_version_options
@connection_options
@redirect_options
@click.option(
    "--record",
    metavar="FILE",
    help="Save the raw responses, to re-analyze them with `undam report`.",
)
@json_option
def command(url: str | None, json_to: str | None, record: str | None, **given: object) -> int:
    """Find out which hop holds a stream, how, and which configuration line fixes it.

    URL is the endpoint that users reach; the default is OPENAI_BASE_URL. A base URL, which has no
    path or ends in /v1, is expanded to its chat endpoint. If the path ends in /chat/completions,
    /completions, /responses or /messages, the check sends a streaming request for that API. Any
    other URL is fetched as given, or with the request from --curl or --data.

    The API key comes from -H, OPENAI_API_KEY or ANTHROPIC_API_KEY, and is never printed. It is sent
    only to the origin of URL. A key from the environment is also sent to hops that belong to the
    key's provider. Use --hop-header, --hop-model, --hop-data and --hop-curl to give a hop its own
    request.

    Exit codes: 0 without errors and warnings, 1 with errors or warnings, 2 if the check could not
    run.
    """
    url, json_to = url_and_json(url, json_to, default_url(given, os.environ))
    options = options_from(url, given)
    require_outputs(record, json_to)
    if given["mcp"]:
        mcp = run_mcp(options, json_to, record, _about())
        return EXIT_CLEAN if mcp.is_clean else EXIT_FINDINGS
    with live_progress() as progress:
        report = asyncio.run(run_check(options, progress))
    fault = _write_files(report, options, record, json_to)
    if json_to == STDOUT:
        write_json(report_json(report), STDOUT)
    else:
        print_report(report, console())
    if fault is not None:
        raise fault
    return EXIT_CLEAN if report.is_clean else EXIT_FINDINGS


def _write_files(
    report: Report, options: CheckOptions, record: str | None, json_to: str | None
) -> UsageError | None:
    """Write the output files. Return a failure, so that the report is still printed."""
    try:
        if record is not None:
            write_atomically(record, record_lines(report.exchanges, _about(), options.secrets))
        if json_to not in {None, STDOUT}:
            assert json_to is not None
            write_json(report_json(report), json_to)
    except UsageError as error:
        return error
    return None


def _about() -> dict[str, object]:
    return {
        "command": "check",
        "undam": undam.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }
