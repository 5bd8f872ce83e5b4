"""`undam bench`: measure an endpoint under load, and detect when the results are unreliable."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from undam.cli.commands.bench.options import BenchOptions
from undam.cli.commands.bench.worker_pools import WorkerPools
from undam.cli.ui.output import json_option
from undam.cli.ui.target_options import (
    connection_options,
    header_option,
    http_version_options,
    method_option,
    model_option,
)


@click.command(context_settings={"max_content_width": 100})
@click.argument("urls", nargs=-1, metavar="URL...")
@click.option(
    "-c",
    "--concurrency",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="Keep N requests in flight (closed loop) [10].",
)
@click.option(
    "--rate",
    type=click.FloatRange(0, 1e6, min_open=True),
    metavar="R",
    help="Start R requests per second, regardless of the server (open loop).",
)
@click.option(
    "--arrivals",
    type=click.Choice(["poisson", "constant", "gamma"]),
    help="Arrival process of an open loop [poisson].",
)
@click.option(
    "--burstiness",
    type=click.FloatRange(0.01, 100),
    metavar="B",
    help="Shape of gamma arrivals: 1 is a Poisson process; lower values are burstier [0.5].",
)
@click.option(
    "--rate-end",
    type=click.FloatRange(0, 1e6, min_open=True),
    metavar="R",
    help="Change the rate linearly from --rate to R during --duration.",
)
@click.option(
    "--max-concurrency",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="With --rate: at most N requests in flight. Others wait, and their TTFT includes the "
    "waiting time.",
)
@click.option(
    "-n",
    "--requests",
    type=click.IntRange(1, 10_000_000),
    metavar="N",
    help="Number of measured requests; warm-up requests are extra [100].",
)
@click.option(
    "--duration",
    type=click.FloatRange(0, 7 * 86_400, min_open=True),
    metavar="S",
    help="Start requests for S seconds, instead of a fixed number. Those in flight are then read "
    "to their end.",
)
@click.option(
    "--warmup",
    type=click.IntRange(0, 1_000_000),
    metavar="N",
    help="Requests to send first and leave out of all metrics [one per slot, or one second of "
    "--rate; at most 10 % of the run and 100].",
)
@click.option(
    "--ramp",
    type=click.FloatRange(0, 3600),
    metavar="S",
    help="Start the slots one after another during this time [5 ms per slot, at most 2 s].",
)
@click.option(
    "--sweep",
    metavar="LIST",
    help="Run once for each value: concurrencies (1,10,100) or rates (1/s,5/s,25/s).",
)
@click.option(
    "--find-max",
    is_flag=True,
    help="Find the highest rate that meets each --slo, starting at --rate [1].",
)
@click.option(
    "--slo",
    multiple=True,
    metavar="SLO",
    help="Objective, such as 'ttft_p99<500ms', 'errors<1%' or 'goodput>=95%'. Repeatable. Exit "
    "code 1 if one is missed.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    metavar="N",
    help="Number of processes that send requests and measure.",
)
@click.option(
    "--ray",
    metavar="ADDRESS",
    help="Run the workers on this Ray cluster (HOST:PORT of its head, or auto).",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    metavar="N",
    help="Random seed for arrival times and prompts.",
)
@model_option
@click.option(
    "--prompts",
    metavar="FILE.jsonl",
    help="File of prompts: a JSON object per line with `prompt`, `messages` or `turns`, and "
    "optionally `max_tokens`, `model` and fields of the body. Lines with `timestamp` (seconds) or "
    "`timestamp_ms` are sent at these times. Also reads ShareGPT files, traces of Mooncake, Azure "
    "and BurstGPT, and OpenTelemetry spans.",
)
@click.option(
    "--prompt-words",
    metavar="N|DIST",
    help="Number of words in generated prompts [lognormal(60,1)].",
)
@click.option(
    "--prefix-share",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Share of each generated prompt, from 0 to 1, that all prompts have in common. The rest "
    "differs in each request and run, so that prefix caches do not contain it [0].",
)
@click.option(
    "--max-tokens", type=click.IntRange(1), metavar="N", help="Maximum tokens per response."
)
@click.option(
    "--body",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a field of each request body, such as ignore_eos=true. Without a value, the field is "
    "removed. Repeatable.",
)
@click.option(
    "--models",
    metavar="A:W,B:W",
    help="Send requests to several models, in proportion to their weights.",
)
@click.option(
    "--no-stream",
    is_flag=True,
    help="Request each response as one JSON document instead of a stream. TTFT is then the time to "
    "the complete document. URLs that end in /embeddings or /rerank imply this.",
)
@click.option(
    "--think-time",
    metavar="S|DIST",
    help="Pause of each closed-loop slot after a response, in seconds.",
)
@click.option(
    "--cancel-share",
    type=click.FloatRange(0, 1),
    metavar="P",
    help="Share of the requests to cancel before they end, from 0 to 1.",
)
@click.option(
    "--cancel-after",
    metavar="S|DIST",
    help="With --cancel-share: time after which a request is cancelled, in seconds [exp(1)].",
)
@header_option
@click.option("--data", metavar="@FILE|JSON", help="Request body to send instead of prompts.")
@method_option
@click.option(
    "--content-path",
    metavar="PATH",
    help="Path of the text in an event's JSON, such as choices.0.delta.content. Needed if the API "
    "of the URL is unknown.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(0.1, 86_400),
    default=120.0,
    show_default=True,
    metavar="S",
    help="Time limit of each request.",
)
@http_version_options
@click.option(
    "--streams-per-connection",
    type=click.IntRange(1, 100_000),
    metavar="N",
    help="With HTTP/2: send at most N requests at a time on each connection [100].",
)
@connection_options
@click.option(
    "--record",
    metavar="FILE",
    help="Save the result of each request as soon as it is measured, to re-analyze it with `undam "
    "report`.",
)
@click.option(
    "--server-metrics",
    metavar="URL",
    help="Read the server's Prometheus metrics during the run (vLLM, SGLang, TGI, llama.cpp): "
    "queue, running requests, KV cache and TTFT.",
)
@click.option(
    "--server-metric",
    multiple=True,
    metavar="KIND=NAME",
    help="With --server-metrics, for any other server: name of a metric, such as "
    "waiting=my_queue_length. Repeatable.",
)
@click.option("--hlog", metavar="FILE", help="Save the histograms as an HdrHistogram log.")
@click.option("--csv", metavar="FILE", help="Save a row for each request as CSV.")
@click.option("--html", metavar="FILE", help="Save an HTML page with charts.")
@json_option
def command(urls: tuple[str, ...], json_to: str | None, **given: Any) -> int:
    """Load-test a streaming URL: measure TTFT, ITL and rates, and find the causes of delays.

    URL is an endpoint or the base URL of an API. A base URL, which has no path or ends in /v1, is
    expanded to its chat endpoint. With several URLs, each worker sends to one of them. The keys in
    OPENAI_API_KEY and ANTHROPIC_API_KEY are sent to their APIs and are never printed. Proxy
    settings in the environment are ignored.

    TTFT is measured from the intended start of a request, so it includes any delay of the load
    generator.

    Exit codes: 0 without errors and warnings, 1 if there is an error, a warning or a missed --slo
    objective, 2 if nothing could be measured.
    """
    options = BenchOptions(**given)
    options.require_consistent()
    # Each worker sends to one URL, so the number of workers is a multiple of the number of URLs.
    several = max(1, len(urls))
    options = replace(options, workers=-(-options.workers // several) * several)
    # Start the workers now, so that they and this process load their modules at the same time.
    with WorkerPools(options.workers, options.ray) as pools:
        from undam.cli.commands.bench.session import run_bench  # noqa: PLC0415

        return run_bench(urls, json_to, options, pools)
