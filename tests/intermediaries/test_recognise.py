"""Detection of intermediaries by fingerprints: correct order and no false matches."""

from __future__ import annotations

import re
import time

import pytest

from undam.intermediaries import INTERMEDIARIES, recognise, versions_of
from undam.record import Head

Headers = tuple[tuple[str, str], ...]


def head(*headers: tuple[str, str]) -> Head:
    return Head(status=200, http_version="1.1", headers=headers)


def recognised(*fields: tuple[str, str]) -> tuple[str, ...]:
    """Return the intermediaries recognized by headers, and by ``:tls-issuer`` and ``:body``."""
    pseudo = {name.lower(): value for name, value in fields if name.startswith(":")}
    headers = [field for field in fields if not field[0].startswith(":")]
    body = pseudo.get(":body", "").encode()
    return recognise(head(*headers), tls_issuer=pseudo.get(":tls-issuer"), body=body)


# name -> (head that identifies only this intermediary, similar head that must not identify it)
SIGNED: dict[str, tuple[Headers, Headers]] = {
    "nginx": ((("Server", "nginx/1.22.1"),), (("Server", "nginxish"),)),
    "kong": ((("X-Kong-Proxy-Latency", "2"),), (("X-Kong-Request-Id", "7"),)),
    "apisix": ((("Server", "APISIX/3.9.1"),), (("Server", "not APISIX"),)),
    "envoy": ((("server", "envoy"),), (("server", "envoyage"),)),
    "istio": ((("server", "istio-envoy"),), (("server", "istio"),)),
    "apache": ((("Server", "Apache/2.4.71 (Debian)"),), (("Server", "Apache-Coyote/1.1"),)),
    "caddy": ((("Via", "1.1 Caddy"),), (("Via", "1.1 caddyshack"),)),
    "lighttpd": ((("Server", "lighttpd/1.4.69"),), (("Server", "mylighttpd"),)),
    "varnish": ((("X-Varnish", "32770"),), (("Via", "1.1 varnished"),)),
    "squid": ((("Via", "1.1 edge (squid/5.7)"),), (("X-Cache-Lookup", "Hit From MemCache"),)),
    "trafficserver": ((("Server", "ATS/9.2.9"),), (("Server", "atsign"),)),
    "krakend": ((("X-Krakend", "Version 2.7"),), (("X-Krakendish", "1"),)),
    "express": ((("X-Powered-By", "Express"),), (("X-Powered-By", "Express Lane"),)),
    "nextjs": ((("X-Powered-By", "Next.js"),), (("X-Powered-By", "nextxjs"),)),
    "gunicorn": ((("Server", "gunicorn"),), (("Server", "uvicorn"),)),
    "cloudfront": (
        (("Via", "1.1 0a1b.cloudfront.net (CloudFront)"),),
        (("Via", "1.1 cloudfront"),),
    ),
    "cloudflare": ((("CF-RAY", "8a-FRA"),), (("Server", "mycloudflare"),)),
    "fastly": ((("X-Served-By", "cache-fra-eddf8230020-FRA"),), (("X-Served-By", "web-3"),)),
    "akamai": ((("Server", "AkamaiGHost"),), (("Server", "Ghost"),)),
    "azure-front-door": ((("x-azure-ref", "0zxV"),), (("x-azure-reference", "0"),)),
    "bunny": ((("Server", "BunnyCDN-DE1-1047"),), (("Server", "bunny"),)),
    "aws-alb": ((("Server", "awselb/2.0"),), (("Server", "elb"),)),
    "aws-api-gateway": ((("x-amz-apigw-id", "Kx1="),), (("x-amzn-RequestId", "1"),)),
    "google-lb": ((("Via", "1.1 google"),), (("Via", "1.1 googly"),)),
    "azure-application-gateway": (
        (("Server", "Microsoft-Azure-Application-Gateway/v2"),),
        (("Server", "Microsoft-IIS/10.0"),),
    ),
    "vercel": ((("x-vercel-id", "fra1::abc"),), (("Server", "vercelish"),)),
    "heroku": ((("Via", "1.1 vegur"),), (("Via", "1.1 vegurus"),)),
    "railway": ((("X-Railway-Request-Id", "x"),), (("X-Rail", "x"),)),
    "fly": ((("Fly-Request-Id", "01H"),), (("X-Request-Id", "fly"),)),
    "netlify": ((("Server", "Netlify"),), (("Server", "Netlify CMS"),)),
    "aws-lambda-web-functions": (
        (("lambda-web-error-type", "Runtime.RequestTimeout"),),
        (("lambda-error-type", "Runtime.RequestTimeout"),),
    ),
    "litellm": ((("x-litellm-version", "1.110.2"),), (("x-litellm", "1"),)),
    "bifrost": ((("x-bifrost-request-type", "chat"),), (("x-bifrost", "1"),)),
    "portkey": ((("x-portkey-trace-id", "a"),), (("x-portkey", "a"),)),
    "openrouter": ((("X-Generation-Id", "gen-1"),), (("X-Generation", "1"),)),
    "iis-arr": ((("X-Powered-By", "ARR/3.0"),), (("X-Powered-By", "array"),)),
    "tornado": ((("Server", "TornadoServer/6.5.2"),), (("Server", "Tornado"),)),
    "aiohttp-server": (
        (("Server", "Python/3.12 aiohttp/3.13.2"),),
        (("Server", "Python/3.12 aiohttpx/3"),),
    ),
    "helicone": ((("Helicone-Id", "1"),), (("Helicone", "1"),)),
    "kong-ai": ((("X-Kong-LLM-Model", "openai/gpt-4o"),), (("X-Kong-LLM", "1"),)),
    "cloudflare-ai-gateway": ((("cf-aig-log-id", "01J"),), (("cf-aig", "1"),)),
    "mitmproxy": (((":tls-issuer", "CN=mitmproxy, O=mitmproxy"),), ((":tls-issuer", "CN=R11"),)),
    "sophos": (((":tls-issuer", "O=Sophos, CN=Sophos SSL CA"),), ((":tls-issuer", "CN=Soph"),)),
    "zscaler": (((":tls-issuer", "O=Zscaler Inc."),), ((":tls-issuer", "CN=zscale"),)),
    "netskope": (((":tls-issuer", "O=Netskope Inc"),), ((":tls-issuer", "CN=goskope"),)),
    "zap": (((":tls-issuer", "CN=OWASP Zed Attack Proxy Root CA"),), ((":tls-issuer", "CN=zap"),)),
    "azure-openai-filter": (
        ((":body", 'data: {"choices":[{"content_filter_results":{}}]}'),),
        ((":body", r'{"content":"a \"content_filter_results\": b"}'),),
    ),
    "bedrock-guardrails": (
        ((":body", '{"amazon-bedrock-guardrailAction":"NONE"}'),),
        ((":body", '{"text":"amazon-bedrock-guardrailAction"}'),),
    ),
    "cowboy": ((("server", "Cowboy"),), (("Server", "Cowboy Hat"),)),
}

