"""Real clients read an `EventStream` with a heartbeat every 50 ms, with and without event IDs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.browser import chromium
from support.browser_test_app import TEXT, TOKENS, BrowserTestApp
from support.stream_clients import (
    anthropic_pieces,
    collect,
    curl_pieces,
    httpx_sse_events,
    langchain_pieces,
    node_pieces,
    openai_client,
    openai_pieces,
)
from support.uvicorn_thread import TIMEOUT_S, Gate, RawResponse, read_raw, under_uvicorn

_SERVING = BrowserTestApp()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with under_uvicorn(_SERVING) as url:
        yield url


@pytest.fixture
def site() -> Iterator[BrowserTestApp]:
    """Yield the test site; its client must read the first token before the second token is sent."""
    _SERVING.gate = Gate()
    yield _SERVING
    assert not _SERVING.gate.held


forms = pytest.mark.parametrize("form", ["plain", "ids"])


@forms
def test_heartbeats_of_both_forms_are_sent(url: str, site: BrowserTestApp, form: str) -> None:
    ping = b": ping\n\n" if form == "plain" else b": ping\n"

    def on_read(raw: RawResponse) -> bool:
        if raw.data.count(ping) >= 5:
            site.gate.open()
        return True

    raw = read_raw(f"{url}/{form}/v1/chat/completions", "POST", body=b"{}", on_read=on_read)
    assert (b"id: " in raw.data) == (form == "ids")
    assert (b": ping\n\n" in raw.data) == (form == "plain")
    first, ending = (raw.data.index(b'"content":"%b"' % token) for token in (b"Hel", b"lo"))
    assert raw.data[first:ending].count(ping) >= 5
    assert raw.data.rstrip(b"\r\n0").endswith(b"[DONE]")


@forms
def test_openai_python(url: str, site: BrowserTestApp, form: str) -> None:
    with openai_client(f"{url}/{form}/v1") as client:
        assert collect(site, openai_pieces(client)) == TEXT


def test_openai_python_fails_on_the_naive_form(url: str, site: BrowserTestApp) -> None:
    with openai_client(f"{url}/naive/v1") as client, pytest.raises(json.JSONDecodeError):
        collect(site, openai_pieces(client))


@forms
def test_langchain_openai(url: str, site: BrowserTestApp, form: str) -> None:
    assert collect(site, langchain_pieces(f"{url}/{form}/v1")) == TEXT


def test_langchain_openai_fails_on_the_naive_form(url: str, site: BrowserTestApp) -> None:
    with pytest.raises(json.JSONDecodeError):
        collect(site, langchain_pieces(f"{url}/naive/v1"))


@forms
def test_httpx_sse(url: str, site: BrowserTestApp, form: str) -> None:
    events = httpx_sse_events(f"{url}/{form}/events")
    pieces = (json.loads(event.data) for event in events if event.event == "message")
    assert collect(site, pieces) == TEXT


def test_httpx_sse_treats_naive_heartbeats_as_events(url: str, site: BrowserTestApp) -> None:
    data = [event.data for event in httpx_sse_events(f"{url}/naive/events")]
    assert data.count("") == len(TOKENS)


@forms
def test_anthropic_python(url: str, site: BrowserTestApp, form: str) -> None:
    assert collect(site, anthropic_pieces(f"{url}/{form}")) == TEXT


@forms
def test_openai_node(url: str, site: BrowserTestApp, form: str, tmp_path: Path) -> None:
    assert collect(site, node_pieces(f"{url}/{form}/v1", tmp_path)) == TEXT


@forms
def test_curl(url: str, site: BrowserTestApp, form: str) -> None:
    assert collect(site, curl_pieces(f"{url}/{form}/events")) == TEXT


def test_eventsource_and_fetch_in_chromium(url: str, site: BrowserTestApp, tmp_path: Path) -> None:
    with chromium(f"{url}/page", tmp_path):
        assert site.reported.wait(2 * TIMEOUT_S), "the page did not report"
    ids = {"plain": 0, "ids": len(TOKENS)}
    assert site.report == {
        f"{name} {form}": {"text": TEXT, "ids": ids[form], "failed": ""}
        for name in ("byEventSource", "byFetch")
        for form in ("plain", "ids")
    }
    assert site.held == [False] * 4
