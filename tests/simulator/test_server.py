"""A simulator on loopback: framing, options, invalid input, slow readers and disconnects."""

from __future__ import annotations

import errno
import gc
import itertools
import json
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from undam.apis import Kind, api_for_path
from undam.errors import UsageError
from undam.simulator import BodyFraming, Simulator, SimulatorSettings
from undam.simulator.connection import Connection
from undam.timing import due_of
from undam.timing.beacon import parse_head
from undam.timing.distribution import constant

pytestmark = pytest.mark.slow  # real sockets and timeouts

Serve = Callable[..., Any]

STREAMS = ["/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/sse",
           "/ndjson", "/v1/stream"]  # fmt: skip


def split(response: bytes) -> tuple[bytes, bytes]:
    head, _, body = response.partition(b"\r\n\r\n")
    return head, body


def unchunk(body: bytes) -> bytes:
    """Decode a chunked body, and fail if the last chunk is missing."""
    out = b""
    while True:
        size, _, rest = body.partition(b"\r\n")
        length = int(size, 16)
        if not length:
            assert rest == b"\r\n"
            return out
        out, body = out + rest[:length], rest[length + 2 :]


@pytest.mark.parametrize("path", STREAMS)
def test_every_path_streams_chunked_with_beacon_and_server_headers(serve: Serve, path: str) -> None:
    head, body = split(serve().request(f"GET {path}"))
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    for line in (b"Transfer-Encoding: chunked", b"Cache-Control: no-cache", b"Server: undam-sim"):
        assert line in head
    assert not re.search(rb"x-accel-buffering|no-transform|incremental", head, re.IGNORECASE)
    found = re.search(rb"Undam-Beacon: (.*)\r\n", head)
    assert found
    assert parse_head(found[1].decode())
    assert unchunk(body).endswith(b"\n")


