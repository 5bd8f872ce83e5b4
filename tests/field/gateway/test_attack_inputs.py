"""Hostile requests: each is rejected, or forwarded unambiguously, within a CPU time budget."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import resource
import time
from pathlib import Path
from typing import NamedTuple

from support.gateway_in_loop import LoopGateway, LoopUpstream, loop_gateway

MAX_GROWTH_MB = 15
"""Memory that the process may keep after an attack."""
MAX_CPU_S = 1.0
"""CPU time for one attack, on both sides of the connection and at the upstream."""

_INPUTS = Path(__file__).parent / "attack_inputs.jsonl"
_SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
_HEAD = b"POST /v1/x HTTP/1.1\r\nHost: x\r\n"
_CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
_CHUNKED = b"Transfer-Encoding: chunked\r\n"


class Attack(NamedTuple):
    """One input.

    Args:
        statuses: statuses of the responses, in order.
        forwarded: number of requests that reach the upstream.
    """

    data: bytes
    statuses: list[int]
    forwarded: int


def _reported() -> dict[str, Attack]:
    """Return the 138 inputs from bug reports, with the expected results."""
    found = {}
    for line in _INPUTS.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        data = b"".join(text.encode("latin-1") * times for text, times in row["data"])
        statuses = [200] * 300 if row["statuses"] == "200 x 300" else row["statuses"]
        found[row["name"]] = Attack(data, statuses, row["forwarded"])
    return found


def _get(target: bytes, *lines: bytes, host: bytes = b"Host: x") -> bytes:
    return b"\r\n".join([b"GET %b HTTP/1.1" % target, host, *lines]) + b"\r\n\r\n"


def _post(*lines: bytes, body: bytes = b"") -> bytes:
    return _HEAD + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def _chunks(body: bytes) -> bytes:
    return _HEAD + _CHUNKED + b"\r\n" + body


def _chat(body: bytes, *lines: bytes) -> bytes:
    more = b"".join(line + b"\r\n" for line in lines)
    return _CHAT + more + b"Content-Length: %d\r\n\r\n" % len(body) + body


MORE: dict[str, Attack] = {
    # Requests with two framings, or with a framing that two parsers may interpret differently.
    "length 0 and coding": Attack(
        _post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"), [400], 0),
    "coding, coding": Attack(
        _post(b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        [400], 0),
    "coding chunked, chunked": Attack(
        _post(b"Transfer-Encoding: chunked, chunked", body=b"0\r\n\r\n" + _SMUGGLED), [501], 0),
    "coding gzip, chunked": Attack(
        _post(b"Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n" + _SMUGGLED), [501], 0),
    "coding with a trailing comma": Attack(
        _post(b"Transfer-Encoding: chunked,", body=b"0\r\n\r\n" + _SMUGGLED), [501], 0),
    "coding in HTTP/1.0": Attack(
        b"POST / HTTP/1.0\r\n" + _CHUNKED + b"\r\n0\r\n\r\n" + _SMUGGLED, [400], 0),
    "length with a vertical tab": Attack(
        _post(b"Content-Length:\x0b3", body=b"abc" + _SMUGGLED), [400], 0),
    "length with a tab before the colon": Attack(
        _post(b"Content-Length\t: 3", body=b"abc" + _SMUGGLED), [400], 0),
    "length folded": Attack(_post(b"Content-Length:\r\n 3", body=b"abc"), [400], 0),
    "length with a form feed": Attack(_post(b"Content-Length: 3\x0c", body=b"abc"), [400], 0),
    "length in hexadecimal": Attack(_post(b"Content-Length: a", body=b"a" * 10), [400], 0),
    "length as a decimal fraction": Attack(_post(b"Content-Length: 3.0", body=b"abc"), [400], 0),
    "length with an exponent": Attack(_post(b"Content-Length: 3e0", body=b"abc"), [400], 0),
    "length of 19 digits": Attack(_post(b"Content-Length: " + b"9" * 19), [400], 0),
    "length over the limit": Attack(_post(b"Content-Length: 999999999999"), [413], 0),
    "length in upper case with spaces": Attack(
        _post(b"CONTENT-LENGTH:   3", body=b"abc"), [200], 1),
    "length that connection lists": Attack(
        _post(b"Connection: Content-Length", b"Content-Length: 3", body=b"abc" + _SMUGGLED),
        [200, 200], 2),
    "coding that connection lists": Attack(
        _post(b"Connection: Transfer-Encoding", b"Transfer-Encoding: chunked",
              body=b"3\r\nabc\r\n0\r\n\r\n" + _SMUGGLED), [200, 200], 2),
    "trailer that names the length": Attack(
        _post(b"Trailer: Content-Length", b"Transfer-Encoding: chunked",
              body=b"0\r\nContent-Length: 50\r\n\r\n" + _SMUGGLED), [200, 200], 2),
    # Chunks.
    "nine hexadecimal digits": Attack(_chunks(b"100000003\r\nabc\r\n0\r\n\r\n"), [400], 0),
    "tab before the size": Attack(_chunks(b"\t3\r\nabc\r\n0\r\n\r\n"), [400], 0),
    "size with CR CR LF": Attack(_chunks(b"3\r\r\nabc\r\n0\r\n\r\n"), [400], 0),
    "size in octal notation": Attack(_chunks(b"0o3\r\nabc\r\n0\r\n\r\n"), [400], 0),
    "size with a comma": Attack(_chunks(b"3,0\r\nabc\r\n0\r\n\r\n"), [400], 0),
    "extension without a size": Attack(_chunks(b";a=b\r\nabc\r\n0\r\n\r\n"), [400], 0),
    "extension of 300 bytes": Attack(
        _chunks(b"3;" + b"e" * 300 + b"\r\nabc\r\n0\r\n\r\n"), [400], 0),
    "extension with DEL": Attack(_chunks(b"3;\x7f\r\nabc\r\n0\r\n\r\n"), [400], 0),
    "extension with a high byte": Attack(_chunks(b"3;\xff\r\nabc\r\n0\r\n\r\n"), [400], 0),
    "chunk that is too short": Attack(_chunks(b"4\r\nabc\r\n0\r\n\r\n"), [400], 0),
    "only framing": Attack(_chunks(b"1;" + b"e" * 190 + b"\r\na\r\n" + b"" ) + (
        b"1;" + b"e" * 190 + b"\r\na\r\n") * 200, [400], 0),
    "trailer of 5 KB": Attack(_chunks(b"0\r\nX: " + b"a" * 5000 + b"\r\n\r\n"), [400], 0),
    "trailer with a NUL": Attack(_chunks(b"0\r\nX: \x00\r\n\r\n"), [400], 0),
    "trailer without a name": Attack(_chunks(b"0\r\n: x\r\n\r\n"), [400], 0),
    # Targets.
    "dots at the end": Attack(_get(b"/v1/.."), [400], 0),
    "encoded dots at the end": Attack(_get(b"/v1/%2E%2E"), [400], 0),
    "dots with an encoded slash": Attack(_get(b"/v1/..%2f-/metrics"), [400], 0),
    "mixed dots": Attack(_get(b"/v1/%2e./-/metrics"), [400], 0),
    "dots after an encoded slash": Attack(_get(b"/v1%2f..%2f-/metrics"), [400], 0),
    "dots between backslashes": Attack(_get(b"/v1\\..\\-/metrics"), [400], 0),
    "dots in a name": Attack(_get(b"/v1/a..b/x"), [200], 1),
    "three dots": Attack(_get(b"/v1/.../x"), [200], 1),
    "dots in the query": Attack(_get(b"/v1/x?a=/../b"), [200], 1),
    "a high byte": Attack(_get(b"/v1/\xe9"), [400], 0),
    "a NUL": Attack(_get(b"/v1/\x00"), [400], 0),
    "an asterisk": Attack(_get(b"*"), [400], 0),
    "only a query": Attack(_get(b"?x"), [400], 0),
    "another scheme": Attack(_get(b"gopher://x/v1"), [400], 0),
    "a URL with a port that differs": Attack(_get(b"http://x:81/v1"), [400], 0),
    # Invalid request lines and Host headers.
    "a method with a colon": Attack(b"GE:T / HTTP/1.1\r\nHost: x\r\n\r\n", [400], 0),
    "a method with a NUL": Attack(b"GET\x00 / HTTP/1.1\r\nHost: x\r\n\r\n", [400], 0),
    "a version with a space": Attack(b"GET / HTTP/1.1 \r\nHost: x\r\n\r\n", [400], 0),
    "a version without a minor number": Attack(b"GET / HTTP/1\r\nHost: x\r\n\r\n", [400], 0),
    "another protocol": Attack(b"GET / RTSP/1.1\r\nHost: x\r\n\r\n", [400], 0),
    "a host with spaces": Attack(_get(b"/", host=b"Host: x y"), [400], 0),
    "an unclosed IPv6 host": Attack(_get(b"/", host=b"Host: [::1"), [400], 0),
    "a host with a port of eight digits": Attack(_get(b"/", host=b"Host: x:99999999"), [400], 0),
    "a host with a tab": Attack(_get(b"/", host=b"Host: x\ty"), [400], 0),
    "a folded host": Attack(_get(b"/", host=b"Host:\r\n x"), [400], 0),
    "a vertical tab in a name": Attack(_get(b"/v1/x", b"X\x0b: y"), [400], 0),
    "a request line of spaces": Attack(b"   \r\nHost: x\r\n\r\n", [400], 0),
    "a slow TLS handshake": Attack(b"\x16\x03\x01\x00\xf1\x01\x00\x00\xed\x03\x03\r\n", [400], 0),
    "101 headers": Attack(_get(b"/v1/x", *[b"A: b"] * 101), [431], 0),
    # Request bodies that are expensive to inspect.
    "a gzip bomb": Attack(
        _chat(gzip.compress(b"{" + b" " * 30_000_000, 1), b"Content-Encoding: gzip"), [200], 1),
    "fifty codings": Attack(
        _chat(b"x", b"Content-Encoding: " + b", ".join([b"gzip"] * 50)), [200], 1),
    "a body that is not gzip": Attack(_chat(b"\x1f\x8b" * 99, b"Content-Encoding: gzip"), [200], 1),
    "deep JSON": Attack(_chat(b"[" * 500_000), [200], 1),
    "many members": Attack(_chat(b"{" + b'"a":[],' * 60_000 + b'"b":1}'), [200], 1),
    "a key without an end": Attack(_chat(b'{"' + b"a" * 500_000), [200], 1),
    "spaces": Attack(_chat(b" " * 900_000), [200], 1),
}  # fmt: skip


async def _run(running: LoopGateway, attack: Attack) -> list[int]:
    """Send one attack input, and return the status codes of all responses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    received = b""
    try:
        writer.write(attack.data)
        async with asyncio.timeout(10):
            while len(_statuses(received)) < len(attack.statuses):
                piece = await reader.read(1 << 16)
                if not piece:
                    break
                received += piece
            # If there were further responses, they would arrive at once.
            async with asyncio.timeout(0.02):
                while piece := await reader.read(1 << 16):
                    received += piece
    except (TimeoutError, ConnectionError):
        pass
    finally:
        writer.transport.abort()
    return _statuses(received)


