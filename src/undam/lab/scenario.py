"""Scenario: a p99 TTFT of 9 s that is caused by a buffering nginx, and the fix.

A simulated model sends its first token after about 200 ms and then one token per 25 ms. Response
lengths vary. The nginx in front of it has its classic configuration, buffering turned off, or gzip
for event streams, which is the worst case. Only the nginx configuration changes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from undam.lab.buffering_proxy import BufferingProxy, ProxyBehavior
from undam.lab.origin import Origin
from undam.lab.proxies import Missing, start_nginx
from undam.lab.readers import FirstTokenTimes, read_together
from undam.probe import CheckOptions, Place, Report, run_check
from undam.rules import Fix
from undam.wire import ClientConfig, Request

READERS = 60
"""Concurrent readers per stream format; the p99 is the maximum of these."""

MAX_TOKENS = 600
MODEL = (
    "--ttft", "lognormal(200,0.3)",
    "--gap", "25",
    "--tokens", "lognormal(150,0.9)",
    "--seed", "7",
)  # fmt: skip
_SPREAD_S = 1.0
# The longest response takes 600 x 25 ms, in addition to its TTFT.
_TIMEOUT_S = 30.0
# Lengths of the checked streams: at least two blocks of 4 KB in either format.
CHECK_TOKENS = {"/v1/stream": 700, "/v1/chat/completions": 200}

_CLASSIC = "proxy_http_version 1.0;"
_GZIP = f"{_CLASSIC}\ngzip on;\ngzip_types text/event-stream;\ngzip_min_length 0;"


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """An endpoint of the simulator and a description of its events."""

    path: str
    title: str


FORMATS = (
    StreamFormat("/v1/stream", "plain events: `data: token`, 12 bytes each"),
    StreamFormat(
        "/v1/chat/completions",
        "OpenAI chat chunks: about 170 bytes each, and 50 for the simulator's timestamp",
    ),
)


@dataclass(frozen=True, slots=True)
class ProxySetup:
    """Proxy between the model and the readers.

    Args:
        name: key in JSON output.
        location: nginx directives of the location; ``None`` for no proxy.
        fix: directives that stop the buffering.
    """

    name: str
    location: str | None
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """Measurement of one stream format behind one proxy setup."""

    stream_format: StreamFormat
    setup: str
    ttft: FirstTokenTimes
    report: Report


@dataclass(frozen=True, slots=True)
class ScenarioResult:
    """Results of the scenario in all setups.

    Args:
        proxy: name and version of the proxy.
        fixes: the fix of each setup that buffers.
        missing: reason why nginx is not available, with the install command; ``None`` if it was
            used.
    """

    proxy: str
    measurements: tuple[Measurement, ...]
    fixes: tuple[tuple[str, Fix], ...]
    missing: str | None


Progress = Callable[[str, int, int], None]
"""Called with the setup's name, the number of ended streams, and the total number of streams."""

DIRECT = ProxySetup("direct", None)
BUFFERED = ProxySetup("dammed", _CLASSIC, Fix("nginx", "proxy_buffering off;"))
UNBUFFERED = ProxySetup("freed", f"{_CLASSIC}\nproxy_buffering off;")
GZIPPED = ProxySetup("gzip", _GZIP, Fix("nginx", "gzip off;\nproxy_buffering off;"))


def run_scenario(progress: Progress) -> ScenarioResult:
    """Run all setups one after the other. This takes about 80 seconds."""
    proxy, missing = _find_nginx()
    setups = (DIRECT, BUFFERED, UNBUFFERED) if missing else (DIRECT, BUFFERED, UNBUFFERED, GZIPPED)
    measurements: list[Measurement] = []
    for setup in setups:
        # Each simulator starts with the same seed, so it sends the same responses to the same
        # readers.
        with Origin(*MODEL) as origin, _start_proxy(setup, origin.url, real=missing is None) as url:
            measurements += asyncio.run(_measure(setup, url, progress))
    fixes = tuple((setup.name, setup.fix) for setup in setups if setup.fix is not None)
    return ScenarioResult(proxy, tuple(measurements), fixes, missing)


def _find_nginx() -> tuple[str, str | None]:
    try:
        with start_nginx("http://127.0.0.1:9") as proxy:
            return f"{proxy.name} {proxy.version}", None
    except Missing as error:
        return "built-in proxy with a buffer of 4096 bytes", str(error)


@contextmanager
def _start_proxy(setup: ProxySetup, origin_url: str, *, real: bool) -> Iterator[str]:
    if setup.location is None:
        yield origin_url
    elif real:
        with start_nginx(origin_url, location=setup.location) as nginx:
            yield nginx.url
    else:
        block = 0 if setup is UNBUFFERED else 4096
        with BufferingProxy(origin_url, ProxyBehavior(block_bytes=block)) as proxy:
            yield proxy.url


async def _measure(setup: ProxySetup, url: str, progress: Progress) -> list[Measurement]:
    """Measure both formats at the same time, with one check per format."""
    done = 0
    total = len(FORMATS) * READERS

    def ended() -> None:
        nonlocal done
        done += 1
        progress(setup.name, done, total)

    progress(setup.name, 0, total)
    readers = [
        read_together(
            [_request(url, stream_format)] * READERS,
            spread_s=_SPREAD_S,
            timeout_s=_TIMEOUT_S,
            ended=ended,
        )
        for stream_format in FORMATS
    ]
    checks = [_check(url, stream_format) for stream_format in FORMATS]
    *times, first, second = await asyncio.gather(*readers, *checks)
    return [
        Measurement(stream_format, setup.name, ttft, report)
        for stream_format, ttft, report in zip(FORMATS, times, (first, second), strict=True)
        if isinstance(ttft, FirstTokenTimes) and isinstance(report, Report)
    ]


def _request(url: str, stream_format: StreamFormat) -> Request:
    body = {"model": "sim", "prompt": "hi", "messages": [], "stream": True}
    return Request(
        url=url + stream_format.path,
        method="POST",
        headers=(("Content-Type", "application/json"),),
        body=json.dumps({**body, "max_tokens": MAX_TOKENS}).encode(),
    )


async def _check(url: str, stream_format: StreamFormat) -> Report:
    # The readers start before the checks, so that they receive the same responses in every setup.
    await asyncio.sleep(2 * _SPREAD_S)
    tokens = CHECK_TOKENS[stream_format.path]
    place = Place("edge", f"{url}{stream_format.path}?tokens={tokens}&ttft=200")
    client = ClientConfig(timeout_s=_TIMEOUT_S)
    return await run_check(
        CheckOptions(places=(place,), method="POST", data=b'{"stream": true}', client=client)
    )
