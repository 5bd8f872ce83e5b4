"""`undam check`: which hop holds the stream, how long, in what pattern, and what mends it."""

from __future__ import annotations

import asyncio
import platform

import click

import undam
from undam.cli.commands.check.arguments import options_from, require_outputs, url_and_json
from undam.cli.commands.check.progress import live_progress
from undam.cli.commands.check.text import print_report
from undam.cli.main import EXIT_CLEAN, EXIT_FINDINGS
from undam.cli.ui.output import STDOUT, console, json_option, write_json, write_whole
from undam.cli.ui.target_options import (
    connection_options,
    header_option,
    method_option,
    model_option,
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
    help="A place further in, outermost first; the last one nearest to the model.",
)
@model_option
@click.option("--prompt", metavar="P", default=DEFAULT_PROMPT, help="What to ask it.")
@header_option
@click.option("--data", metavar="@FILE|JSON", help="The request body, instead of the API's own.")
@method_option
@click.option(
    "--streams",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="Streams at once.",
)
@click.option(
    "--beacon",
    is_flag=True,
    help="The far end is `undam sim` or undam.asgi.Beacon: holds become exact.",
)
@click.option(
    "--idle",
    type=click.FloatRange(0.5, 3600),
    metavar="SECONDS",
    help="Find what cuts a stream that is silent for so long (needs --beacon).",
)
@click.option(
    "--cancel", is_flag=True, help="Find whether the origin sees its client leave (needs --beacon)."
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 86400),
    default=120.0,
    show_default=True,
    metavar="SECONDS",
    help="For each stream, from its start to its end.",
)
@click.option("--proxy", metavar="URL", help="An HTTP proxy to go through.")
@connection_options
@click.option("--record", metavar="FILE", help="Keep all that came, for a later judgement.")
@json_option
def command(url: str | None, json_to: str | None, record: str | None, **given: object) -> int:
    """Say which hop holds the stream of URL, how long, in what pattern, and what mends it.

    URL is what users reach. A path that ends in /chat/completions, /completions, /responses or
    /messages is called in that API's streaming form; any other is fetched as given. The API key
    comes from -H, or from OPENAI_API_KEY or ANTHROPIC_API_KEY; it is shown nowhere.

    Exits with 0 when all is well, 1 when there is an error or a warning, 2 when it could not run.
    """
    url, json_to = url_and_json(url, json_to)
    options = options_from(url, given)
    require_outputs(record, json_to)
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
    """Write what goes into files; a fault is handed back, so that the words are still printed."""
    try:
        if record is not None:
            write_whole(record, record_lines(report.exchanges, _about(), options.secrets))
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