def test_each_event_is_sent_separately_and_recorded(serve: Serve) -> None:
    running = serve(gap=constant(50))
    reads: list[bytes] = []
    with running.connect() as sock:
        sock.sendall(b"GET /sse HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        while read := sock.recv(65536):
            reads.append(read)
    # The response has a head and five events. On a busy machine, two of them may arrive together.
    assert 4 <= len(reads) <= 6
    lines = running.truth()
    events = [line for line in lines if line["kind"] == "event"]
    assert [line["kind"] for line in lines] == ["request", *["event"] * 5, "end"]
    assert len({line["id"] for line in lines}) == 1
    assert lines[-1]["reason"] == "complete"
    stamps = [due_of(json.loads(m)) for read in reads for m in re.findall(rb"data: (.*)", read)]
    assert [(e["seq"], e["due_ns"]) for e in events] == [(s.seq, s.due_ns) for s in stamps if s]
    due = [event["due_ns"] for event in events]
    assert due == [lines[0]["arrived_ns"] + (5 + 50 * k) * 1_000_000 for k in range(5)]
    assert all(event["left_ns"] >= event["due_ns"] for event in events)
    assert all(line["bytes"] == len(b"data: \n\n") + len(m) for line, m in zip(
        events, re.findall(rb"data: (.*)", b"".join(reads)), strict=True))  # fmt: skip


@pytest.mark.parametrize("path", STREAMS[:4])
def test_a_non_streaming_response_is_sent_when_its_last_token_is_due(
    serve: Serve, path: str
) -> None:
    running = serve(gap=constant(20))
    started_ns = time.monotonic_ns()
    head, body = split(running.request(f"POST {path}", body=b'{"messages":[],"max_tokens":4}'))
    assert time.monotonic_ns() - started_ns >= (5 + 3 * 20) * 1_000_000
    assert b"Content-Type: application/json" in head
    assert b"Content-Length: %d" % len(body) in head
    usage = json.loads(body)["usage"]
    assert 4 in (usage.get("completion_tokens"), usage.get("output_tokens"))
    streamed = running.request(f"POST {path}", body=b'{"stream":true,"max_tokens":4}')
    meanings = [
        api_for_path(path).read("", data.decode())
        for data in re.findall(rb"data: (.*)", unchunk(split(streamed)[1]))
    ]
    text = "".join(m.text for m in meanings if m.kind is Kind.CONTENT)
    assert json.dumps(text).encode() in body


def test_framings_mark_the_end(serve: Serve) -> None:
    head, body = split(serve(framing=BodyFraming.CLOSE).request("GET /sse"))
    assert b"Connection: close" in head
    assert b"chunked" not in head
    assert body.count(b"\n\n") == 5
    head, body = split(serve(framing=BodyFraming.LENGTH).request("GET /v1/chat/completions"))
    assert b"Content-Length: %d" % len(body) in head
    assert body.endswith(b"data: [DONE]\n\n")


def test_http_1_0_clients_get_no_chunks(serve: Serve) -> None:
    head, body = split(serve().raw(b"GET /sse HTTP/1.0\r\n\r\n"))
    assert b"chunked" not in head
    assert body.startswith(b"data: ")
    assert body.count(b"\n\n") == 5


def test_head_requests_get_no_body(serve: Serve) -> None:
    running = serve()
    head, body = split(running.request("HEAD /sse"))
    assert b"text/event-stream" in head
    assert body == b""
    assert split(running.request("HEAD /healthz"))[1] == b""


def test_pipelined_requests_are_answered_in_order(serve: Serve) -> None:
    running = serve()
    one = b"GET /sse HTTP/1.1\r\nHost: a\r\n\r\n"
    last = b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    got = running.raw(one + one + last)
    assert got.count(b"HTTP/1.1 200 OK") == 3
    assert got.endswith(b'{"status":"ok"}')
    lines = running.truth()
    ends = [line["at_ns"] for line in lines if line["kind"] == "end"]
    first_due = [line["due_ns"] for line in lines if line.get("seq") == 0]
    # The second request is scheduled from the end of the first response.
    assert first_due[1] - ends[0] >= 5_000_000


def test_continue_is_sent_before_the_body(serve: Serve) -> None:
    with serve().connect() as sock:
        sock.sendall(
            b"POST /sse HTTP/1.1\r\nHost: a\r\nConnection: close\r\nExpect: 100-continue\r\n"
            b"Content-Length: 2\r\n\r\n"
        )
        assert sock.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        sock.sendall(b"{}")
        assert sock.recv(100).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    ("request_line", "body", "status"),
    [
        ("GET /nope", b"", 404),
        ("DELETE /sse", b"", 405),
        ("POST /v1/models", b"", 405),
        ("POST /v1/chat/completions", b"{", 400),
        ("POST /v1/chat/completions", b"", 400),
        ("POST /v1/messages", b"[]", 400),
        ("POST /v1/responses", b'{"max_output_tokens":0}', 400),
        ("GET /sse?ttft=never", b"", 400),
        ("GET /sse?heartbeat=1e9", b"", 400),
        ("GET /sse?framing=length&tokens=100000&event_bytes=1000000", b"", 400),
    ],
)
def test_invalid_requests_get_a_json_error(
    serve: Serve, request_line: str, body: bytes, status: int
) -> None:
    head, error_body = split(serve().request(request_line, body=body))
    assert head.startswith(b"HTTP/1.1 %d " % status)
    error = json.loads(error_body)
    assert error["error"]["message"]
    assert ("type" in error) is request_line.endswith("/v1/messages")


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"nonsense\r\n\r\n", 400),
        (b"GET /sse HTTP/1.1\r\nHost: sim\r\nContent-Length: x\r\n\r\n", 400),
        (b"GET /sse HTTP/1.1\r\nHost: sim\r\nA: " + b"x" * 100_000 + b"\r\n\r\n", 431),
        (
            b"POST /sse HTTP/1.1\r\nHost: sim\r\nContent-Length: 9000000\r\n\r\n"
            + b"x" * 9_000_000,
            413,
        ),
    ],
)
def test_unparsable_requests_get_an_error_and_a_close(
    serve: Serve, data: bytes, status: int
) -> None:
    head, error_body = split(serve().raw(data))
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"Connection: close" in head
    assert json.loads(error_body)["error"]["message"]