# A sample of intermediaries without fingerprints. Adding a fingerprint requires a source.
SILENT = {
    "ingress-nginx",
    "nginx-gateway-fabric",
    "haproxy",
    "openshift-router",
    "contour",
    "envoy-gateway",
    "traefik",
    "node-http-proxy",
    "http-proxy-middleware",
    "puma",
    "cloud-run",
    "azure-apim",
    "fastify-compress",
}


def test_every_entry_with_a_fingerprint_has_a_case() -> None:
    assert {known.name for known in INTERMEDIARIES if known.signs} == set(SIGNED)
    assert {known.name for known in INTERMEDIARIES if not known.signs} >= SILENT


@pytest.mark.parametrize("name", SIGNED)
def test_a_fingerprint_names_its_owner_alone(name: str) -> None:
    firing, silent = SIGNED[name]
    assert recognised(*firing) == (name,)
    assert recognised(*silent) == ()


EVERY_SIGN = [
    ("nginx", "Server", "openresty/1.21.4.2"),
    ("nginx", "Server", "Tengine/3.1.0"),
    ("nginx", "Server", "nginx"),
    ("kong", "X-Kong-Upstream-Latency", "26"),
    ("kong", "Via", "kong/2.5.0"),
    ("kong", "Via", "1.1 kong/3.9.0"),
    ("kong", "Server", "kong/3.9.0"),
    ("envoy", "x-envoy-upstream-service-time", "3"),
    ("apache", "Server", "Apache"),
    ("caddy", "Server", "Caddy"),
    ("varnish", "Via", "1.1 debian (Varnish/7.1)"),
    ("varnish", "Via", "1.1 varnish"),
    ("squid", "X-Cache-Lookup", "MISS from edge.example:3128"),
    ("trafficserver", "Via", "http/1.1 edge (ApacheTrafficServer/9.2.9)"),
    ("cloudfront", "X-Amz-Cf-Id", "Zx=="),
    ("cloudfront", "X-Amz-Cf-Pop", "FRA56-P1"),
    ("cloudflare", "Server", "cloudflare"),
    ("fastly", "X-Timer", "S1700000000.123456,VS0,VE12"),
    ("fastly", "X-Served-By", "edge, cache-lhr1234-LHR"),
    ("akamai", "X-Akamai-Transformed", "9 - 0 pmb=mRUM"),
    ("bunny", "CDN-PullZone", "1"),
    ("aws-api-gateway", "apigw-requestid", "Kx1="),
    ("vercel", "Server", "Vercel"),
    ("heroku", "Via", "1.1 heroku-router"),
    ("railway", "X-Railway-Edge", "railway/europe-west4"),
    ("netlify", "x-nf-request-id", "01H"),
    ("litellm", "x-litellm-call-id", "1"),
    ("litellm", "x-litellm-applied-guardrails", "pii"),
    ("helicone", "helicone-status", "success"),
    ("cloudflare-ai-gateway", "cf-aig-event-id", "1"),
    ("cloudflare-ai-gateway", "cf-aig-cache-status", "MISS"),
    ("cloudflare-ai-gateway", "cf-aig-step", "0"),
    ("openrouter", ":body", ": OPENROUTER PROCESSING"),
    ("portkey", "x-portkey-last-used-option-index", "config.targets[0]"),
]


