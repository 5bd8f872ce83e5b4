"""Bug reports with a single request: framing, paths, and log lines for invalid requests."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from support.chunked import LAST_CHUNK, chunk
from support.eventually import eventually
from support.fake_upstream import (
    DONE,
    STREAM_HEAD,
    FakeUpstream,
    UpstreamRequest,
    chat_request,
    event,
    fake_upstream,
    is_complete,
    send_raw,
    split_response,
)
from support.gateway_process import undam_commands
from support.undam_command import ListeningCommand

pytestmark = pytest.mark.live

CLOSE = "Connection: close\r\n"
_JSON = b'{"ok":true}'
_BOTH_FRAMINGS = (
    b"GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"
)
_GZIPPED = gzip.compress(_JSON)


class Running(NamedTuple):
    gateway: ListeningCommand
    upstream: FakeUpstream
    log: Path

    def lines(self) -> list[dict[str, Any]]:
        text = self.log.read_text() if self.log.exists() else ""
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("gateway")
    with fake_upstream() as upstream, undam_commands(folder) as run:
        log = folder / "access.log"
        gateway = run("gateway", "--upstream", upstream.url + "/v1", "--access-log", str(log))
        yield Running(gateway, upstream, log)


# Case 08: the upstream lists a framing header in the Connection header.


@pytest.mark.parametrize("named", ["Content-Length", "close, content-length", "CONTENT-LENGTH"])
def test_a_length_that_connection_lists_still_frames_the_response(
    running: Running, named: str
) -> None:
    running.upstream.default = lambda request: request.send(
        b"HTTP/1.1 200 OK\r\nConnection: %b\r\nContent-Length: %d\r\n\r\n%b"
        % (named.encode(), len(_JSON), _JSON)
    )
    head, body = split_response(
        send_raw(running.gateway.port, chat_request(stream=False, headers=CLOSE))
    )
    assert b"content-length: 11" in head.lower()
    assert body == _JSON


@pytest.mark.parametrize(
    ("name", "value"),
    [(b"Content-Encoding", b"gzip"), (b"Content-Type", b"text/x"), (b"Location", b"/elsewhere")],
)
def test_headers_that_describe_the_body_are_kept_although_connection_lists_them(
    running: Running, name: bytes, value: bytes
) -> None:
    running.upstream.default = lambda request: request.send(
        b"HTTP/1.1 200 OK\r\nConnection: %b, X-Private\r\n%b: %b\r\nX-Private: 1\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (name, name, value, len(_GZIPPED), _GZIPPED)
    )
    head, body = split_response(
        send_raw(running.gateway.port, chat_request(stream=False, headers=CLOSE))
    )
    assert name + b": " + value in head
    assert b"X-Private" not in head
    assert body == _GZIPPED


# Case 10: the upstream's chunk size lines contain spaces.

_EVENT = event("second")
_SIZE_LINES = {
    "spaces after the size": b"%x  \r\n",
    "a tab after the size": b"%x\t\r\n",
    "a space before an extension": b"%x ;a=b\r\n",
    "a space after the semicolon": b"%x; a=b\r\n",
    "spaces around the value": b"%x;a = b\r\n",
    "a space at the end": b"%x;a=b \r\n",
    "two extensions": b"%x;a=b ; c\r\n",
    "a quoted value": b'%x;a="b; c"\r\n',
    "an empty extension": b"%x;\r\n",
    "leading zeros": b"00000000000%x\r\n",
}


@pytest.mark.parametrize("name", _SIZE_LINES)
@pytest.mark.parametrize("cut", [False, True])
def test_spaces_in_the_size_lines_of_a_response_are_accepted(
    running: Running, name: str, cut: bool
) -> None:
    line = _SIZE_LINES[name] % len(_EVENT)

    def handler(request: UpstreamRequest) -> None:
        request.send(STREAM_HEAD + chunk(event("first")))
        time.sleep(0.02)
        data = line + _EVENT + b"\r\n" + chunk(DONE) + LAST_CHUNK
        for part in (data[: len(line) - 1], data[len(line) - 1 :]) if cut else (data,):
            request.send(part)
            time.sleep(0.01)

    running.upstream.default = handler
    response = send_raw(running.gateway.port, chat_request(headers=CLOSE))
    assert is_complete(response)
    assert split_response(response)[1] == event("first") + _EVENT + DONE


@pytest.mark.parametrize("line", [b"0x5\r\n", b"+5\r\n", b"g\r\n", b"5\n", b"\r\n", b";a\r\n"])
def test_a_size_line_without_a_size_breaks_the_response(running: Running, line: bytes) -> None:
    running.upstream.default = lambda request: request.send(
        STREAM_HEAD + chunk(event("first")) + line + b"abcde\r\n" + LAST_CHUNK
    )
    response = send_raw(running.gateway.port, chat_request(headers=CLOSE))
    assert not is_complete(response)
    assert b"malformed" in response


# Case 13: an unsupported transfer coding, in one read or in several.


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"chunked, gzip", b"chunked;q=1"])
@pytest.mark.parametrize("cut", [False, True])
def test_an_unsupported_transfer_coding_is_refused(
    running: Running, coding: bytes, cut: bool
) -> None:
    def handler(request: UpstreamRequest) -> str:
        request.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n" % coding)
        if cut:
            time.sleep(0.02)
        request.send(chunk(_GZIPPED) + LAST_CHUNK)
        return "close"

    running.upstream.default = handler
    response = send_raw(running.gateway.port, chat_request(stream=False, headers=CLOSE))
    assert response.startswith(b"HTTP/1.1 502 ")
    assert b"transfer coding" in response or b"malformed" in response


# Case 11: both the upstream URL and the request path contain a version.


@pytest.mark.parametrize(
    ("target", "forwarded"),
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/chat/completions", "/v1/chat/completions"),
        ("/v1", "/v1"),
        ("/v1?a=b", "/v1?a=b"),
        ("/v1x/models", "/v1/v1x/models"),
        ("/v2/rerank", "/v1/v2/rerank"),
        ("/v1/v1/models", "/v1/v1/models"),
    ],
)
def test_a_version_in_the_url_and_in_the_path_is_sent_once(
    running: Running, target: str, forwarded: str
) -> None:
    running.upstream.default = FakeUpstream.default
    request = f"GET {target} HTTP/1.1\r\nHost: gw\r\n{CLOSE}\r\n".encode()
    assert send_raw(running.gateway.port, request).endswith(b"ok")
    line = running.upstream.requests[-1].head.partition(b"\r\n")[0]
    assert line == f"GET {forwarded} HTTP/1.1".encode()


# Case 12: the access log contains all known fields of an invalid request.


@pytest.mark.parametrize(
    ("request_bytes", "status", "method", "path"),
    [
        (
            _BOTH_FRAMINGS,
            400, "GET", "/a",
        ),
        (b"POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\n", 413, "POST", "/b"),
        (b"GET /c HTTP/1.1\r\nX : y\r\n\r\n", 400, "GET", "/c"),
        (b"GET /d HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 70000, 431, "GET", "/d"),
        (b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n", 501, "CONNECT", "x:443"),
        (b"GET /-/metrics HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400, "GET", "/-/metrics"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\n", 400, None, None),
        (
            b"POST /e HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            400, "POST", "/e",
        ),
    ],
)  # fmt: skip
def test_a_bad_request_is_logged_with_client_path_and_request_id(
    running: Running, request_bytes: bytes, status: int, method: str | None, path: str | None
) -> None:
    response = send_raw(running.gateway.port, request_bytes)
    head = response.partition(b"\r\n\r\n")[0].decode().lower()
    request_id = head.partition("x-request-id: ")[2].split("\r\n")[0]
    assert request_id
    eventually(lambda: request_id in [line["request_id"] for line in running.lines()])
    [line] = [one for one in running.lines() if one["request_id"] == request_id]
    assert line["client"] == "127.0.0.1"
    assert (line["status"], line["method"], line["path"]) == (status, method, path)


def test_the_access_log_has_the_status_of_the_upstream(running: Running) -> None:
    running.upstream.default = lambda request: request.send(
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    )
    request_id = "status-of-the-upstream"
    headers = f"X-Request-Id: {request_id}\r\n{CLOSE}"
    send_raw(running.gateway.port, chat_request(stream=False, headers=headers))
    eventually(lambda: request_id in [line["request_id"] for line in running.lines()])
    [line] = [one for one in running.lines() if one["request_id"] == request_id]
    assert (line["status"], line["upstream_status"], line["attempts"]) == (404, 404, None)
