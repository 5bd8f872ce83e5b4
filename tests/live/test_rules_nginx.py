"""The rules of nginx on nginx: it accepts every file, `bad` is held or cut as its rule says, and
`fixed` is not; what `render` writes streams. Only ports and, for limits, seconds are changed."""

from __future__ import annotations

import asyncio
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from support.live import RunProxy, Simulator, check, codes_by_hop, hop_json, measure
from support.proxy_programs import NGINX, start_with_config, validate_config
from undam.lab.proxies import RunningProxy
from undam.lab.proxies.plan import Workspace
from undam.lint import RenderRequest, dialect_named
from undam.probe import Report
from undam.record import Ending, Head

RULES = Path(__file__).parents[1] / "rules"
CODES = sorted(path.name for path in RULES.glob("NGX*"))

StartSim = Callable[..., Simulator]
StartPair = Callable[..., tuple[RunningProxy, RunningProxy]]
QUICK = ("--ttft", "50", "--gap", "5", "--tokens", "300")

STREAMS, HELD = {"streaming"}, {"batched", "held-to-end"}


def text_of(code: str, kind: str) -> str:
    return (RULES / code / f"{kind}.conf").read_text("utf-8")


@pytest.fixture
def pair(run_proxy: RunProxy) -> StartPair:
    """nginx with `bad` and with `fixed`, before the same origin."""

    def run(
        code: str, origin: str, shorter: tuple[str, str] = ("", "")
    ) -> tuple[RunningProxy, RunningProxy]:
        bad, fixed = text_of(code, "bad"), text_of(code, "fixed")
        assert shorter[0] in bad
        return (
            run_proxy(start_with_config, NGINX, bad.replace(*shorter), origin=origin),
            run_proxy(start_with_config, NGINX, fixed, origin=origin),
        )

    return run


def both(simulator: Simulator, pair: tuple[RunningProxy, RunningProxy]) -> tuple[Report, Report]:
    """Checks of the two at once."""
    bad, fixed = measure(simulator, lambda: [check(proxy.url, beacon=True) for proxy in pair])
    return bad, fixed


def head_of(report: Report) -> Head:
    head = report.exchanges[0].head
    assert head is not None
    return head


@pytest.mark.parametrize("kind", ["bad", "good", "fixed"])
@pytest.mark.parametrize("code", CODES)
def test_nginx_accepts_the_files(code: str, kind: str, tmp_path: Path) -> None:
    accepted, words = validate_config(NGINX, text_of(code, kind), tmp_path)
    assert accepted, words
    assert "[warn]" not in words


def test_nginx_refuses_nonsense(tmp_path: Path) -> None:
    accepted, words = validate_config(NGINX, "events {} http { no_such_directive; }", tmp_path)
    assert not accepted
    assert "no_such_directive" in words


@pytest.mark.parametrize(
    ("code", "origin"),
    [
        ("NGX101", ()),
        ("NGX102", ("--framing", "close")),
        ("NGX103", ()),
        ("NGX105", ("--header", "X-Accel-Buffering: no")),
        ("NGX106", ()),
        ("NGX108", ("--tokens", "100")),
        ("NGX201", ()),
        ("NGX202", ()),
        ("NGX204", ()),
    ],
)
def test_bad_holds_and_fixed_streams(
    code: str,
    origin: tuple[str, ...],
    simulator: StartSim,
    pair: StartPair,
) -> None:
    model = simulator(*QUICK, *origin)
    bad, fixed = both(model, pair(code, model.url))
    assert hop_json(bad)["verdict"] in HELD
    assert hop_json(fixed)["verdict"] in STREAMS
    assert hop_json(bad)["hold_ms"]["max"] > 10 * hop_json(fixed)["hold_ms"]["p50"]


def test_size_of_the_buffer_is_the_size_of_the_hold(
    simulator: StartSim, pair: StartPair, run_proxy: RunProxy
) -> None:
    model = simulator(*QUICK)
    large, _ = pair("NGX106", model.url)
    default = run_proxy(start_with_config, NGINX, text_of("NGX101", "bad"), origin=model.url)
    of_large, of_default = both(model, (large, default))
    assert hop_json(of_large)["release_bytes"] == 4 * hop_json(of_default)["release_bytes"]