@pytest.mark.parametrize(("name", "header", "value"), EVERY_SIGN)
def test_each_further_fingerprint_is_sufficient(name: str, header: str, value: str) -> None:
    assert recognised((header, value)) == (name,)
    assert recognised((header.upper(), value.upper())) == (name,)


def test_every_fingerprint_has_a_case() -> None:
    seen = [(name, *firing[0]) for name, (firing, _) in SIGNED.items()] + EVERY_SIGN
    for known in INTERMEDIARIES:
        for sign in known.signs:
            assert any(
                name == known.name
                and header.lower() == sign.header
                and re.search(sign.pattern, value, re.IGNORECASE)
                for name, header, value in seen
            ), (known.name, sign)


# Each of these was measured in front of an origin with `Server: uvicorn` and `X-Accel-Buffering:
# no`.
MEASURED = [
    ((("Server", "nginx/1.22.1"), ("Date", "now")), ("nginx",)),
    (
        (("x-accel-buffering", "no"), ("x-envoy-upstream-service-time", "1"), ("server", "envoy")),
        ("envoy",),
    ),
    ((("X-Accel-Buffering", "no"), ("Age", "0"), ("Server", "ATS/9.2.9")), ("trafficserver",)),
    ((("Server", "Caddy"), ("Server", "uvicorn")), ("caddy",)),
    ((("Server", "uvicorn"), ("Via", "1.1 Caddy")), ("caddy",)),
    (
        (
            ("Server", "uvicorn"),
            ("X-Varnish", "2"),
            ("Age", "0"),
            ("Via", "1.1 debian (Varnish/7.1)"),
        ),
        ("varnish",),
    ),
    (
        (
            ("Server", "uvicorn"),
            ("X-Cache", "MISS from debian"),
            ("X-Cache-Lookup", "MISS from debian:3128"),
            ("Via", "1.1 debian (squid/5.7)"),
        ),
        ("squid",),
    ),
    ((("X-Powered-By", "Express"), ("Server", "uvicorn")), ("express",)),
    ((("server", "uvicorn"), ("x-accel-buffering", "no")), ()),  # haproxy
    ((("Server", "uvicorn"), ("X-Accel-Buffering", "no")), ()),  # apache, lighttpd, Go, fastify
]


