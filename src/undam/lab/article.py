"""The article's nine seconds, made to appear by themselves, and made to go away.

A model answers with its first token after about 200 ms and a token each 25 ms; the lengths of its
answers are mixed. Between it and its readers stands an nginx: classic, with the one line that frees
it, and with gzip of event streams, the worst case. Nothing but the nginx changes.
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
"""At once, for each form; so the p99 is the worst of sixty."""

MAX_TOKENS = 600
MODEL = (
    "--ttft", "lognormal(200,0.3)",
    "--gap", "25",
    "--tokens", "lognormal(150,0.9)",
    "--seed", "7",
)  # fmt: skip
_SPREAD_S = 1.0
# The longest answer takes 600 x 25 ms and its first token; nothing needs half as long again.
_TIMEOUT_S = 30.0
# The check's own stream: long enough for two whole blocks of 4 KB in either form.
CHECK_TOKENS = {"/v1/stream": 700, "/v1/chat/completions": 200}

_CLASSIC = "proxy_http_version 1.0;"
_GZIP = f"{_CLASSIC}\ngzip on;\ngzip_types text/event-stream;\ngzip_min_length 0;"


@dataclass(frozen=True, slots=True)
class Form:
    """What an event looks like."""

    path: str
    title: str


FORMS = (
    Form("/v1/stream", "the article's endpoint: `data: token`, 12 bytes an event"),
    Form(
        "/v1/chat/completions",
        "OpenAI chat chunks, about 170 bytes an event (and 50 of the simulator's stamp)",
    ),
)


@dataclass(frozen=True, slots=True)
class Path:
    """A way from the model to its readers."""

    name: str
    location: str | None
    fix: Fix | None = None


@dataclass(frozen=True, slots=True)
class PathResult:
    """What one way did to one form."""

    form: Form
    path: str
    waits: FirstTokenTimes
    report: Report


@dataclass(frozen=True, slots=True)
class Result:
    """The table, and what it was made with.

    Args:
        proxy: name and version of what stood in the way.
        fixes: for each way that dams, the line that frees it.
        missing: why there was no real nginx, and how to get one.
    """

    proxy: str
    rows: tuple[PathResult, ...]
    fixes: tuple[tuple[str, Fix], ...]
    missing: str | None

    def waits(self, form: Form, path: str) -> FirstTokenTimes:
        """The waits of one cell."""
        return next(r.waits for r in self.rows if r.form == form and r.path == path)


Progress = Callable[[str, int, int], None]
"""``(name of the way, streams ended, streams in all)``"""

DIRECT = Path("direct", None)
DAMMED = Path("dammed", _CLASSIC, Fix("nginx", "proxy_buffering off;"))
FREED = Path("freed", f"{_CLASSIC}\nproxy_buffering off;")
GZIPPED = Path("gzip", _GZIP, Fix("nginx", "gzip off;\nproxy_buffering off;"))


def run_article(tell: Progress) -> Result:
    """Run every way, one after the other; takes about 80 seconds."""
    proxy, missing = _find_nginx()
    paths = (DIRECT, DAMMED, FREED) if missing else (DIRECT, DAMMED, FREED, GZIPPED)
    rows: list[PathResult] = []
    for path in paths:
        # A new simulator each time: the same seed gives the same answers to the same crowd.
        with Origin(*MODEL) as origin, _way(path, origin.url, real=missing is None) as url:
            rows += asyncio.run(_measure(path, url, tell))
    fixes = tuple((path.name, path.fix) for path in paths if path.fix is not None)
    return Result(proxy, tuple(rows), fixes, missing)


def _find_nginx() -> tuple[str, str | None]:
    try:
        with start_nginx("http://127.0.0.1:9") as proxy:
            return f"{proxy.name} {proxy.version}", None
    except Missing as error:
        return "built-in dam of 4096 bytes", str(error)


@contextmanager
def _way(path: Path, origin_url: str, *, real: bool) -> Iterator[str]:
    if path.location is None:
        yield origin_url
    elif real:
        with start_nginx(origin_url, location=path.location) as proxy:
            yield proxy.url
    else:
        block = 0 if path is FREED else 4096
        with BufferingProxy(origin_url, ProxyBehavior(block_bytes=block)) as dam:
            yield dam.url


async def _measure(path: Path, url: str, tell: Progress) -> list[PathResult]:
    """Both forms at once, and beside them the check of each."""
    done = 0
    total = len(FORMS) * READERS

    def ended() -> None:
        nonlocal done
        done += 1
        tell(path.name, done, total)

    tell(path.name, 0, total)
    crowds = [
        read_together(
            [_request(url, form)] * READERS,
            spread_s=_SPREAD_S,
            timeout_s=_TIMEOUT_S,
            ended=ended,
        )
        for form in FORMS
    ]
    checks = [_check(url, form) for form in FORMS]
    *waits, first, second = await asyncio.gather(*crowds, *checks)
    return [
        PathResult(form, path.name, wait, report)
        for form, wait, report in zip(FORMS, waits, (first, second), strict=True)
        if isinstance(wait, FirstTokenTimes) and isinstance(report, Report)
    ]


def _request(url: str, form: Form) -> Request:
    body = {"model": "sim", "prompt": "hi", "messages": [], "stream": True}
    return Request(
        url=url + form.path,
        method="POST",
        headers=(("Content-Type", "application/json"),),
        body=json.dumps({**body, "max_tokens": MAX_TOKENS}).encode(),
    )


async def _check(url: str, form: Form) -> Report:
    # After the crowd has started, so that the crowd's answers are the same on every way.
    await asyncio.sleep(2 * _SPREAD_S)
    tokens = CHECK_TOKENS[form.path]
    place = Place("edge", f"{url}{form.path}?tokens={tokens}&ttft=200")
    client = ClientConfig(timeout_s=_TIMEOUT_S)
    return await run_check(
        CheckOptions(places=(place,), method="POST", data=b'{"stream": true}', client=client)
    )