def test_die_after_closes_the_body_early(serve: Serve) -> None:
    running = serve(die_after=3)
    _, body = split(running.request("GET /v1/chat/completions"))
    assert body.count(b"data: ") == 4  # the role and three content chunks
    assert not body.endswith(b"0\r\n\r\n")
    assert running.truth()[-1]["reason"] == "died"


def test_heartbeats_are_sent_before_the_first_token(serve: Serve) -> None:
    _, body = split(serve(ttft=constant(600), heartbeat_s=0.06).request("GET /sse"))
    text = unchunk(body)
    # An idle period of ten heartbeat intervals contains at most nine heartbeats; late heartbeats
    # reduce the number.
    assert 1 <= text.count(b": ping\n\n") <= 9
    assert text.rindex(b": ping") < text.index(b"data:")
    _, body = split(serve(ttft=constant(60), heartbeat_s=0.02).request("GET /ndjson"))
    assert b"ping" not in body


def test_given_headers_replace_default_headers(serve: Serve) -> None:
    running = serve(headers=(("cache-control", "no-store"), ("X-Accel-Buffering", "no")))
    head, _ = split(running.request("GET /sse"))
    assert b"cache-control: no-store" in head
    assert b"Cache-Control" not in head
    assert b"X-Accel-Buffering: no" in head