@pytest.mark.parametrize(("headers", "names"), MEASURED)
def test_measured_heads(headers: Headers, names: tuple[str, ...]) -> None:
    assert recognise(head(*headers)) == names


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Server", "uvicorn"),),
        (("Server", "undam-sim"),),
        (("Server", ""), ("Via", ""), ("Via", ",,,")),
        (("Server", "hypercorn-h11"), ("X-Cache", "HIT"), ("Age", "3")),
        (("Via", "1.1 proxy.example"), ("X-Powered-By", "PHP/8.2")),
        (("X-Accel-Buffering", "no"), ("Content-Type", "text/event-stream; nginx")),
    ],
)
def test_the_name_of_an_origin_is_not_reported(headers: Headers) -> None:
    assert recognise(head(*headers)) == ()


ORDERED = [
    # Each hop appends to Via, in the same line or in a new line, so the last element is the
    # outermost.
    ((("Via", "1.1 a (squid/5.7), 1.1 b (Varnish/7.1)"),), ("varnish", "squid")),
    ((("Via", "1.1 b (Varnish/7.1)"), ("Via", "1.1 a (squid/5.7)")), ("squid", "varnish")),
    # The order in Via takes precedence over the usual order.
    ((("Via", "1.1 vegur, 1.1 x (CloudFront), 1.1 Caddy"),), ("caddy", "cloudfront", "heroku")),
    # If there are two Server lines, a hop closer to the client added the second one.
    ((("Server", "nginx"), ("Server", "Caddy")), ("caddy", "nginx")),
    # nginx replaced Envoy's Server header, so nginx is closer to the client.
    ((("Server", "nginx"), ("x-envoy-upstream-service-time", "2")), ("nginx", "envoy")),
    # Without Via, the order is CDN, cloud, proxy, framework.
    (
        (
            ("X-Powered-By", "Express"),
            ("Server", "nginx"),
            ("x-amz-apigw-id", "a"),
            ("CF-Ray", "b"),
        ),
        ("cloudflare", "aws-api-gateway", "nginx", "express"),
    ),
    # An intermediary that is missing from Via keeps its usual position between those in Via.
    (
        (("Via", "1.1 Caddy, 1.1 x (CloudFront)"), ("Server", "nginx"), ("CF-Ray", "a")),
        ("cloudfront", "cloudflare", "nginx", "caddy"),
    ),
]


@pytest.mark.parametrize(("headers", "names"), ORDERED)
def test_outermost_comes_first(headers: Headers, names: tuple[str, ...]) -> None:
    assert recognise(head(*headers)) == names


