"""Load tests over HTTP/2 with real sockets: streams, refusals, resets, cancellation, versions."""

from __future__ import annotations

import json
import ssl
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import trustme

from support.http2_origin import TOKENS, Http2Origin, serving_http2_origin
from support.http2_proxies import PROGRAMS, make_files
from support.live import CHAT, Simulator, skip_or_fail
from support.load_worker import WorkerRun, finished
from support.threaded_server import serving
from support.undam_command import run_undam
from undam.lab.proxies import Missing
from undam.loadtest.protocol import (
    ClosedLoop,
    Frame,
    Http2Settings,
    Job,
    OpenLoop,
    ScheduledRequest,
    Stop,
    Tls,
)
from undam.record.request_result import Outcome

FIELDS = (
    (b":method", b"POST"), (b":scheme", b"http"), (b":authority", b"x"),
    (b":path", b"/v1/chat/completions"), (b"authorization", b"Bearer hidden-key-123"),
)  # fmt: skip


def job(
    origin: Http2Origin,
    load: ClosedLoop | OpenLoop,
    *bodies: str,
    streams: int = 10,
    **more: object,
) -> Job:
    return Job(
        worker=0,
        addresses=((2, ("127.0.0.1", origin.port)),),
        requests=tuple(body.encode() for body in bodies or ("{}",)),
        api="openai-chat",
        load=load,
        http2=Http2Settings(fields=FIELDS, streams=streams),
        **{"timeout_s": 20.0, "start_ns": time.time_ns(), **more},  # type: ignore[arg-type]
    )


def test_streams_share_connections() -> None:
    with serving_http2_origin() as origin:
        worker = finished(job(origin, ClosedLoop(slots=(0,) * 12, count=40), streams=5))
    assert [one.outcome for one in worker.results] == [Outcome.COMPLETE] * 40
    assert all(one.events == TOKENS and one.stamped for one in worker.results)
    assert all((one.head_ns or 0) <= one.reads[0].at_ns for one in worker.results)
    assert worker.final.connections == origin.connections == 3
    assert origin.open_streams <= 5
    assert worker.final.stream_limit == 0
    assert {request["content-length"] for request in origin.requests} == {"2"}


def test_open_loop_with_fewer_streams_than_requested() -> None:
    plan = tuple(ScheduledRequest(number, number * 2_000_000, 0) for number in range(30))
    with serving_http2_origin(max_streams=4) as origin:
        worker = finished(job(origin, OpenLoop(plan=plan, ahead=1), streams=50))
    assert [one.outcome for one in worker.results] == [Outcome.COMPLETE] * 30
    assert worker.final.stream_limit == 4
    assert worker.final.connections > 1
    assert origin.open_streams <= 4


def test_each_fault_has_its_kind() -> None:
    expected = {
        "fault-none": "", "fault-trailers": "", "fault-status": "status-429",
        "fault-reset": "rst-internal-error", "fault-refused": "rst-refused-stream",
        "fault-goaway": "goaway", "fault-graceful": "", "fault-garbage": "bad-http",
        "fault-hang": "timeout",
    }  # fmt: skip
    plan = tuple(ScheduledRequest(index, 0, index) for index in range(len(expected)))
    with serving_http2_origin() as origin:
        worker = finished(job(origin, OpenLoop(plan=plan), *expected, streams=1, timeout_s=1.0))
    found = dict(zip(expected, worker.results, strict=True))
    assert {body: one.kind for body, one in found.items()} == expected
    began = {body for body, one in found.items() if one.outcome is Outcome.INCOMPLETE}
    assert began == {"fault-reset", "fault-goaway", "fault-hang"}
    assert found["fault-graceful"].events == found["fault-trailers"].events == TOKENS
    assert found["fault-status"].retry_after_s == 3
    assert found["fault-reset"].events == found["fault-goaway"].events == 2
    assert "RST_STREAM INTERNAL_ERROR" in found["fault-reset"].message
    assert origin.cancelled == 1
    assert worker.final.refused_streams == 2
    assert worker.final.goaways == 2


def test_refused_and_unprocessed_requests_are_sent_again() -> None:
    for fault in ("refused-once", "unprocessed"):
        with serving_http2_origin() as origin:
            worker = finished(job(origin, ClosedLoop(slots=(0,), count=2), f"fault-{fault}"))
        assert [one.message for one in worker.results] == ["", ""], fault
        assert worker.final.refused_streams == worker.final.resent == 1


