"""Telemetry observer: metrics and log lines for events reported by the relay."""

from __future__ import annotations

import asyncio
import inspect
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from undam.apis import CHAT, MESSAGES, PLAIN
from undam.gateway.interfaces import (
    EndReason,
    LocalResponse,
    RequestInfo,
    RequestRecord,
    Upstream,
    UpstreamResult,
)
from undam.gateway.telemetry import metric_definitions as m
from undam.gateway.telemetry.access_log import AccessLog
from undam.gateway.telemetry.admin_endpoints import AdminEndpoints
from undam.gateway.telemetry.metrics import WorkerMetrics
from undam.gateway.telemetry.observer import Telemetry
from undam.gateway.telemetry.shared_memory import SharedMetrics

A, B = Upstream("a", "h", 1), Upstream("b", "h", 2)


@pytest.fixture
def shared_metrics() -> Iterator[SharedMetrics]:
    shared_metrics = SharedMetrics.make(1)
    yield shared_metrics
    os.close(shared_metrics.fd)


def _record(target: str = "/v1/chat/completions", **info: Any) -> RequestRecord:
    given: dict[str, Any] = {"api": CHAT, "streams": True, "model": "llama", **info}
    request = RequestInfo(
        method="POST", target=target, headers=[], repeatable=True, body_bytes=0,
        request_id="r", client="c", **given,
    )  # fmt: skip
    return RequestRecord(request, started_at=100.0)


def _nonzero(shared_metrics: SharedMetrics) -> dict[tuple[str, ...], list[int]]:
    """Return all series that contain at least one nonzero value."""
    found = {tuple(json.loads(key)): numbers for key, numbers in shared_metrics.snapshot().items()}
    return {key: numbers for key, numbers in found.items() if any(numbers)}


def _count(shared_metrics: SharedMetrics, family: m.Family, *labels: str) -> int:
    numbers = _nonzero(shared_metrics).get((family.name, *labels), [0, 0])
    return sum(numbers[:-1]) if family.kind == "histogram" else numbers[0]


def test_a_hedged_stream_is_counted_and_logged(
    shared_metrics: SharedMetrics, tmp_path: Path
) -> None:
    log = AccessLog(tmp_path / "log")
    telemetry = Telemetry(WorkerMetrics(shared_metrics.region(0)), access_log=log)
    record = _record()
    telemetry.request_started(record)
    telemetry.attempt_sent(record, A, "first")
    telemetry.heartbeat(record)
    telemetry.attempt_sent(record, B, "hedge")
    assert _count(shared_metrics, m.STREAMS) == _count(shared_metrics, m.IN_FLIGHT) == 1
    assert [_count(shared_metrics, m.UPSTREAM_IN_FLIGHT, name) for name in "ab"] == [1, 1]
    record.upstream, record.content_at, record.hedged, record.status = B, 100.3, "won", 200
    telemetry.first_content(record)
    assert [_count(shared_metrics, m.UPSTREAM_IN_FLIGHT, name) for name in "ab"] == [0, 1]
    telemetry.gaps(record, [0.02, 0.02])
    telemetry.gaps(record, [0.5])
    record.end_reason, record.ended_at, record.bytes_out = EndReason.COMPLETE, 100.9, 50
    telemetry.request_ended(record)
    log.close()

    labels = ("b", "llama", "chat", "openai")
    found = _nonzero(shared_metrics)
    ttft = found[m.TTFT.name, *labels]
    assert (ttft[m.TTFT_S.index(0.5)], ttft[-1]) == (1, 300_000_000)
    assert sum(found[m.GAP.name, *labels][:-1]) == 3
    assert round(found[m.GAP.name, *labels][-1] / 1e6) == round(found[m.TPOT.name, *labels][-1] * 3
                                                               / 1e6) == 540  # fmt: skip
    assert _count(shared_metrics, m.DURATION, *labels, "") == 1
    assert [_count(shared_metrics, m.HEDGES, one) for one in ("sent", "won", "lost")] == [1, 1, 0]
    assert (
        _count(shared_metrics, m.REQUESTS, CHAT.name, "200")
        == _count(shared_metrics, m.ENDED, "complete")
        == 1
    )
    assert _count(shared_metrics, m.BYTES, "out") == 50
    assert _count(shared_metrics, m.STREAMS) == _count(shared_metrics, m.IN_FLIGHT) == 0
    assert not [key for key in found if "in_flight" in key[0]]
    line = json.loads((tmp_path / "log").read_text())
    assert (line["upstream"], line["hedged"], line["gap_p99_ms"]) == ("b", "won", 500.0)