def test_a_pattern_that_begins_with_a_line_end_makes_each_event_late(
    simulator: StartSim, pair: StartPair
) -> None:
    model = simulator("--ttft", "50", "--gap", "40", "--tokens", "40")
    bad, fixed = both(model, pair("NGX107", model.url))
    assert hop_json(bad)["verdict"] == "late"
    assert hop_json(fixed)["verdict"] in STREAMS


def test_a_stored_stream_is_given_out_whole(simulator: StartSim, pair: StartPair) -> None:
    cacheable = ("--header", "Cache-Control: max-age=60")
    model = simulator("--gap", "5", "--tokens", "150", *cacheable)
    took: list[list[float]] = []
    for proxy in pair("NGX104", model.url):
        reports = [asyncio.run(check(proxy.url, path="/v1/stream")) for _ in range(2)]
        stamps = [report.exchanges[0] for report in reports]
        took.append([(one.ended_ns - (one.stamps.sent_ns or 0)) / 1e9 for one in stamps])
    (bad_first, bad_again), (fixed_first, fixed_again) = took
    assert bad_again < bad_first / 3
    assert fixed_again > fixed_first / 2


EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"tok"}}]}\n\n'
GATEWAY_HEAD = b"Content-Type: text/event-stream\r\n\r\n"


def _uwsgi(conn: socket.socket, send_stream: Callable[[Callable[[bytes], None]], None]) -> None:
    (size,) = struct.unpack("<xHx", conn.recv(4, socket.MSG_WAITALL))
    conn.recv(size, socket.MSG_WAITALL)
    conn.sendall(b"HTTP/1.1 200 OK\r\n" + GATEWAY_HEAD)
    send_stream(conn.sendall)


def _scgi(conn: socket.socket, send_stream: Callable[[Callable[[bytes], None]], None]) -> None:
    conn.recv(65536)
    conn.sendall(b"Status: 200 OK\r\n" + GATEWAY_HEAD)
    send_stream(conn.sendall)


def _fastcgi(conn: socket.socket, send_stream: Callable[[Callable[[bytes], None]], None]) -> None:
    def record(kind: int, data: bytes) -> None:
        conn.sendall(struct.pack(">BBHHBB", 1, kind, 1, len(data), 0, 0) + data)

    conn.recv(65536)
    record(6, b"Status: 200 OK\r\n" + GATEWAY_HEAD)
    send_stream(lambda data: record(6, data))
    record(6, b"")
    record(3, bytes(8))


