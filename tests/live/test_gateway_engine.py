"""Gateway in front of a real inference engine, llama.cpp's HTTP server (docs/decisions/0008)."""

from __future__ import annotations

import time
from collections.abc import Iterator

import httpx
import pytest

from support.engine_server import engine_server
from support.gateway_process import CHAT, undam_commands
from support.stream_clients import openai_client, openai_pieces
from support.undam_command import ListeningCommand, run_undam


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with engine_server(tmp_path_factory.mktemp("engine")) as url:
        yield url


@pytest.fixture(scope="module")
def gateway(engine: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ListeningCommand]:
    with undam_commands(tmp_path_factory.mktemp("gateway")) as start:
        yield start("gateway", "--upstream", engine, "--heartbeat", "0.5", "--hedge", "auto")


def test_a_check_reports_streaming_and_no_finding_about_the_gateway(
    engine: str, gateway: ListeningCommand
) -> None:
    command = ("check", gateway.url + CHAT, "--json")
    for _ in range(3):  # A run may be disturbed by other load on the machine.
        report = run_undam(*command, "--hop", f"engine={engine}{CHAT}", timeout_s=120).json
        hops = {hop["name"]: hop for hop in report["hops"]}
        if hops["engine"]["verdict"] == "streaming" and not report["clock"]["coalesced_reads"]:
            break
    assert hops["engine"]["verdict"] == "streaming", report
    assert hops["edge"]["verdict"] == report["verdict"] == "streaming", report
    assert hops["edge"]["complete"]
    assert hops["edge"]["events"] == hops["engine"]["events"] >= 100
    findings = [one for one in report["findings"] if one["hop"] == "edge" and one["code"] < "UD9"]
    assert not [one for one in findings if one["severity"] != "info"], findings


def test_the_text_is_the_same_with_and_without_the_gateway(
    engine: str, gateway: ListeningCommand
) -> None:
    # Weights and sampling are fixed, so the same prompt gives the same text.
    texts = []
    for url in (engine, gateway.url):
        with openai_client(f"{url}/v1") as client:
            texts.append("".join(piece or "" for piece in openai_pieces(client)))
    assert texts[0] == texts[1]
    assert len(texts[0].split()) == 120


def test_errors_and_other_endpoints_are_forwarded(engine: str, gateway: ListeningCommand) -> None:
    for url in (engine, gateway.url):
        with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
            assert client.get("/v1/models").json()["data"][0]["id"] == "tiny"
            wrong = client.post(CHAT, json={"stream": True, "messages": "none"})
            assert wrong.status_code >= 400
            assert "error" in wrong.json()


def test_a_client_disconnect_stops_the_engine(engine: str, gateway: ListeningCommand) -> None:
    body = {"model": "tiny", "stream": True, "max_tokens": 900,
            "messages": [{"role": "user", "content": "hi"}]}  # fmt: skip
    with (
        httpx.Client(timeout=30, trust_env=False) as client,
        client.stream("POST", gateway.url + CHAT, json=body) as response,
    ):
        next(response.iter_raw())
    # The engine's four slots must be free long before 900 tokens could have been generated.
    busy = [True]
    give_up = time.monotonic() + 1.0
    while any(busy):
        assert time.monotonic() < give_up, "the engine is still generating after the disconnect"
        slots = httpx.get(f"{engine}/slots", timeout=30, trust_env=False).json()
        busy = [one["is_processing"] for one in slots]