def test_a_failed_retry_and_a_denied_hedge_are_counted(shared_metrics: SharedMetrics) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    telemetry = Telemetry(metrics)
    record = _record(api=MESSAGES, model="unknown-model")
    telemetry.request_started(record)
    telemetry.attempt_sent(record, A, "first")
    telemetry.upstream_failed(record, A, UpstreamResult.REFUSED)
    telemetry.attempt_sent(record, B, "retry")
    metrics.set_denial_reason("budget")
    telemetry.hedge_denied(record)
    telemetry.hedge_denied(record)
    telemetry.upstream_failed(record, B, UpstreamResult.TIMEOUT)
    record.upstream, record.status = B, 504
    record.end_reason, record.ended_at = EndReason.UPSTREAM_TIMEOUT, 101.0
    telemetry.request_ended(record)
    assert _count(shared_metrics, m.RETRIES, "b") == 1
    assert _count(shared_metrics, m.UPSTREAM_ERRORS, "a", "refused") == 1
    assert _count(shared_metrics, m.UPSTREAM_ERRORS, "b", "timeout") == 1
    assert _count(shared_metrics, m.HEDGES_DENIED, "budget") == 1
    assert _count(shared_metrics, m.HEDGES_DENIED, "no-other-upstream") == 1
    # A model that returned no content does not get a separate series.
    labels = ("b", "other", "chat", "anthropic", "upstream-timeout")
    assert _count(shared_metrics, m.DURATION, *labels) == 1
    assert not [
        key for key in _nonzero(shared_metrics) if "in_flight" in key[0] or "unknown-model" in key
    ]


@pytest.mark.parametrize(("content_at", "phase"), [(None, "prefill"), (100.5, "content")])
def test_a_client_disconnect_is_counted_by_phase(
    shared_metrics: SharedMetrics, content_at: float | None, phase: str
) -> None:
    telemetry = Telemetry(WorkerMetrics(shared_metrics.region(0)))
    record = _record()
    telemetry.request_started(record)
    telemetry.attempt_sent(record, A, "first")
    record.upstream, record.content_at = A, content_at
    if content_at:
        telemetry.first_content(record)
    record.end_reason, record.ended_at = EndReason.CLIENT_LEFT, 101.0
    telemetry.request_ended(record)
    assert _count(shared_metrics, m.CLIENT_CANCELS, phase) == 1
    assert not [key for key in _nonzero(shared_metrics) if "in_flight" in key[0]]


def test_local_endpoints_are_not_counted_and_other_paths_have_no_token_metrics(
    shared_metrics: SharedMetrics,
) -> None:
    telemetry = Telemetry(WorkerMetrics(shared_metrics.region(0)))
    for path in ("/-/metrics", "/v1/models"):
        record = _record(path, api=PLAIN, streams=False, model="")
        telemetry.request_started(record)
        record.end_reason, record.status, record.ended_at = EndReason.COMPLETE, 200, 100.1
        telemetry.request_ended(record)
    unread = RequestRecord(
        None, started_at=1.0, status=400, end_reason=EndReason.BAD_REQUEST, ended_at=1.0
    )
    telemetry.request_ended(unread)
    assert _count(shared_metrics, m.REQUESTS, PLAIN.name, "200") == 1
    assert (
        _count(shared_metrics, m.REQUESTS, PLAIN.name, "400")
        == _count(shared_metrics, m.REFUSED, "400")
        == 1
    )
    assert not [key for key in _nonzero(shared_metrics) if key[0].startswith("gen_ai")]


def test_a_scrape_includes_deferred_counts(shared_metrics: SharedMetrics) -> None:
    metrics = WorkerMetrics(shared_metrics.region(0))
    endpoints = AdminEndpoints(
        not_ready=lambda: "",
        shared_metrics=shared_metrics,
        flush=lambda: metrics.count(m.ENDED, "complete"),
    )
    request = _record("/-/metrics", api=PLAIN, streams=False, model="").request
    assert request is not None
    request.method = "GET"

    async def get() -> LocalResponse:
        response = endpoints(request)
        assert inspect.isawaitable(response)
        return await response

    body = asyncio.run(get()).body.decode()
    assert f'{m.ENDED.name}_total{{reason="complete"}} 1' in body.splitlines()
