"""Reading requests and formatting response heads: fragmentation, limits and errors."""

from __future__ import annotations

import pytest

from undam.http1.chunked import encode_chunk
from undam.http1.request_parser import BadRequest
from undam.simulator.http import (
    MAX_BODY_BYTES,
    MAX_HEAD_BYTES,
    Date,
    HttpRequest,
    RequestReader,
    head,
    merge_headers,
)

POST = b"POST /sse?a=1&b=x%20y HTTP/1.1\r\nHost: sim\r\nContent-Length: 3\r\nX: Y\r\n\r\nabc"


def test_the_result_does_not_depend_on_fragmentation() -> None:
    (whole,) = RequestReader().receive_data(POST, 7)
    reader = RequestReader()
    parts = [request for byte in POST for request in reader.receive_data(bytes([byte]), 7)]
    assert parts == [whole]
    assert (whole.method, whole.path, whole.version) == ("POST", "/sse", "1.1")
    assert whole.query() == [("a", "1"), ("b", "x y")]
    assert (whole.body, whole.get("x"), whole.get("y")) == (b"abc", "Y", None)
    assert whole.keep_alive
    assert whole.arrived_ns == 7


def test_all_requests_of_one_read_are_returned() -> None:
    reader = RequestReader()
    assert [r.body for r in reader.receive_data(POST * 3 + POST[:-1], 0)] == [b"abc"] * 3
    assert [r.body for r in reader.receive_data(b"c", 0)] == [b"abc"]
    assert reader.problem is None


def test_complete_requests_before_an_error_are_returned() -> None:
    reader = RequestReader()
    assert len(reader.receive_data(POST + b"nonsense\r\n\r\n", 0)) == 1
    assert reader.problem is not None
    assert reader.problem.status == 400


@pytest.mark.parametrize("size", [100, 65536])
def test_an_endless_head_is_refused(size: int) -> None:
    reader = RequestReader()
    data = b"GET / HTTP/1.1\r\n" + b"A: " + b"x" * (MAX_HEAD_BYTES + 70_000)
    for start in range(0, len(data), size):
        reader.receive_data(data[start : start + size], 0)
        if reader.problem:
            break
    assert reader.problem is not None
    assert reader.problem.status == 431


def test_a_head_that_is_too_large_in_one_read_is_refused() -> None:
    reader = RequestReader()
    big = b"GET / HTTP/1.1\r\nHost: sim\r\nA: " + b"x" * MAX_HEAD_BYTES + b"\r\n\r\n"
    assert reader.receive_data(big, 0) == []
    assert reader.problem is not None
    assert reader.problem.status == 431


def test_a_body_does_not_count_towards_the_head_limit() -> None:
    reader = RequestReader()
    body = b"x" * (MAX_HEAD_BYTES * 3)
    data = b"POST / HTTP/1.1\r\nHost: sim\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    requests = [request for i in range(0, len(data), 50_000)
           for request in reader.receive_data(data[i : i + 50_000], 0)]  # fmt: skip
    assert [request.body for request in requests] == [body]
    assert reader.problem is None


def test_a_body_over_the_limit_is_refused() -> None:
    reader = RequestReader()
    reader.receive_data(b"POST / HTTP/1.1\r\nHost: sim\r\nTransfer-Encoding: chunked\r\n\r\n", 0)
    for _ in range(MAX_BODY_BYTES // 65536 + 1):
        assert reader.problem is None
        reader.receive_data(encode_chunk(b"x" * 65536), 0)
    assert reader.problem is not None
    assert reader.problem.status == 413


def test_continue_is_needed_once_and_only_before_the_body() -> None:
    expecting = b"POST / HTTP/1.1\r\nHost: sim\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    reader = RequestReader()
    reader.receive_data(expecting, 0)
    assert reader.take_continue()
    assert not reader.take_continue()
    with_body = RequestReader()
    with_body.receive_data(expecting + b"abc", 0)
    assert not with_body.take_continue()


def test_an_offer_to_upgrade_is_answered_as_a_plain_request() -> None:
    reader = RequestReader()
    (request,) = reader.receive_data(
        b"GET /sse HTTP/1.1\r\nHost: sim\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 0
    )
    assert reader.problem is None
    assert request.keep_alive


def test_absolute_form_targets_have_a_path() -> None:
    (request,) = RequestReader().receive_data(
        b"GET http://sim:80/sse?x=1 HTTP/1.1\r\nHost: sim:80\r\n\r\n", 0
    )
    assert request.path == "/sse"


def test_too_many_query_parameters_are_refused() -> None:
    request = HttpRequest("GET", "/?" + "&".join(["a=1"] * 60), "1.1", (), b"", True, 0)
    with pytest.raises(BadRequest):
        request.query()


def test_given_headers_replace_defaults_of_the_same_name() -> None:
    assert merge_headers([("A", "1"), ("B", "2")], [("a", "3"), ("a", "4")]) == [
        ("B", "2"), ("a", "3"), ("a", "4"),
    ]  # fmt: skip
    assert head(404, [("A", "1")]) == b"HTTP/1.1 404 Not Found\r\nA: 1\r\n\r\n"


def test_the_date_follows_the_clock() -> None:
    date = Date()
    assert date.text(0) == date.text(999_999_999) == "Thu, 01 Jan 1970 00:00:00 GMT"
    assert date.text(1_000_000_000) == "Thu, 01 Jan 1970 00:00:01 GMT"
