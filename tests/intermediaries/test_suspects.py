"""Suspects for a hold: ranked, with evidence, and consistent with the response head."""

from __future__ import annotations

from typing import Any

import pytest

from undam.intermediaries import (
    HoldEvidence,
    Suspect,
    Trouble,
    intermediary,
    rank_suspects,
    recognise,
    signatures_of,
    unknown_via,
)
from undam.record import Head

SSE = ("Content-Type", "text/event-stream")
CHUNKED = ("Transfer-Encoding", "chunked")
BR, GZIP = ("Content-Encoding", "br"), ("Content-Encoding", "gzip")
DEFLATE, ZSTD = ("Content-Encoding", "deflate"), ("Content-Encoding", "zstd")
LENGTH = ("Content-Length", "10334")
NODE = ("Keep-Alive", "timeout=5")
FASTIFY = ("Keep-Alive", "timeout=72")
EXPRESS = ("X-Powered-By", "Express")
DJANGO = (("X-Content-Type-Options", "nosniff"), ("Referrer-Policy", "same-origin"))


def server(name: str) -> tuple[str, str]:
    return ("Server", name)


def head(*headers: tuple[str, str], chunked: bool = True) -> Head:
    length = any(name.lower() == "content-length" for name, _ in headers)
    framing = (CHUNKED,) if chunked and not length else ()
    return Head(200, "1.1", (SSE, *framing, *headers))


def suspects(
    *headers: tuple[str, str],
    trouble: Trouble = Trouble.HOLD,
    chunked: bool = True,
    tls_issuer: str | None = None,
    body: bytes = b"",
    **more: Any,
) -> tuple[Suspect, ...]:
    """Return the suspects for a hold with these response headers; ``more`` adds evidence."""
    seen = head(*headers, chunked=chunked)
    given = {
        "release": "end",
        "signed": recognise(seen, tls_issuer=tls_issuer, body=body),
        "signatures": signatures_of(seen, tls_issuer=tls_issuer, body=body),
        **more,
    }
    return rank_suspects(HoldEvidence(head=seen, **given), trouble)


def names(*headers: tuple[str, str], **more: Any) -> list[str]:
    return [one.name for one in suspects(*headers, **more)]


BLOCKS = {"release": "size", "block_bytes": 4096}


@pytest.mark.parametrize(
    ("headers", "first"),
    [
        ((server("gunicorn"), BR), "compression-middleware"),
        ((server("uvicorn"), BR), "compression-middleware"),
        ((server("uvicorn"), GZIP), "starlette-gzip"),
        ((server("hypercorn-h11"), GZIP), "starlette-gzip"),
        ((server("gunicorn"), GZIP), "django-gzip"),
        ((server("uvicorn"), GZIP, *DJANGO), "django-gzip"),
        ((server("Python/3.12 aiohttp/3.13.2"), DEFLATE), "aiohttp-server"),
        ((EXPRESS, GZIP), "express"),
        ((EXPRESS, BR), "express"),
        ((NODE, GZIP), "express"),
        ((("X-Powered-By", "Next.js"), GZIP), "nextjs"),
        ((server("undam-sim"), ("connection", "keep-alive"), GZIP), "nextjs"),
        ((server("undam-sim"), ("Connection", "keep-alive"), GZIP), "starlette-gzip"),
        ((FASTIFY, BR), "fastify-compress"),
        ((FASTIFY, ZSTD), "fastify-compress"),
        ((EXPRESS, LENGTH), "http-proxy-middleware"),
        ((NODE, LENGTH), "http-proxy-middleware"),
        ((server("TornadoServer/6.5"), LENGTH), "tornado"),
        ((server("Werkzeug/3.1"), LENGTH), "application"),
        ((server("waitress"),), "application"),
        ((), "application"),
        ((server("undam-sim"), LENGTH), "lighttpd"),
        ((server("undam-sim"),), "mitmproxy"),
        ((server("nginx/1.22.1"), GZIP), "nginx"),
        ((server("nginx/1.22.1"),), "nginx"),
        ((("X-Varnish", "1"), LENGTH), "varnish"),
        ((("x-litellm-version", "1.108"), server("uvicorn")), "litellm"),
    ],
)
def test_the_first_suspect_of_a_stream_that_is_held_to_its_end(
    headers: tuple[tuple[str, str], ...], first: str
) -> None:
    found = suspects(*headers)
    assert found[0].name == first
    assert all(one.evidence for one in found)
    assert 1 <= len(found) <= 5
    assert len({one.name for one in found}) == len(found)