def test_timeout_cancels_only_its_stream() -> None:
    bodies = ("fault-hang", "fault-none")
    plan = tuple(ScheduledRequest(index, 0, index) for index in range(2))
    with serving_http2_origin(gap_s=0.05) as origin:
        worker = finished(job(origin, OpenLoop(plan=plan), *bodies, timeout_s=0.8))
    assert [one.kind for one in worker.results] == ["timeout", ""]
    assert worker.final.connections == 1


def test_stop_abandons_streams_and_closes_connections() -> None:
    with serving_http2_origin() as origin:
        worker = WorkerRun(job(origin, ClosedLoop(slots=(0,) * 3, count=50), "fault-hang"))

        def flowing(frame: Frame) -> bool:
            return getattr(frame, "started", 0) == 3 and getattr(frame, "received_bytes", 0) > 900

        worker.receive(flowing)
        worker.send(Stop())
        assert worker.end() == 0
    assert [one.outcome for one in worker.results] == [Outcome.ABANDONED] * 3
    assert [one.events for one in worker.results] == [2] * 3


@pytest.mark.parametrize("protocols", [["h2"], ["http/1.1"]])
def test_tls_with_and_without_http2(tmp_path: Path, protocols: list[str]) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(protocols)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    cacert = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(cacert))
    tls = Tls(server_name="127.0.0.1", cacert=str(cacert))
    with serving_http2_origin(context) as origin:
        worker = finished(job(origin, ClosedLoop(slots=(0,) * 4, count=8), tls=tls))
    if protocols == ["h2"]:
        assert [one.events for one in worker.results] == [TOKENS] * 8
        assert worker.final.connections == 1
    else:
        assert {one.kind for one in worker.results} == {"tls"}


def test_command_uses_the_version_that_the_server_selects(tmp_path: Path) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2"])
    authority.issue_cert("localhost").configure_cert(context)
    cacert = str(tmp_path / "ca.pem")
    authority.cert_pem.write_to_path(cacert)
    record = tmp_path / "run.jsonl"
    with serving_http2_origin(context, max_streams=3) as origin:
        arguments = ("--cacert", cacert, "-c", "4", "-n", "12", "--workers", "2")
        done = run_undam(
            "bench", origin.url("https"), *arguments, "--record", str(record), "--json", "-"
        )
        failed = run_undam("bench", origin.url("https"), "--http1", "-n", "1", "--cacert", cacert)
    report = done.json
    assert (report["http_version"], report["streams_per_connection"]) == ("2", 100)
    assert report["complete"] == report["requests"] == 12
    assert report["events"] == 12 * TOKENS
    assert report["http2"] == {"stream_limit": 3, "refused_streams": 0, "goaways": 0}
    assert json.loads(record.read_text().splitlines()[0])["http_version"] == "2"
    assert failed.code == 2
    with serving_http2_origin() as origin:
        plain = run_undam("bench", origin.url(), "--http2", "-c", "3", "-n", "6")
    assert "HTTP/2: 1 connection, at most 100 streams on each" in plain.out


def test_server_without_http2_is_named() -> None:
    with serving(lambda conn, _: None) as server:
        url = server.url()
        done = run_undam("bench", url, "--http2", "-c", "1", "-n", "1", "--warmup", "0")
    assert done.code == 2
    assert done.line.startswith("undam: nothing was measured: ")


@pytest.mark.flaky(reruns=2)
def test_real_servers(model: Simulator, tmp_path_factory: pytest.TempPathFactory) -> None:
    files = make_files(tmp_path_factory.mktemp("tls"))
    arguments = ("--cacert", str(files.cacert), "-c", "6", "-n", "12", "--json", "-")

    def reports_of(name: str) -> list[dict[str, Any]]:
        with PROGRAMS[name][0](files)(model.url) as proxy:
            command = ("bench", f"https://localhost:{urlsplit(proxy.url).port}{CHAT}", *arguments)
            # If standard input is given, each command runs as a separate process, so that two can
            # run at once.
            return [
                run_undam(*command, *more, stdin=subprocess.DEVNULL).json
                for more in ((), ("--http1",))
            ]

    names = ("nginx-unbuffered", "caddy", "envoy", "haproxy")
    found = {}
    with ThreadPoolExecutor(2) as pool:
        try:
            all_reports = list(pool.map(reports_of, names))
        except Missing as missing:
            skip_or_fail(missing)
    for name, reports in zip(names, all_reports, strict=True):
        found[name] = [(one["http_version"], one["complete"], one["events"]) for one in reports]
        assert reports[0]["client"]["connections"] == 1
        assert reports[0]["integrity"]["checked"] == 12
    events = {counts[2] for rows in found.values() for counts in rows}
    assert len(events) == 1
    assert {tuple(row[0] for row in rows) for rows in found.values()} == {("2", "1.1")}
    assert {row[1] for rows in found.values() for row in rows} == {12}
