"""Splitting a load into jobs: each request number is used once, and warm-up comes first."""

from __future__ import annotations

from dataclasses import replace

import pytest

from undam.loadtest.coordinator.split import (
    JobTarget,
    JobTemplate,
    encode_requests,
    http2_settings,
    make_jobs,
    tls_for,
)
from undam.loadtest.protocol import ClosedLoop, OpenLoop, Tls
from undam.loadtest.setup.plan import Load
from undam.wire import ClientConfig, Request, parse_url

TEMPLATE = JobTemplate(addresses=(), requests=(b"a", b"b", b"c"), api="plain", timeout_s=1)


def closed_loops(load: Load, workers: int) -> list[ClosedLoop]:
    loops = [job.load for job in make_jobs(load, workers, TEMPLATE)]
    assert all(isinstance(loop, ClosedLoop) for loop in loops)
    return [loop for loop in loops if isinstance(loop, ClosedLoop)]


def test_closed_loop_with_a_count_uses_contiguous_numbers_per_worker() -> None:
    loops = closed_loops(Load(concurrency=5, requests=40, warmup=7), 3)
    numbers = [one.first + k for one in loops for k in range(one.count or 0)]
    assert sorted(numbers) == list(range(47))
    assert [len(one.slots) for one in loops] == [2, 2, 1]
    assert sum(one.warmup for one in loops) == 7
    assert all(one.stride == 1 for one in loops)


def test_closed_loop_with_a_duration_uses_strided_numbers_per_worker() -> None:
    loops = closed_loops(Load(concurrency=5, duration_s=2.5, warmup=4), 2)
    assert [(one.first, one.stride, one.count) for one in loops] == [(0, 2, None), (1, 2, None)]
    assert {one.duration_ns for one in loops} == {2_500_000_000}


def test_open_loop_cycles_through_the_prompts() -> None:
    jobs = make_jobs(Load(rate=10, requests=9, warmup=1), 2, TEMPLATE)
    plans = [job.load.plan for job in jobs if isinstance(job.load, OpenLoop)]
    every = sorted(planned for plan in plans for planned in plan)
    assert [(one.number, one.request) for one in every] == [(n, n % 3) for n in range(10)]
    assert [one.number for one in every if one.warmup] == [0]


def test_each_worker_sends_to_one_of_several_urls() -> None:
    other = JobTarget(addresses=((2, ("127.0.0.1", 1)),), requests=(b"x",))
    template = replace(TEMPLATE, more_targets=(other,), cancel_ns=(5, -1))
    jobs = make_jobs(Load(rate=10, requests=8), 4, template)
    assert [job.requests for job in jobs] == [TEMPLATE.requests, (b"x",)] * 2
    assert [len(job.addresses) for job in jobs] == [0, 1, 0, 1]
    assert {job.cancel_ns for job in jobs} == {(5, -1)}


def test_workers_of_a_closed_loop_share_conversations_and_documents_are_plain() -> None:
    template = replace(
        TEMPLATE, api="embeddings", streams=False, sessions=((0, 2), (2, 1)), pauses_ns=(7,)
    )
    jobs = make_jobs(Load(concurrency=4, requests=8), 2, template)
    assert [(job.api, job.streams) for job in jobs] == [("plain", False)] * 2
    loops = [job.load for job in jobs if isinstance(job.load, ClosedLoop)]
    assert [loop.sessions for loop in loops] == [((0, 2),), ((2, 1),)]
    assert {loop.pauses_ns for loop in loops} == {(7,)}


def test_requests_refuse_compression_unless_the_user_asks_for_it() -> None:
    target = parse_url("http://host:81/path?x=1")
    (first, second) = encode_requests(Request(url="", method="POST"), target, [b"{}", b"[1]"])
    assert first.startswith(b"POST /path?x=1 HTTP/1.1\r\nHost: host:81\r\n")
    assert first.endswith(b"\r\n\r\n{}")
    assert b"Content-Length: 3\r\n" in second
    assert b"Accept-Encoding: identity\r\n" in first
    gzip = Request(url="", headers=(("Accept-Encoding", "gzip"),))
    (alone,) = encode_requests(gzip, target, [])
    assert alone.count(b"Accept-Encoding") == 1
    assert b"Accept-Encoding: gzip\r\n" in alone


def test_http2_fields_have_neither_the_length_nor_fields_of_http1() -> None:
    headers = (("Connection", "close"), ("X-Key", "k"), ("Host", "other"))
    request = Request(url="", method="POST", headers=headers, body=b"{}")
    settings = http2_settings(request, parse_url("https://host:81/path?x=1"), 5)
    assert settings.streams == 5
    assert settings.fields[:4] == (
        (b":method", b"POST"), (b":scheme", b"https"), (b":authority", b"other"),
        (b":path", b"/path?x=1"),
    )  # fmt: skip
    names = {name for name, _ in settings.fields[4:]}
    assert names == {b"user-agent", b"accept", b"accept-encoding", b"x-key"}
    assert dict(settings.fields)[b"accept-encoding"] == b"identity"
    jobs = make_jobs(Load(concurrency=2, requests=4), 2, replace(TEMPLATE, http2=settings))
    assert [job.http2 for job in jobs] == [settings] * 2


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://host/", None),
        ("https://host:444/", Tls(server_name="host", cacert="ca.pem", insecure=True)),
    ],
)
def test_only_https_urls_use_tls(url: str, expected: Tls | None) -> None:
    assert tls_for(parse_url(url), ClientConfig(cacert="ca.pem", insecure=True)) == expected