# nginx replaces the Server header and does not support Brotli, deflate or Zstandard.
@pytest.mark.parametrize("release", ["end", "size"])
@pytest.mark.parametrize(
    "headers",
    [
        (server("gunicorn"), BR), (server("undam-sim"),), (server("uvicorn"),), (), (BR,),
        (DEFLATE,), (ZSTD,), (server("gunicorn"), GZIP), (server("Kestrel"), LENGTH), (GZIP,),
        (server("Apache/2.4"),), (EXPRESS,), (LENGTH,),
    ],
)  # fmt: skip
def test_no_proxy_that_always_signs_is_suspected_without_its_sign(
    headers: tuple[tuple[str, str], ...], release: str
) -> None:
    found = set(names(*headers, release=release, block_bytes=4096))
    assert not found & {"nginx", "varnish", "caddy", "trafficserver", "krakend", "tornado"}


def test_an_nginx_behind_a_proxy_that_replaces_the_server_header_stays_possible() -> None:
    assert "nginx" in names(server("cloudflare"), ("CF-RAY", "1"), **BLOCKS)
    assert "nginx" not in names(server("gunicorn"), **BLOCKS)


@pytest.mark.parametrize(
    ("headers", "foreign"),
    [
        ((server("gunicorn"), GZIP), {"express", "fastify-compress", "koa-compress", "nextjs"}),
        ((EXPRESS, GZIP), {"starlette-gzip", "django-gzip", "aiohttp-server"}),
        ((server("Kestrel"), GZIP), {"starlette-gzip", "express"}),
        ((("X-Powered-By", "PHP/8.3"), GZIP), {"starlette-gzip", "express"}),
        ((server("puma"), GZIP), {"starlette-gzip", "express"}),
        ((server("Jetty(12)"), GZIP), {"starlette-gzip", "express"}),
    ],
)
def test_middleware_of_another_language_is_not_suspected(
    headers: tuple[tuple[str, str], ...], foreign: set[str]
) -> None:
    assert not set(names(*headers)) & foreign


def test_a_node_relay_in_front_of_a_python_server_leaves_both() -> None:
    found = names(server("uvicorn"), NODE, GZIP)
    assert {"starlette-gzip", "express"} <= set(found)


NO_TRANSFORM = ("Cache-Control", "no-cache, no-transform")


@pytest.mark.parametrize("spelled", ["no-cache, no-transform", "no-transform,no-cache, private"])
def test_a_suspect_whose_fix_the_response_carries_is_not_listed(spelled: str) -> None:
    carried = ("Cache-Control", spelled)
    assert "express" in names(EXPRESS, GZIP)
    assert not {"express", "koa-compress", "nextjs"} & set(names(EXPRESS, GZIP, carried))
    # @fastify/compress ignores no-transform.
    found = suspects(EXPRESS, GZIP, carried)
    assert found[0].name == "fastify-compress"
    assert "express" in names(EXPRESS, GZIP, ("Cache-Control", "no-cache"))


def test_the_case_of_a_length_and_no_transform_behind_express() -> None:
    (first, *_) = suspects(EXPRESS, LENGTH, NO_TRANSFORM)
    assert (first.name, first.signed) == ("http-proxy-middleware", False)
    assert first.fix is not None
    assert "selfHandleResponse" in first.fix.text
    assert any("Content-Length" in text for text in first.evidence)
    assert "express" not in names(EXPRESS, LENGTH, NO_TRANSFORM)


@pytest.mark.parametrize("block_bytes", [512, 1000, 1024, 4096, 8192, 65_536])
def test_round_blocks_without_a_sign_are_those_of_a_reader(block_bytes: int) -> None:
    (first, *rest) = suspects(server("uvicorn"), release="size", block_bytes=block_bytes)
    assert first.name == "application-reader"
    assert str(block_bytes) in first.evidence[0]
    assert rest[0].name == "application"


@pytest.mark.parametrize("block_bytes", [3000, 5500, None])
def test_other_blocks_are_those_of_the_application(block_bytes: int | None) -> None:
    assert names(release="size", block_bytes=block_bytes) == ["application"]


def test_blocks_of_one_segment_can_be_those_of_haproxy() -> None:
    lower = Head(200, "1.1", (("content-type", "text/event-stream"), ("date", "now")))
    evidence = HoldEvidence(head=lower, release="size", block_bytes=1448)
    assert rank_suspects(evidence)[0].name == "haproxy"
    assert "haproxy" not in names(release="size", block_bytes=1448)  # mixed case