BUILT_ON = [
    # Kong is built on OpenResty, which is not reported separately.
    ((("Server", "openresty"), ("Via", "kong/2.5.0")), ("kong",)),
    # However, Kong forwards the Server header of a separate nginx behind it.
    ((("Server", "nginx/1.25.3"), ("Via", "1.1 kong/3.9.0")), ("nginx", "kong")),
    ((("server", "istio-envoy"), ("x-envoy-upstream-service-time", "2")), ("istio",)),
    ((("Via", "1.1 varnish"), ("X-Served-By", "cache-fra-1")), ("fastly",)),
    (
        (("Via", "1.1 varnish"), ("X-Served-By", "cache-fra-1"), ("X-Varnish", "9")),
        ("fastly", "varnish"),
    ),
    (
        (("Via", "1.1 c (Varnish/7.1), 1.1 varnish"), ("X-Served-By", "cache-fra-1")),
        ("fastly", "varnish"),
    ),
]


@pytest.mark.parametrize(("headers", "names"), BUILT_ON)
def test_the_product_inside_another_is_not_named_as_well(
    headers: Headers, names: tuple[str, ...]
) -> None:
    assert recognise(head(*headers)) == names


def test_a_name_is_reported_once() -> None:
    doubled = head(
        ("CF-Ray", "a"), ("CF-Ray", "b"), ("Server", "cloudflare"), ("Server", "cloudflare")
    )
    assert recognise(doubled) == ("cloudflare",)


def test_a_fingerprint_beyond_the_bound_is_ignored() -> None:
    assert recognise(head(("X-Served-By", " " * 4000 + "cache-fra-1"))) == ()
    # Via is parsed from the end, so the outermost hop is found after any number of unknown entries.
    noise = "1.1 nobody, " * 5000
    assert recognise(head(("Via", noise + "1.1 Caddy"))) == ("caddy",)
    assert recognise(head(("Via", "1.1 Caddy"), ("Via", "1.1 nobody," * 100))) == ()


def test_no_pattern_repeats_without_bound() -> None:
    for known in INTERMEDIARIES:
        for sign in known.signs:
            assert not re.search(r"[*+]|\{\d*,\}", sign.pattern), (known.name, sign)


@pytest.mark.seconds
@pytest.mark.parametrize(
    ("header", "unit"),
    [
        ("Server", "nginx"),
        ("Via", "1.1 (squid, "),
        ("X-Served-By", "cache"),
        ("X-Timer", "S1"),
        ("X-Cache-Lookup", "hit from a"),
    ],
)
def test_the_cost_of_a_hostile_head_is_bounded(header: str, unit: str) -> None:
    def cost(size: int) -> float:
        hostile = head(*[(header, (unit * size)[:size])] * 1000)
        best = float("inf")
        for _ in range(5):
            start = time.perf_counter()
            recognise(hostile)
            best = min(best, time.perf_counter() - start)
        return best

    recognise(head())  # This call compiles the patterns, so that they are not part of the cost.
    assert cost(60_000) < 10 * cost(3_000)


VERSIONS = [
    ((("Server", "nginx/1.22.1"),), {"nginx": "1.22.1"}),
    ((("Server", "nginx"),), {}),
    ((("Server", "Tengine/3.1.0"),), {}),  # Tengine has version numbers of its own.
    ((("Server", "ATS/9.2.9"),), {"trafficserver": "9.2.9"}),
    ((("Via", "http/1.1 edge (ApacheTrafficServer/10.2)"),), {"trafficserver": "10.2"}),
    ((("Server", "Apache/2.4.71 (Debian)"),), {"apache": "2.4.71"}),
    ((("Via", "1.1 a (squid/5.7), 1.1 b (Varnish/7.1)"),), {"squid": "5.7", "varnish": "7.1"}),
    ((("Server", "lighttpd/1.4.69"), ("Server", "uvicorn/0.54")), {"lighttpd": "1.4.69"}),
    ((("Server", "nginx/" + "9" * 500),), {"nginx": "9" * 9}),
]


@pytest.mark.parametrize(("headers", "versions"), VERSIONS)
def test_versions_are_read_from_fingerprints(headers: Headers, versions: dict[str, str]) -> None:
    assert {name: str(one) for name, one in versions_of(head(*headers)).items()} == versions