def _statuses(received: bytes) -> list[int]:
    return [int(one) for one in re.findall(rb"HTTP/1\.1 ([2-5][0-9]{2}) ", received)]


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def test_every_attack_is_refused_or_harmless() -> None:
    reported = _reported()
    assert len(reported) == 138
    assert len(MORE) >= 60
    wrong: dict[str, object] = {}
    costs: list[tuple[float, float, str]] = []

    async def main() -> None:
        upstream = await LoopUpstream().start()
        async with loop_gateway(upstream) as running:
            for name, attack in (reported | MORE).items():
                before, memory_mb, cpu_s = len(upstream.calls), _resident_mb(), time.process_time()
                statuses = await _run(running, attack)
                forwarded = [one.target for one in upstream.calls[before:]]
                costs.append((time.process_time() - cpu_s, _resident_mb() - memory_mb, name))
                if (statuses, len(forwarded)) != (attack.statuses, attack.forwarded):
                    wrong[name] = statuses, forwarded
                for call in upstream.calls[before:]:
                    call.body = b""
            assert running.gateway.context.budget.used_bytes == 0
            assert running.gateway.active_requests == 0

    asyncio.run(main())
    assert wrong == {}
    for cpu_s, growth_mb, name in sorted(costs, reverse=True)[:5]:
        print(f"{name}: {cpu_s * 1000:.0f} ms of CPU, {growth_mb:+.1f} MB")
    assert max(cpu_s for cpu_s, _, _ in costs) < MAX_CPU_S
    assert sum(growth_mb for _, growth_mb, _ in costs) < MAX_GROWTH_MB