def by_timer(*headers: tuple[str, str], timer_ms: float = 207.0, **more: Any) -> list[str]:
    seen = Head(200, "1.1", (("content-type", "text/event-stream"), *headers))
    evidence = HoldEvidence(head=seen, release="timer", timer_ms=timer_ms, **more)
    return [one.name for one in rank_suspects(evidence)]


def test_two_hundred_milliseconds_suggest_a_corked_socket() -> None:
    assert by_timer(("date", "now")) == ["haproxy", "puma", "application"]
    assert by_timer() == ["puma", "haproxy", "application"]
    # The server itself was measured and streams, so only the outer hops remain suspects.
    assert by_timer(("date", "now"), innermost=False) == ["haproxy"]
    # HAProxy sends header names in lower case, so "Date" rules it out.
    assert by_timer(("Date", "now")) == ["puma", "application"]
    assert by_timer(("Date", "now"), innermost=False) == []
    assert by_timer(("date", "now"), server_flushes=True) == ["haproxy"]


@pytest.mark.parametrize(
    ("header", "first"),
    [
        (("x-runtime", "0.003421"), "puma"),  # Rails
        (("x-powered-by", "Phusion Passenger"), "puma"),
        (("server", "uvicorn"), "haproxy"),
        (("x-powered-by", "Express"), "haproxy"),
        (("server", "Kestrel"), "haproxy"),
        (("x-runtime", "fast"), "haproxy"),
    ],
)
def test_a_corked_socket_is_pumas_only_if_the_application_may_be_ruby(
    header: tuple[str, str], first: str
) -> None:
    named = by_timer(("date", "now"), header)
    assert named[0] == first
    assert ("puma" in named) is (first == "puma" or header == ("x-runtime", "fast"))


def test_a_hundred_milliseconds_suggest_traefik_unless_it_flushes_such_a_response() -> None:
    assert by_timer(timer_ms=101.0) == ["application"]
    plain = Head(200, "1.1", (("content-type", "text/plain"), ("content-length", "9")))
    found = rank_suspects(HoldEvidence(head=plain, release="timer", timer_ms=101.0))
    assert [one.name for one in found] == ["traefik", "application"]


def test_nginx_is_not_suspected_of_a_timer_even_if_it_signed() -> None:
    assert by_timer(("server", "nginx"), signed=("nginx",)) == ["haproxy", "puma", "application"]
    assert by_timer(signed=("envoy", "istio")) == by_timer()


def test_only_those_that_signed_are_suspected_without_a_rule() -> None:
    assert names(release=None) == []
    assert names(server("nginx/1.22"), release=None) == ["nginx"]


FILTER = b'data: {"choices":[],"prompt_filter_results":[{"prompt_index":0}]}\n\n'


@pytest.mark.parametrize("release", ["size", "timer", "end", None])
def test_a_content_filter_in_the_events_is_the_first_suspect(release: str | None) -> None:
    (first, *_) = suspects(body=FILTER, release=release, timer_ms=400.0, block_bytes=3000)
    assert (first.name, first.signed) == ("azure-openai-filter", True)
    assert first.evidence == ('the events contain "prompt_filter_results"',)
    assert first.fix is not None
    assert "Asynchronous Filter" in first.fix.text


def test_the_same_words_in_the_text_of_an_answer_are_no_sign() -> None:
    text = rb'data: {"choices":[{"delta":{"content":"\"prompt_filter_results\": []"}}]}'
    assert recognise(head(), body=text + b"\n\n") == ()


@pytest.mark.parametrize(
    ("issuer", "name"),
    [
        ("CN=mitmproxy, O=mitmproxy", "mitmproxy"),
        ("O=Zscaler Inc., CN=Zscaler Intermediate Root CA (zscaler.net)", "zscaler"),
        ("CN=ca.tenant.goskope.com, O=Netskope Inc", "netskope"),
        ("O=Sophos, CN=Sophos SSL CA_C1234", "sophos"),
        ("CN=OWASP Zed Attack Proxy Root CA, O=OWASP Root CA", "zap"),
    ],
)  # fmt: skip
def test_the_issuer_of_the_certificate_identifies_an_inspecting_proxy(
    issuer: str, name: str
) -> None:
    (first, *_) = suspects(server("uvicorn"), tls_issuer=issuer, is_tls=True)
    assert (first.name, first.signed) == (name, True)
    assert "issued the certificate" in first.evidence[0]


@pytest.mark.parametrize("issuer", ["CN=R11, O=Let's Encrypt", "CN=My mitmproxyish CA", "", None])
def test_other_issuers_identify_nothing(issuer: str | None) -> None:
    assert recognise(head(server("uvicorn")), tls_issuer=issuer) == ()
    # Over TLS, an inspecting proxy would have issued the certificate.
    assert not {"mitmproxy", "sophos"} & set(names(tls_issuer=issuer, is_tls=True))