@contextmanager
def gateway_origin(
    serve: Callable[[socket.socket, Callable[[Callable[[bytes], None]], None]], None],
) -> Iterator[str]:
    """An application server of another protocol: 150 events, one each 5 ms."""

    def stream(send: Callable[[bytes], None]) -> None:
        for _ in range(150):
            send(EVENT)
            time.sleep(0.005)
        send(b"data: [DONE]\n\n")

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                conn, _ = listener.accept()
                with conn, suppress(OSError):
                    serve(conn, stream)

    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        thread = threading.Thread(target=accept, args=(listener,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)


@pytest.mark.parametrize(
    ("protocol", "serve"), [("uwsgi", _uwsgi), ("scgi", _scgi), ("fastcgi", _fastcgi)]
)
def test_other_protocols_hold_and_stream_the_same(
    protocol: str, serve: Callable[..., None], run_proxy: RunProxy
) -> None:
    verdicts = []
    with gateway_origin(serve) as origin:
        for kind in ("bad", "fixed"):
            text = text_of("NGX109", kind).replace("uwsgi", protocol)
            proxy = run_proxy(start_with_config, NGINX, text, origin=origin)
            verdicts.append(hop_json(asyncio.run(check(proxy.url)))["verdict"])
    assert verdicts[0] in HELD
    assert verdicts[1] in STREAMS


def test_over_http_10_a_crash_looks_like_an_end(simulator: StartSim, pair: StartPair) -> None:
    model = simulator(*QUICK, "--die-after", "20")
    bad, fixed = (asyncio.run(check(proxy.url)) for proxy in pair("NGX110", model.url))
    assert bad.exchanges[0].ending is Ending.COMPLETE
    assert fixed.exchanges[0].ending is not Ending.COMPLETE


def test_an_origin_is_not_told_that_its_reader_has_left(
    simulator: StartSim, pair: StartPair
) -> None:
    model = simulator("--ttft", "50", "--gap", "25", "--tokens", "100")
    proxies = pair("NGX111", model.url)

    async def leave_both() -> list[Report]:
        return await asyncio.gather(
            *(check(proxy.url, beacon=True, cancel=True) for proxy in proxies)
        )

    bad, fixed = asyncio.run(leave_both())
    assert "UD110" in codes_by_hop(bad)["edge"]
    assert "UD110" not in codes_by_hop(fixed).get("edge", set())


def test_the_header_reaches_the_next_nginx(simulator: StartSim, pair: StartPair) -> None:
    model = simulator(*QUICK, "--header", "X-Accel-Buffering: no")
    bad, fixed = both(model, pair("NGX112", model.url))
    assert head_of(bad).get("x-accel-buffering") is None
    assert head_of(fixed).get("x-accel-buffering") == "no"


def test_an_nginx_before_a_body_without_chunks_holds(
    simulator: StartSim, pair: StartPair, run_proxy: RunProxy
) -> None:
    model = simulator(*QUICK)
    inner = pair("NGX203", model.url)
    outer = [
        run_proxy(start_with_config, NGINX, text_of("NGX102", "bad"), origin=one.url)
        for one in inner
    ]
    at_bad, at_fixed = both(model, inner)
    assert "UD108" in {one.code for one in at_bad.findings}
    assert "UD108" not in {one.code for one in at_fixed.findings}
    bad, fixed = both(model, (outer[0], outer[1]))
    assert hop_json(bad)["verdict"] in HELD
    assert hop_json(fixed)["verdict"] in STREAMS


def test_a_silence_longer_than_the_limit_is_a_cut(simulator: StartSim, pair: StartPair) -> None:
    model = simulator("--gap", "5", "--tokens", "30", "--stall-after", "20", "--stall", "3000")
    bad, fixed = pair("NGX401", model.url, ("timeout 30s", "timeout 1s"))
    assert hop_json(asyncio.run(check(bad.url)))["complete"] is False
    assert hop_json(asyncio.run(check(fixed.url)))["complete"] is True


def test_a_reader_that_stalls_loses_its_stream(simulator: StartSim, pair: StartPair) -> None:
    model = simulator("--ttft", "0", "--gap", "1", "--tokens", "400", "--event-bytes", "100000")
    bad, fixed = pair("NGX402", model.url, ("timeout 5s", "timeout 1s"))
    assert not _read_with_a_pause(bad.url, 3).endswith(b"0\r\n\r\n")
    assert _read_with_a_pause(fixed.url, 3).endswith(b"0\r\n\r\n")


def _read_with_a_pause(url: str, pause_s: float) -> bytes:
    """The last bytes of a stream whose reader stops after its first read."""
    place = urlsplit(url)
    with socket.socket() as conn:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        conn.settimeout(20)
        conn.connect((place.hostname, place.port))
        conn.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        last = conn.recv(4096)
        time.sleep(pause_s)
        with suppress(ConnectionResetError):
            while data := conn.recv(1 << 20):
                last = (last + data)[-64:]
    return last


@pytest.mark.parametrize("path", ["/", "/v1/", "/v1/chat/completions"])
def test_what_render_writes_streams_as_it_is(
    path: str, simulator: StartSim, run_proxy: RunProxy, tmp_path: Path
) -> None:
    model = simulator(*QUICK)

    def text(place: Workspace) -> str:
        listen = f"127.0.0.1:{place.port}"
        request = RenderRequest(upstream=model.url, path=path, listen=listen)
        return dialect_named("nginx").render(request)

    proxy = run_proxy(start_with_config, NGINX, text)
    (report,) = measure(model, lambda: [check(proxy.url, beacon=True)])
    assert hop_json(report)["verdict"] in STREAMS
    assert codes_by_hop(report) == {}
    assert hop_json(report)["events_per_read"]["p50"] == 1
