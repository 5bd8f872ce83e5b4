"""`undam bench`: measure an endpoint under load, and say when the figures cannot be trusted."""

from __future__ import annotations

import click

from undam.cli.commands.bench.arguments import require_consistent
from undam.cli.commands.bench.worker_pools import WorkerPools
from undam.cli.ui.output import json_option
from undam.cli.ui.target_options import (
    connection_options,
    header_option,
    method_option,
    model_option,
)


@click.command(context_settings={"max_content_width": 100})
@click.argument("url", required=False, metavar="URL")
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Closed loop: so many requests under way at any time [10].",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1e6, min_open=True),
    metavar="R",
    help="Open loop: so many requests a second, whatever the server does.",
)
@click.option(
    "--arrivals", type=click.Choice(["poisson", "constant"]), help="Of an open loop [poisson]."
)
@click.option(
    "-n",
    "--requests",
    type=click.IntRange(1, 10_000_000),
    metavar="N",
    help="Requests that count; the warm-up comes on top [100].",
)
@click.option(
    "--duration",
    type=click.FloatRange(0, 7 * 86_400, min_open=True),
    metavar="S",
    help="Begin requests for so long instead; those under way are read to their end.",
)
@click.option(
    "--warmup",
    type=click.IntRange(0, 1_000_000),
    metavar="N",
    help="Leave the first N out of all figures [one a slot, or a second of the rate; at "
    "most a tenth, and 100].",
)
@click.option(
    "--ramp",
    type=click.FloatRange(0, 3600),
    metavar="S",
    help="From the first slot's start to the last one's [5 ms a slot, at most 2 s].",
)
@click.option(
    "--sweep",
    metavar="LIST",
    help="Several runs: concurrencies as 1,10,100, or rates as 1/s,5/s,25/s.",
)
@click.option(
    "--find-max",
    is_flag=True,
    help="Find the highest rate that still meets each --slo, from --rate [1] on.",
)
@click.option(
    "--slo",
    multiple=True,
    metavar="SLO",
    help="An objective, as 'ttft_p99<500ms', 'errors<1%', 'goodput>=95%'; missed is exit "
    "code 1. May be given again.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="Processes that send and measure.",
)
@click.option("--ray", metavar="ADDRESS", help="Run them on this Ray cluster (HOST:PORT, or auto).")
@click.option(
    "--seed", type=int, default=0, show_default=True, metavar="N", help="Of arrivals and prompts."
)
@model_option
@click.option(
    "--prompts",
    metavar="FILE.jsonl",
    help="Lines with `prompt` or `messages`, perhaps `max_tokens`; with `timestamp` "
    "(seconds) or `timestamp_ms` they are replayed.",
)
@click.option(
    "--prompt-words", metavar="N|DIST", help="Length of made-up prompts [lognormal(60,1)]."
)
@click.option("--max-tokens", type=click.IntRange(1), metavar="N", help="Of each answer.")
@header_option
@click.option("--data", metavar="@FILE|JSON", help="The request body, instead of prompts.")
@method_option
@click.option(
    "--content-path",
    metavar="PATH",
    help="Where an event's JSON holds its text, as choices.0.delta.content, if the URL "
    "belongs to no known API.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 86_400),
    default=120.0,
    show_default=True,
    metavar="S",
    help="For each request.",
)
@connection_options
@click.option(
    "--record", metavar="FILE", help="Write a line for each request as soon as it is measured."
)
@click.option("--hlog", metavar="FILE", help="Write the histograms as an HdrHistogram log.")
@click.option("--html", metavar="FILE", help="Write one page with charts.")
@json_option
def command(url: str | None, json_to: str | None, **given: object) -> int:
    """Measure the stream of URL under load: TTFT, ITL, rates, and who is to blame for what.

    URL is an endpoint, or an API's base (without a path, or one that ends in /v1), whose chat is
    then asked. The keys in OPENAI_API_KEY and ANTHROPIC_API_KEY are sent to their APIs and shown
    nowhere. Proxies of the environment are not used.

    TTFT counts from when a request was meant to start, not from when this program got round to it.

    Exits with 0 when all is well, 1 when there is an error or a warning or a missed --slo, 2 when
    nothing could be measured.
    """
    require_consistent(given)
    # The workers load while this process does.
    with WorkerPools(int(str(given["workers"])), given["ray"]) as pools:
        from undam.cli.commands.bench.session import run_bench  # noqa: PLC0415

        return run_bench(url, json_to, given, pools)
