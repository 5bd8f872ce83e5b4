"""Checks over HTTP/2 through real servers give the same verdicts as checks over HTTP/1.1."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from support.asgi_server_processes import Server, serving
from support.beacon_app import TOKEN
from support.http2_proxies import PROGRAMS, Files, make_files
from support.live import CHAT, Simulator, check, hold_codes_by_hop, hop_json, skip_or_fail
from undam.lab.proxies import Missing
from undam.probe import Report
from undam.wire import ClientConfig
from undam.wire.config import HttpVersion

# On a busy machine, two concurrent checks are delayed by more than the noise of one stream.
pytestmark = [pytest.mark.slow, pytest.mark.flaky(reruns=2)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return make_files(tmp_path_factory.mktemp("tls"))


async def _both(url: str, files: Files, path: str = CHAT, **options: object) -> list[Report]:
    def one(version: HttpVersion) -> object:
        client = ClientConfig(cacert=str(files.cacert), http_version=version)
        return check(url, path=path, beacon=True, client=client, **options)

    return list(await asyncio.gather(one("auto"), one("1.1")))  # type: ignore[call-overload]


@pytest.fixture
def at(request: pytest.FixtureRequest, files: Files, model: Simulator) -> Iterator[str]:
    try:
        running = PROGRAMS[request.param][0](files)(model.url)
    except Missing as missing:
        skip_or_fail(missing)
    with running as proxy:
        yield f"https://localhost:{urlsplit(proxy.url).port}"


@pytest.mark.parametrize(
    ("at", "verdict"), [(name, verdict) for name, (_, verdict) in PROGRAMS.items()],
    indirect=["at"], ids=list(PROGRAMS),
)  # fmt: skip
def test_both_versions_have_the_same_verdict(at: str, verdict: str | None, files: Files) -> None:
    http2, http1 = asyncio.run(_both(at, files))
    assert hop_json(http2)["http_version"] == "2"
    assert hop_json(http1)["http_version"] == "1.1"
    assert bool(hold_codes_by_hop(http2)) == bool(hold_codes_by_hop(http1))
    for report in (http2, http1):
        hop = hop_json(report)
        assert hop["complete"] is True
        assert hop["integrity"]["received"] == hop["integrity"]["sent"] == 120
        if verdict is not None:
            assert hop["verdict"] == verdict


def test_hypercorn(files: Files) -> None:
    command = (
        f"-m hypercorn -b 127.0.0.1:{{port}} --certfile {files.cert} --keyfile {files.key} {{app}}"
    )
    headers = (("Authorization", f"Bearer {TOKEN}"),)
    with serving(Server("hypercorn-h2", command), "support.beacon_app:app") as running:
        url = f"https://localhost:{running.port}"
        http2, http1 = asyncio.run(_both(url, files, path="/_undam/", headers=headers))
    assert hop_json(http2)["http_version"] == "2"
    for report in (http2, http1):
        assert hop_json(report)["verdict"] == "streaming"
        assert hop_json(report)["integrity"]["received"] == 120
