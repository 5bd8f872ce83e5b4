"""nginx with default buffering holds streams of every format, and undam suggests the fix."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.live import proxies
from support.undam_command import ListeningCommand
from undam.lab.proxies.nginx import start_nginx
from undam.probe import CheckOptions, Place, Report, run_check
from undam.rules import Fix, Verdict

pytestmark = [pytest.mark.live, pytest.mark.slow]

# IN_BLOCKS: formats whose 200 events fill several 4 KB blocks. TO_END: short texts that fill none.
IN_BLOCKS = ("bedrock", "gemini-array", "json-seq", "vercel-ui", "ollama", "multipart")
TO_END = ("vercel-text", "vercel-data")


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningCommand]:
    folder: Path = tmp_path_factory.mktemp("sim")
    options = ("--ttft", "100", "--gap", "10", "--tokens", "200")
    running = ListeningCommand("sim", *options, log=folder / "sim.log")
    try:
        yield running
    finally:
        running.stop()


def _check(edge: str, origin: str, form: str) -> Report:
    path = f"/forms/{form}"
    places = (Place("edge", edge + path), Place("origin", origin + path))
    return asyncio.run(run_check(CheckOptions(places=places, data=b"{}", method="POST")))


@pytest.mark.parametrize("form", [*IN_BLOCKS, *TO_END])
def test_nginx_and_not_the_server_is_blamed(simulator: ListeningCommand, form: str) -> None:
    with proxies() as run:
        proxy = run(start_nginx, simulator.url)
        report = _check(proxy.url, simulator.url, form)
    edge, origin = report.hops
    wanted = Verdict.BATCHED if form in IN_BLOCKS else Verdict.HELD_TO_END
    assert (edge.shape.verdict, origin.shape.verdict) == (wanted, Verdict.STREAMING)
    (held,) = [one for one in report.findings if one.code in {"UD101", "UD102"}]
    assert (held.hop, held.fix) == ("edge", Fix("nginx", "proxy_buffering off;"))
    assert not [one for one in report.findings if one.code == "UD205"]


@pytest.mark.parametrize("form", ["vercel-text", "bedrock", "gemini-array"])
def test_nginx_without_buffering_is_streaming(simulator: ListeningCommand, form: str) -> None:
    with proxies() as run:
        proxy = run(start_nginx, simulator.url, location="proxy_buffering off;")
        report = _check(proxy.url, simulator.url, form)
    assert [hop.shape.verdict for hop in report.hops] == [Verdict.STREAMING] * 2