def test_a_late_head_is_sent_with_the_first_event(serve: Serve) -> None:
    with serve(headers_late=True, ttft=constant(50)).connect() as sock:
        sock.sendall(b"GET /sse HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"data: " in sock.recv(65536)


def test_a_query_sets_options_of_one_response(serve: Serve) -> None:
    running = serve()
    assert unchunk(split(running.request("GET /sse?tokens=9&gap=0"))[1]).count(b"\n\n") == 9
    assert unchunk(split(running.request("GET /sse"))[1]).count(b"\n\n") == 5


def test_runs_with_the_same_seed_are_equal(serve: Serve) -> None:
    def run(seed: int) -> list[list[int]]:
        running = serve(seed=seed)
        for _ in range(2):
            running.request("GET /sse?gap=exp(2)&tokens=uniform(3,30)")
        lines = running.truth()
        arrived = {line["id"]: line["arrived_ns"] for line in lines if line["kind"] == "request"}
        events = [line for line in lines if line["kind"] == "event"]
        return [
            [event["due_ns"] - at_ns for event in events if event["id"] == exchange_id]
            for exchange_id, at_ns in arrived.items()
        ]

    first, second, other = run(1), run(1), run(2)
    assert first == second
    assert first != other
    assert first[0] != first[1]


def read_to_end(sock: socket.socket) -> bytes:
    return b"".join(iter(lambda: sock.recv(65536), b""))


def beacon(running: Any, query: str, path: str = "/sse") -> dict[str, Any]:
    _, body = split(running.request(f"GET {path}", headers=f"Undam-Beacon: {query}\r\n"))
    answer: dict[str, Any] = json.loads(body)
    return answer


def test_beacon_queries_return_the_clock_and_the_end_of_an_exchange(serve: Serve) -> None:
    running = serve()
    before = time.time_ns()
    clock = beacon(running, "clock")
    assert before <= clock["arrived_ns"] <= clock["left_ns"] <= time.time_ns()
    found = re.search(rb"Undam-Beacon: (.*)\r\n", running.request("GET /sse"))
    assert found
    head = parse_head(found[1].decode())
    assert head is not None
    assert head.host == clock["host"]
    closed = beacon(running, f"closed; id={head.id}", "/healthz")
    assert closed["known"]
    assert closed["finished"]
    assert closed["closed_ns"] > head.arrived_ns
    assert beacon(running, "closed; id=other") == {
        "known": False, "closed_ns": None, "finished": False,
    }  # fmt: skip
    assert "Undam-Beacon" in beacon(running, "weather")["error"]["message"]


def test_a_beacon_query_sets_the_schedule(serve: Serve) -> None:
    running = serve(tokens=constant(50))
    query = "schedule; ttft_ms=0; gap_ms=2; before=3; silence_ms=500; after=2; heartbeat_ms=100"
    body = running.request(
        "POST /v1/messages",
        body=b'{"stream":true,"max_tokens":1}',
        headers=f"Undam-Beacon: {query}\r\n",
    )
    text = unchunk(split(body)[1])
    assert text.count(b"content_block_delta\n") == 5
    assert 1 <= text.count(b": ping\n\n") <= 4
    events = [line["due_ns"] for line in running.truth() if line["kind"] == "event"]
    gaps = [(b - a) // 1_000_000 for a, b in itertools.pairwise(events) if b > a]
    assert gaps == [2, 2, 500, 2]


def test_a_client_disconnect_is_detected_immediately(serve: Serve) -> None:
    running = serve(ttft=constant(60_000))
    with running.connect() as sock:
        sock.sendall(b"GET /sse HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in sock.recv(65536)
        left_ns = time.time_ns()
    running.wait_for_end()
    end = running.truth()[-1]
    assert end["reason"] == "client-left"
    assert left_ns <= end["at_ns"] < left_ns + 10_000_000_000


def test_stopping_ends_exchanges_and_writes_the_ground_truth(serve: Serve) -> None:
    running = serve(ttft=constant(60_000))
    with running.connect() as sock:
        sock.sendall(b"GET /sse HTTP/1.1\r\nHost: a\r\n\r\n")
        sock.recv(65536)
        lines = running.truth()
        assert [line["kind"] for line in lines] == ["request", "end"]
        assert lines[-1]["reason"] == "server-stopped"
        assert sock.recv(10) == b""


def test_a_slow_reader_pauses_only_its_own_stream(serve: Serve) -> None:
    running = serve()
    with running.connect() as slow:
        slow.sendall(
            b"GET /sse?ttft=0&gap=0&tokens=400&event_bytes=50000 HTTP/1.1\r\nHost: a\r\n"
            b"Connection: close\r\n\r\n"
        )
        time.sleep(0.2)
        assert unchunk(split(running.request("GET /sse"))[1]).count(b"\n\n") == 5
        parts = []
        while part := slow.recv(1 << 20):
            parts.append(part)
    body = unchunk(split(b"".join(parts))[1])
    assert len(body) == 400 * 50_000
    lines = running.truth()
    slow_id = lines[0]["id"]
    sent_ns = [
        line["left_ns"] for line in lines if line["id"] == slow_id and line["kind"] == "event"
    ]
    assert len(sent_ns) == 400
    # Events that do not fit into the buffers are sent only after the client starts reading.
    assert sent_ns == sorted(sent_ns)
    assert sent_ns[-1] - sent_ns[0] > 150_000_000


def test_concurrent_streams_are_complete(serve: Serve) -> None:
    running = serve(tokens=constant(20))
    bodies: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: bodies.append(running.request("GET /v1/chat/completions")))
        for _ in range(30)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert len(bodies) == 30
    assert {unchunk(split(body)[1]).count(b"data: ") for body in bodies} == {23}


def test_httpx_reads_a_stream_and_reuses_the_connection(serve: Serve) -> None:
    running = serve()
    with httpx.Client(base_url=running.simulator.url, trust_env=False) as client:
        for _ in range(2):
            body = {"model": "m", "stream": True, "max_tokens": 3}
            with client.stream("POST", "/v1/chat/completions", json=body) as response:
                lines = [line for line in response.iter_lines() if line]
            assert lines[-1] == "data: [DONE]"
            assert len(lines) == 6
        assert client.post("/v1/chat/completions", json={"model": "m"}).json()["model"] == "m"
        assert client.get("/v1/models").json()["object"] == "list"


def test_listen_errors_are_reported(serve: Serve) -> None:
    running = serve()
    port = int(running.simulator.url.rpartition(":")[2])
    with pytest.raises(UsageError, match="--port 0"):
        Simulator(SimulatorSettings(port=port))
    with pytest.raises(UsageError, match="cannot listen"):
        Simulator(SimulatorSettings(host="no.such.host.invalid"))


def test_serve_returns_at_once_after_stop() -> None:
    with Simulator(SimulatorSettings()) as simulator:
        simulator.stop()
        simulator.serve()
    simulator.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(simulator.url)


def test_a_connection_reset_is_detected(serve: Serve) -> None:
    running = serve(gap=constant(20), tokens=constant(1000))
    with running.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.sendall(b"GET /sse HTTP/1.1\r\nHost: a\r\n\r\n")
        sock.recv(65536)
    running.wait_for_end()
    assert running.truth()[-1]["reason"] == "client-left"


def test_a_client_that_ignores_the_error_is_disconnected(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undam.simulator.connection._LINGER_NS", 20_000_000)
    with serve().connect() as sock:
        sock.sendall(b"nonsense\r\n\r\n")
        # the client has half-closed; the server still reads
        assert read_to_end(sock).startswith(b"HTTP/1.1 400")

        def keep_sending() -> None:
            for _ in range(1000):
                time.sleep(0.01)
                sock.sendall(b"more")

        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            keep_sending()


def test_accepting_pauses_without_a_free_file_descriptor(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    accept = socket.socket.accept
    refused: list[float] = []

    def none_free(listener: socket.socket) -> Any:
        if len(refused) < 2:
            refused.append(time.monotonic())
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(listener)

    monkeypatch.setattr(socket.socket, "accept", none_free)
    assert serve().request("GET /healthz").endswith(b'{"status":"ok"}')
    assert refused[1] - refused[0] >= 0.09  # no busy loop


def test_finished_exchanges_leave_no_reference_cycles(serve: Serve) -> None:
    running = serve()
    gc.collect()
    gc.disable()
    try:
        for data in (
            b"GET /sse HTTP/1.1\r\nHost: sim\r\nConnection: close\r\n\r\n",
            b"POST /v1/messages HTTP/1.0\r\nContent-Length: 1\r\n\r\n{",
        ):
            for _ in range(20):
                running.raw(data)
        time.sleep(0.05)
        kept = [one for one in gc.get_objects() if isinstance(one, Connection)]
    finally:
        gc.enable()
    assert len(kept) <= 2  # local variables may still refer to the last object


def test_ipv6_addresses_have_brackets_in_the_url() -> None:
    try:
        simulator = Simulator(SimulatorSettings(host="::1"))
    except UsageError:
        pytest.skip("this machine has no IPv6 loopback")
    with simulator:
        assert simulator.url.startswith("http://[::1]:")


def test_an_unwritable_ground_truth_leaves_no_socket_open(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="ground truth"):
        Simulator(SimulatorSettings(truth=tmp_path / "no" / "such"))


@pytest.mark.slow
def test_many_streams_keep_their_schedule(serve: Serve) -> None:
    running = serve(ttft=constant(100), gap=constant(20), tokens=constant(150))
    threads = [
        threading.Thread(target=lambda: running.request("GET /v1/chat/completions"))
        for _ in range(50)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    events = [line for line in running.truth() if line["kind"] == "event"]
    assert len(events) == 50 * 153
    late = sorted(event["left_ns"] - event["due_ns"] for event in events)
    assert late[0] >= 0
    # If delays accumulated, half of the events would be late by several 20 ms gaps.
    assert late[len(late) // 2] < 10_000_000