def test_a_close_delimited_body_can_be_that_of_privoxy() -> None:
    assert "privoxy" in names(chunked=False)
    assert "privoxy" not in names()
    assert names(server("WSGIServer/0.2"), chunked=False)[0] == "application"


def test_a_gateway_that_is_not_known_to_hold_is_behind_the_application() -> None:
    found = suspects(("helicone-id", "1"), server("uvicorn"))
    assert "helicone" in [one.name for one in found]
    assert next(one for one in found if one.name == "helicone").fix is None


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("x-litellm-call-id", "litellm"), ("x-portkey-trace-id", "portkey"),
        ("helicone-id", "helicone"), ("x-bifrost-request-type", "bifrost"),
        ("x-generation-id", "openrouter"), ("x-kong-llm-model", "kong-ai"),
        ("cf-aig-log-id", "cloudflare-ai-gateway"), ("cf-aig-step", "cloudflare-ai-gateway"),
    ],
)  # fmt: skip
def test_llm_gateways_are_recognised_and_suspected(header: str, name: str) -> None:
    found = suspects((header, "1"), server("uvicorn"))
    assert name in [one.name for one in found]
    assert any(header in text.lower() for one in found for text in one.evidence)


def test_a_comment_of_openrouter_is_recognised() -> None:
    assert recognise(head(), body=b": OPENROUTER PROCESSING\n\n") == ("openrouter",)


@pytest.mark.parametrize(
    ("kind", "listed"),
    [
        ("text/event-stream", False),
        ("text/event-stream; charset=utf-8", False),
        ("text/plain", True),
    ],
)
def test_a_fix_of_two_headers_is_carried_only_if_both_are(kind: str, listed: bool) -> None:
    seen = Head(
        200,
        "1.1",
        (
            ("Content-Type", kind),
            CHUNKED,
            server("cloudflare"),
            ("Cache-Control", "no-cache, no-transform"),
        ),
    )
    found = rank_suspects(HoldEvidence(head=seen, release="end", signed=("cloudflare",)))
    assert ("cloudflare" in [one.name for one in found]) is listed


def test_the_server_itself_is_not_suspected_if_it_is_undams() -> None:
    assert "application" not in names(server("undam-sim"))
    assert "application" not in names(server_flushes=True)


def test_a_stream_that_flows_without_compression_convicts_the_compressor() -> None:
    found = suspects(server("gunicorn"), GZIP, uncompressed_streams=True)
    assert found[0].name == "django-gzip"
    assert "without compression, the same request streams" in found[0].evidence
    assert not {"application", "mitmproxy", "sophos"} & {one.name for one in found}
    assert "litellm" not in names(GZIP, ("x-litellm-version", "1"), uncompressed_streams=True)


def test_a_stream_that_is_held_without_compression_acquits_the_compressor() -> None:
    found = names(server("gunicorn"), GZIP, uncompressed_streams=False)
    assert not {"django-gzip", "starlette-gzip", "compression-middleware"} & set(found)
    assert found[0] == "application"


PROXY = "http://127.0.0.1:7398 (--proxy)"


def test_a_proxy_without_which_the_stream_flows_is_the_only_suspect() -> None:
    (only,) = suspects(server("uvicorn"), proxy=PROXY, direct_streams=True)
    assert only.name == f"proxy {PROXY}"
    assert "without the proxy" in only.evidence[0]
    assert only.fix is not None


def test_a_proven_proxy_without_a_product_keeps_its_address() -> None:
    found = suspects(EXPRESS, LENGTH, proxy=PROXY, direct_streams=True)
    assert [one.name for one in found] == [f"proxy {PROXY}"]


def test_an_inspecting_proxy_is_named_by_its_product() -> None:
    found = suspects(
        server("uvicorn"), tls_issuer="CN=mitmproxy, O=mitmproxy", is_tls=True, proxy=PROXY,
        direct_streams=True,
    )  # fmt: skip
    assert [one.name for one in found] == ["mitmproxy"]
    assert found[0].fix == intermediary("mitmproxy").fixes[Trouble.HOLD]
    assert len(found[0].evidence) == 2


def test_a_proxy_of_a_request_that_is_held_without_it_is_not_suspected() -> None:
    found = names(server("uvicorn"), proxy=PROXY, direct_streams=False)
    assert found[0] == "application"
    assert not any(name.startswith("proxy ") for name in found)


