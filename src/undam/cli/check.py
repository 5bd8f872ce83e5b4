"""`undam check`: which hop holds the stream, how long, in what pattern, and what mends it."""

from __future__ import annotations

import asyncio
import os
import platform
import sys
from pathlib import Path

import click

import undam
from undam.cli.check_progress import live_progress
from undam.cli.check_words import print_report
from undam.cli.main import EXIT_CLEAN, EXIT_FINDINGS
from undam.cli.output import STDOUT, console, json_option, write_json, write_whole
from undam.errors import UsageError
from undam.probe import DEFAULT_PROMPT, CheckOptions, Place, Report, report_json, run_check
from undam.record import record_lines
from undam.wire import ClientConfig, parse_resolve, parse_url

# A body larger than this is no prompt.
_MAX_DATA_BYTES = 16 << 20


@click.command(context_settings={"max_content_width": 100})
@click.argument("url")
@click.option(
    "--hop",
    "hops",
    multiple=True,
    metavar="NAME=URL",
    help="A place further in, outermost first; the last one nearest to the model.",
)
@click.option(
    "--model", metavar="M", help="The model to ask for [the first that the server lists]."
)
@click.option("--prompt", metavar="P", default=DEFAULT_PROMPT, help="What to ask it.")
@click.option(
    "-H",
    "--header",
    "headers",
    multiple=True,
    metavar="'K: V'",
    help="A request header; may be given again.",
)
@click.option("--data", metavar="@FILE|JSON", help="The request body, instead of the API's own.")
@click.option("--method", metavar="M", help="The request method [POST with a body, else GET].")
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
@click.option("--cacert", metavar="F", help="Trust the certificates in this PEM file.")
@click.option("--cert", metavar="F", help="A client certificate with its key, PEM.")
@click.option("--resolve", multiple=True, metavar="H:P:A", help="Use address A for host H, port P.")
@click.option("--insecure", is_flag=True, help="Accept any certificate.")
@click.option("--record", metavar="FILE", help="Keep all that came, for a later judgement.")
@json_option
def command(url: str, json_to: str | None, record: str | None, **given: object) -> int:
    """Say which hop holds the stream of URL, how long, in what pattern, and what mends it.

    URL is what users reach. A path that ends in /chat/completions, /completions, /responses or
    /messages is called in that API's streaming form; any other is fetched as given.

    Exits with 0 when all is well, 1 when there is an error or a warning, 2 when it could not run.
    """
    options = _options(url, given)
    with live_progress() as progress:
        report = asyncio.run(run_check(options, progress))
    if record is not None:
        write_whole(record, record_lines(report.exchanges, _about(), options.secrets))
    if json_to is not None:
        write_json(report_json(report), json_to)
    if json_to != STDOUT:
        print_report(report, console())
    return EXIT_CLEAN if report.is_clean else EXIT_FINDINGS


def _options(url: str, given: dict[str, object]) -> CheckOptions:
    places = [Place("edge", url), *(_hop(text) for text in _texts(given["hops"]))]
    if len({place.name for place in places}) < len(places):
        raise UsageError("two hops have the same name; the URL itself is called 'edge'")
    for place in places:
        parse_url(place.url)
    if (given["idle"] is not None or given["cancel"]) and not given["beacon"]:
        asked = "--idle" if given["idle"] is not None else "--cancel"
        raise UsageError(
            f"{asked} needs a far end that obeys: add --beacon, with `undam sim` or "
            f"undam.asgi.Beacon behind your proxies"
        )
    data = given["data"]
    idle, timeout = given["idle"], given["timeout"]
    assert isinstance(timeout, float)
    return CheckOptions(
        places=tuple(places),
        model=_text(given["model"]),
        prompt=str(given["prompt"]),
        headers=tuple(_header(text) for text in _texts(given["headers"])),
        data=None if data is None else _data(str(data)),
        method=_text(given["method"]),
        streams=int(str(given["streams"])),
        beacon=bool(given["beacon"]),
        idle_s=float(str(idle)) if idle is not None else None,
        cancel=bool(given["cancel"]),
        environ=dict(os.environ),
        client=ClientConfig(
            proxy=_text(given["proxy"]),
            environ=dict(os.environ),
            cacert=_text(given["cacert"]),
            cert=_text(given["cert"]),
            resolve=tuple(parse_resolve(text) for text in _texts(given["resolve"])),
            insecure=bool(given["insecure"]),
            timeout_s=timeout,
        ),
    )


def _texts(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else ()


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _hop(text: str) -> Place:
    name, equals, url = text.partition("=")
    if not equals or not name.strip() or "://" in name:
        raise UsageError(f"--hop {text!r}: expected NAME=URL, as origin=http://10.0.0.5:8000/v1/…")
    return Place(name.strip(), url.strip())


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        # The text may be a key that lost its name, so it is not repeated.
        raise UsageError("-H: expected 'Name: value'")
    return name.strip(), value.strip()


def _data(text: str) -> bytes:
    if not text.startswith("@"):
        return text.encode("utf-8", "surrogateescape")
    try:
        if text == "@-":
            data = sys.stdin.buffer.read(_MAX_DATA_BYTES + 1)
        else:
            with Path(text[1:]).open("rb") as file:
                data = file.read(_MAX_DATA_BYTES + 1)
    except OSError as error:
        raise UsageError(f"--data {text}: {error.strerror}") from None
    if len(data) > _MAX_DATA_BYTES:
        raise UsageError(f"--data {text}: larger than {_MAX_DATA_BYTES >> 20} MB")
    return data


def _about() -> dict[str, object]:
    return {
        "command": "check",
        "undam": undam.__version__,
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


__all__ = ["Report", "command"]
