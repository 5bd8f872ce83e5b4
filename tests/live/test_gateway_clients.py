"""Real clients with a gateway that sends a heartbeat every 50 ms, with and without event IDs.

Heartbeats are sent before the response of the model and between its tokens.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.browser import chromium
from support.browser_test_app import HEARTBEAT_S, TEXT, TOKENS, BrowserTestApp
from support.gateway_process import undam_commands
from support.stream_clients import (
    anthropic_pieces,
    collect,
    curl_pieces,
    langchain_pieces,
    node_pieces,
    openai_client,
    openai_pieces,
)
from support.undam_command import ListeningCommand
from support.uvicorn_thread import TIMEOUT_S, Gate, RawResponse, read_raw, under_uvicorn

# The model sends no heartbeats and is idle for six of the gateway's heartbeat intervals.
_SERVING = BrowserTestApp(heartbeat_s=None, silent_s=6 * HEARTBEAT_S)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningCommand]:
    with (
        under_uvicorn(_SERVING) as url,
        undam_commands(tmp_path_factory.mktemp("gateway")) as start,
    ):
        yield start("gateway", "--upstream", url, "--heartbeat", str(HEARTBEAT_S))


@pytest.fixture
def site() -> Iterator[BrowserTestApp]:
    """Yield the test site; its client must read the first token before the second token is sent."""
    _SERVING.gate = Gate()
    yield _SERVING
    assert not _SERVING.gate.held


def _openai(base_url: str, _: Path) -> Iterator[str | None]:
    with openai_client(f"{base_url}/v1") as client:
        yield from openai_pieces(client)


CLIENTS: dict[str, Callable[[str, Path], Iterator[str | None]]] = {
    "openai-python": _openai,
    "langchain-openai": lambda url, _: langchain_pieces(f"{url}/v1"),
    "anthropic-python": lambda url, _: anthropic_pieces(url),
    "openai-node": lambda url, folder: node_pieces(f"{url}/v1", folder),
    "curl": lambda url, _: curl_pieces(f"{url}/events"),
}


@pytest.mark.parametrize("form", ["plain", "ids"])
@pytest.mark.parametrize("client", CLIENTS)
def test_a_client_reads_a_stream_with_heartbeats(
    gateway: ListeningCommand, site: BrowserTestApp, tmp_path: Path, client: str, form: str
) -> None:
    before = gateway.metric("undam_gateway_heartbeats_total")
    assert collect(site, CLIENTS[client](f"{gateway.url}/{form}", tmp_path)) == TEXT
    # Some heartbeats are sent before the model's response head, and some while the gate is closed.
    assert gateway.metric("undam_gateway_heartbeats_total") - before >= 3


def test_heartbeats_come_before_the_first_token_and_between_tokens(
    gateway: ListeningCommand, site: BrowserTestApp
) -> None:
    def on_read(raw: RawResponse) -> bool:
        _, token, rest = raw.data.partition(b'"content":"Hel"')
        if token and rest.count(b": ping\n") >= 3:
            site.gate.open()
        return True

    body = json.dumps({"model": "m", "stream": True, "messages": []}).encode()
    url = f"{gateway.url}/plain/v1/chat/completions"
    raw = read_raw(url, "POST", body=body, on_read=on_read)
    first, second = (raw.data.index(b'"content":"%b"' % token) for token in (b"Hel", b"lo"))
    assert raw.data[:first].count(b": ping\n") >= 2
    assert raw.data[first:second].count(b": ping\n") >= 3
    assert not raw.truncated


def test_eventsource_and_fetch_in_chromium(
    gateway: ListeningCommand, site: BrowserTestApp, tmp_path: Path
) -> None:
    site.held.clear()
    site.reported.clear()
    with chromium(f"{gateway.url}/page", tmp_path):
        assert site.reported.wait(2 * TIMEOUT_S), "the page did not report"
    ids = {"plain": 0, "ids": len(TOKENS)}
    assert site.report == {
        f"{name} {form}": {"text": TEXT, "ids": ids[form], "failed": ""}
        for name in ("byEventSource", "byFetch")
        for form in ("plain", "ids")
    }
    assert site.held == [False] * 4