def test_a_proxy_that_could_not_be_left_out_is_suspected() -> None:
    found = suspects(server("uvicorn"), proxy=PROXY)
    assert found[0].name == f"proxy {PROXY}"
    assert "no direct request was possible" in found[0].evidence[0]


def test_one_late_lists_only_those_with_a_fix_for_it() -> None:
    found = suspects(EXPRESS, GZIP, trouble=Trouble.ONE_LATE, release=None)
    assert [one.name for one in found] == ["express"]
    assert names(server("gunicorn"), GZIP, trouble=Trouble.ONE_LATE, release=None) == []
    assert names(("x-litellm-version", "1"), trouble=Trouble.ONE_LATE, release=None) == []


def test_those_that_signed_further_in_come_after_those_that_signed_here() -> None:
    seen = head(server("nginx/1.22"), ("x-litellm-version", "1"))
    evidence = HoldEvidence(
        head=seen, release="end", signed=("nginx",), further_in=("litellm",), signatures={}
    )
    ranked = rank_suspects(evidence)
    assert [one.name for one in ranked[:2]] == ["nginx", "litellm"]
    assert ranked[0].evidence == ("it signed the response",)


def test_hono_does_not_compress_event_streams() -> None:
    assert "hono" not in names(NODE, GZIP)
    other = Head(200, "1.1", (("Content-Type", "text/plain"), CHUNKED, NODE, GZIP))
    found = rank_suspects(HoldEvidence(head=other, release="end"))
    assert "hono" in [one.name for one in found] or len(found) == 5


def test_without_a_head_the_application_is_suspected() -> None:
    assert rank_suspects(HoldEvidence(head=None, release="end"))[0].name == "application"


@pytest.mark.parametrize("element", ["1.1 mystery-gw", "1.1 gw-7:8080 (Forcepoint)", "gateway"])
def test_an_unknown_proxy_in_via_is_the_first_suspect(element: str) -> None:
    via = ("Via", f"{element}, 1.1 google")
    unknown = unknown_via(head(via))
    assert unknown == (element,)
    first, second, *_ = suspects(server("uvicorn"), via, unknown=unknown)
    assert first.name == f"proxy {element.removeprefix('1.1 ')}"
    assert f"Via: {element}" in first.evidence[0]
    assert not first.signed
    assert first.fix is not None
    assert second.name == "application"


def test_an_unknown_proxy_is_not_named_if_other_evidence_is_stronger() -> None:
    via, unknown = ("Via", "1.1 gw"), ("1.1 gw",)
    assert names(server("nginx/1.22.1"), via, unknown=unknown) == ["nginx"]
    coded = names(server("gunicorn"), GZIP, via, unknown=unknown, uncompressed_streams=True)
    assert coded[0] == "django-gzip"
    assert unknown_via(head(("Via", "1.1 vegur"), ("Via", "1.1 google"), ("Via", ""))) == ()
    assert len(unknown_via(head(("Via", ", ".join(f"1.1 p{n}" for n in range(9)))))) == 2


def test_a_signed_head_is_not_said_to_have_no_fingerprint() -> None:
    (first, *_) = suspects(server("envoy"), ("x-envoy-upstream-service-time", "3"))
    assert first.name == "application"
    assert "no fingerprint" not in first.evidence[0]
    (first, *_) = suspects(server("h2o/2.3.0"))
    assert "no fingerprint" in first.evidence[0]


def test_names_in_lower_case_say_nothing_over_http_2() -> None:
    lower = (("content-type", "text/event-stream"), ("server", "x"), ("date", "y"))
    for version, expected in (("1.1", True), ("2", False)):
        hold = HoldEvidence(head=Head(200, version, lower), release="timer", timer_ms=205)
        (haproxy,) = [one for one in rank_suspects(hold) if one.name == "haproxy"]
        assert any("lower case" in text for text in haproxy.evidence) is expected


@pytest.mark.parametrize("name", ["Jetty(11.0.20)", "Kestrel", "puma 6.4"])
def test_a_reader_in_python_is_not_suspected_in_another_language(name: str) -> None:
    assert "application-reader" not in names(server(name), **BLOCKS)
    assert "application-reader" in names(server("gunicorn"), **BLOCKS)
    assert "application-reader" in names(**BLOCKS)


@pytest.mark.parametrize("name", ["Angie/1.5.0", "freenginx/1.27.0", "Tengine/3.1.0"])
def test_forks_of_nginx_have_its_habits(name: str) -> None:
    assert names(server(name), **BLOCKS) == ["nginx"]
    assert "nginx" not in names(server("Angiex/1"), **BLOCKS)
