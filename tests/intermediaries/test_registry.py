"""The registry of intermediaries is complete and valid, and returns the expected fixes."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import replace
from typing import cast

import pytest

import undam.intermediaries.entries
from undam.intermediaries import (
    INTERMEDIARIES,
    Aspect,
    Behaviour,
    Evidence,
    Intermediary,
    Kind,
    Limit,
    Remedy,
    Sign,
    Trouble,
    fix_for,
    intermediary,
    problems_of,
)
from undam.rules import Fix
from undam.versions import Version

BY_NAME = pytest.mark.parametrize("known", INTERMEDIARIES, ids=lambda known: known.name)


def version(text: str) -> Version:
    parsed = Version.parse(text)
    assert parsed is not None
    return parsed


def test_every_entry_module_is_registered_once() -> None:
    modules = [one.name for one in pkgutil.iter_modules(undam.intermediaries.entries.__path__)]
    package = "undam.intermediaries.entries"
    written = [importlib.import_module(f"{package}.{name}").ENTRY for name in modules]
    assert {id(entry) for entry in written} == {id(known) for known in INTERMEDIARIES}
    assert len(written) == len(INTERMEDIARIES)
    assert [entry.name.replace("-", "_") for entry in written] == modules


def test_there_are_at_least_85_entries() -> None:
    assert len(INTERMEDIARIES) >= 85
    assert len({known.name for known in INTERMEDIARIES}) == len(INTERMEDIARIES)


@BY_NAME
def test_an_entry_obeys_the_schema(known: Intermediary) -> None:
    assert problems_of(known) == []
    assert known.built_on in {"", *(other.name for other in INTERMEDIARIES)}


@BY_NAME
def test_every_claim_has_a_date_and_a_source(known: Intermediary) -> None:
    assert known.claims
    for claim in known.claims:
        assert claim.checked
        assert claim.evidence.source
        if claim.evidence.kind == "measured":
            assert claim.evidence.version
            assert claim.evidence.command


@BY_NAME
def test_the_summary_consists_of_sentences(known: Intermediary) -> None:
    assert known.title
    assert known.holds.endswith(".")
    assert known.cuts.endswith(".")
    assert known.source
    assert known.checked.startswith("20")
    assert not (known.evidence == "measured" and not known.version)


@BY_NAME
def test_every_version_bound_leaves_a_claim_on_one_side(known: Intermediary) -> None:
    # If a claim ended without a successor, `explain --version NEWEST` would have no facts.
    bounds = {bound for claim in known.claims for bound in (claim.since, claim.until) if bound}
    for bound in bounds:
        assert known.at(version(bound)).claims


VALID = Evidence(kind="documented", source="example.org", checked="2026-11")
MEASURED = Evidence(kind="measured", source="loopback", checked="2026-11", version="1", command="x")
SAMPLE = Intermediary(
    name="some-proxy",
    title="Some Proxy",
    kind="proxy",
    claims=(Behaviour(Aspect.HOLDS, "Streams.", evidence=VALID),),
)
TEXT = Behaviour(Aspect.HOLDS, "Streams.", evidence=VALID)
LIMIT = Limit(Aspect.CUTS_IDLE, 60, "60 s.", evidence=VALID)
SIGN = Sign("server", "^x$", evidence=VALID)
FIX = Remedy(Trouble.HOLD, "x", "y", evidence=VALID)
INVALID_CLAIMS = [
    (replace(TEXT, evidence=replace(VALID, checked="")), "claims[0] (holds).checked:"),
    (replace(TEXT, evidence=replace(VALID, checked="2026-13")), "claims[0] (holds).checked:"),
    (replace(TEXT, evidence=replace(VALID, source="")), "claims[0] (holds).source:"),
    (replace(TEXT, evidence=replace(MEASURED, version="")), "claims[0] (holds).evidence:"),
    (replace(TEXT, evidence=replace(MEASURED, command="")), "claims[0] (holds).evidence:"),
    (replace(TEXT, since="stable"), "claims[0] (holds).since:"),
    (replace(TEXT, since="2", until="1.9"), "claims[0] (holds).until:"),
    (replace(TEXT, conditions={"weather": "fine"}), "claims[0] (holds).conditions:"),
    (replace(TEXT, conditions={"plan": ""}), "claims[0] (holds).conditions:"),
    (replace(TEXT, text="Streams"), "claims[0] (holds).text:"),
    (replace(TEXT, aspect=Aspect.CUTS_IDLE), "claims[0] (cuts-idle).aspect:"),
    (replace(LIMIT, aspect=Aspect.HOLDS), "claims[0] (holds).aspect:"),
    (replace(LIMIT, seconds=0), "claims[0] (cuts-idle).seconds:"),
    (replace(SIGN, header="Server"), "claims[0] (signs).header:"),
    (replace(SIGN, pattern="a*"), "claims[0] (signs).pattern:"),
    (replace(SIGN, pattern="("), "claims[0] (signs).pattern:"),
    (replace(FIX, where=""), "claims[0] (fix).where:"),
    (replace(FIX, text=" y"), "claims[0] (fix).text:"),
    (replace(FIX, text="y\n\nz"), "claims[0] (fix).text:"),
    (replace(FIX, text="y" * 101), "claims[0] (fix).text:"),
]


@pytest.mark.parametrize(("claim", "key"), INVALID_CLAIMS)
def test_a_problem_names_the_file_and_the_key(
    claim: Behaviour | Limit | Sign | Remedy, key: str
) -> None:
    problems = problems_of(replace(SAMPLE, claims=(claim, TEXT)))
    assert any(one.startswith(f"entries/some_proxy.py: {key}") for one in problems), problems


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (replace(SAMPLE, name="Some Proxy"), "name:"),
        (replace(SAMPLE, title=""), "title:"),
        (replace(SAMPLE, kind=cast("Kind", "dam")), "kind:"),
        (replace(SAMPLE, claims=(SIGN,)), "claims:"),
        (replace(SAMPLE, built_on="some-proxy"), "built_on:"),
        (replace(SAMPLE, note="retired"), "note:"),
    ],
)
def test_a_problem_of_the_entry_names_the_key(entry: Intermediary, key: str) -> None:
    assert any(f": {key}" in one for one in problems_of(entry))


def test_a_valid_entry_has_no_problems() -> None:
    assert problems_of(replace(SAMPLE, claims=(TEXT, LIMIT, SIGN, FIX))) == []


# Fixes that are based on measurements or on documentation.
FIXES = [
    ("nginx", Trouble.HOLD, "proxy_buffering off;"),
    ("nginx", Trouble.HEADERS_HELD, "proxy_buffering off;"),
    ("nginx", Trouble.COMPRESSION, "gzip off;"),
    ("nginx", Trouble.CLOSE_DELIMITED, "proxy_http_version 1.1;"),
    ("nginx", Trouble.HIDES_CUT, "proxy_http_version 1.1;"),
    ("nginx", Trouble.IDLE_LIMIT, "proxy_read_timeout 3600s;"),
    ("nginx", Trouble.EATS_X_ACCEL, "proxy_pass_header X-Accel-Buffering;"),
    ("ingress-nginx", Trouble.HOLD, 'nginx.ingress.kubernetes.io/proxy-buffering: "off"'),
    (
        "ingress-nginx",
        Trouble.IDLE_LIMIT,
        'nginx.ingress.kubernetes.io/proxy-read-timeout: "3600"',
    ),
    ("nginx-gateway-fabric", Trouble.HOLD, "ProxySettingsPolicy"),
    ("kong", Trouble.HOLD, "response_buffering: false"),
    ("kong", Trouble.IDLE_LIMIT, "read_timeout: 3600000"),
    ("apisix", Trouble.HOLD, "disable_proxy_buffering: true"),
    ("haproxy", Trouble.HOLD, "option http-no-delay"),
    ("haproxy", Trouble.HEADERS_HELD, "option http-no-delay"),
    ("haproxy", Trouble.ONE_LATE, "compression type"),
    ("haproxy", Trouble.COMPRESSION, "option http-no-delay\ncompression type"),
    ("haproxy", Trouble.IDLE_LIMIT, "timeout server 1h"),
    ("envoy", Trouble.TOTAL_LIMIT, "timeout: 0s"),
    ("envoy", Trouble.IDLE_LIMIT, "idle_timeout: 3600s"),
    ("envoy", Trouble.COMPRESSION, "no-transform"),
    ("istio", Trouble.TOTAL_LIMIT, "timeout: 0s"),
    ("contour", Trouble.TOTAL_LIMIT, "response: infinity"),
    ("contour", Trouble.IDLE_LIMIT, "idle: 1h"),
    ("envoy-gateway", Trouble.TOTAL_LIMIT, 'requestTimeout: "0s"'),
    ("apache", Trouble.IDLE_LIMIT, "ProxyTimeout 3600"),
    ("apache", Trouble.COMPRESSION, "SetEnv no-gzip 1"),
    ("apache-fcgi", Trouble.HOLD, "flushpackets=on"),
    ("apache-fcgi", Trouble.IDLE_LIMIT, "ProxyTimeout 3600"),
    ("caddy", Trouble.HOLD, "flush_interval -1"),
    ("caddy", Trouble.HEADERS_HELD, "flush_interval -1"),
    ("caddy", Trouble.COMPRESSION, "encode {"),
    ("traefik", Trouble.HOLD, "flushInterval: -1"),
    ("traefik", Trouble.COMPRESSION, "- text/event-stream"),
    ("traefik", Trouble.TOTAL_LIMIT, "writeTimeout: 0s"),
    ("lighttpd", Trouble.HOLD, "server.stream-response-body = 1"),
    ("lighttpd", Trouble.HEADERS_HELD, "server.stream-response-body = 1"),
    ("lighttpd", Trouble.CANCEL, "server.stream-response-body = 1"),
    ("lighttpd", Trouble.HIDES_CUT, "server.stream-response-body = 1"),
    ("varnish", Trouble.HOLD, "set beresp.do_stream = true;"),
    ("varnish", Trouble.HEADERS_HELD, "set beresp.do_stream = true;"),
    ("varnish", Trouble.COMPRESSION, "set beresp.do_gzip = false;"),
    ("varnish", Trouble.IDLE_LIMIT, "between_bytes_timeout = 3600s;"),
    ("squid", Trouble.IDLE_LIMIT, "read_timeout 1 hour"),
    ("trafficserver", Trouble.COMPRESSION, "flush true"),
    ("trafficserver", Trouble.IDLE_LIMIT, "transaction_no_activity_timeout_out: 3600"),
    ("krakend", Trouble.TOTAL_LIMIT, '"timeout"'),
    ("tyk", Trouble.TOTAL_LIMIT, '"write_timeout": 3600'),
    ("mitmproxy", Trouble.HOLD, "stream_large_bodies=1"),
    ("express", Trouble.HOLD, "no-transform"),
    ("express", Trouble.COMPRESSION, "no-transform"),
    ("express", Trouble.ONE_LATE, "filter:"),
    ("node-http-proxy", Trouble.HOLD, "selfHandleResponse: false"),
    ("nextjs", Trouble.HOLD, "no-transform"),
    ("nextjs", Trouble.COMPRESSION, "no-transform"),
    ("starlette-gzip", Trouble.HOLD, "starlette>=0.46.0"),
    ("starlette-gzip", Trouble.COMPRESSION, "starlette>=0.46.0"),
    ("gunicorn", Trouble.TOTAL_LIMIT, "worker_class"),
    ("uwsgi", Trouble.CLOSE_DELIMITED, "http-auto-chunked"),
    ("uwsgi", Trouble.IDLE_LIMIT, "http-timeout"),
    ("cloudfront", Trouble.IDLE_LIMIT, "OriginReadTimeout"),
    ("cloudflare", Trouble.HOLD, "no-transform"),
    ("cloudflare", Trouble.COMPRESSION, "text/event-stream"),
    ("fastly", Trouble.HOLD, "set beresp.do_stream = true;"),
    ("akamai", Trouble.COMPRESSION, "NEVER"),
    ("azure-front-door", Trouble.IDLE_LIMIT, "240"),
    ("bunny", Trouble.HOLD, "Cache-Control: no-cache"),
    ("aws-alb", Trouble.IDLE_LIMIT, "idle_timeout.timeout_seconds"),
    ("aws-api-gateway", Trouble.HOLD, "responseTransferMode: STREAM"),
    ("aws-lambda-url", Trouble.HOLD, "InvokeMode: RESPONSE_STREAM"),
    ("aws-lambda-url", Trouble.TOTAL_LIMIT, "Timeout: 900"),
    ("google-lb", Trouble.TOTAL_LIMIT, "timeoutSec"),
    ("cloud-run", Trouble.TOTAL_LIMIT, "--timeout=3600"),
    ("azure-apim", Trouble.HOLD, '<forward-request buffer-response="false"/>'),
    ("azure-application-gateway", Trouble.HOLD, "enableResponseBuffering=false"),
    ("azure-application-gateway", Trouble.IDLE_LIMIT, "requestTimeout"),
    ("vercel", Trouble.TOTAL_LIMIT, "maxDuration"),
    ("fly", Trouble.HOLD, "Content-Encoding: none"),
    ("fly", Trouble.COMPRESSION, "Content-Encoding: none"),
    ("nginx-gateway-fabric", Trouble.IDLE_LIMIT, "read: 3600s"),
    ("apisix", Trouble.IDLE_LIMIT, "read: 3600"),
    ("envoy-gateway", Trouble.IDLE_LIMIT, "streamIdleTimeout"),
    ("nextjs", Trouble.IDLE_LIMIT, "proxyTimeout"),
    ("cloudfront", Trouble.IDLE_LIMIT, "OriginReadTimeout: 120"),
    ("fastly", Trouble.IDLE_LIMIT, "set bereq.between_bytes_timeout"),
    ("akamai", Trouble.IDLE_LIMIT, "readTimeout"),
    ("aws-api-gateway", Trouble.IDLE_LIMIT, "REGIONAL"),
    ("vercel", Trouble.TOTAL_LIMIT, "maxDuration = 800"),
    ("http-proxy-middleware", Trouble.HIDES_CUT, "ejectPlugins: true"),
    ("puma", Trouble.HOLD, "unix://"),
    ("openshift-router", Trouble.IDLE_LIMIT, "haproxy.router.openshift.io/timeout: 1h"),
    ("knative", Trouble.TOTAL_LIMIT, "timeoutSeconds"),
    ("bun-serve", Trouble.IDLE_LIMIT, "server.timeout(req, 0)"),
    ("spring-mvc", Trouble.TOTAL_LIMIT, "spring.mvc.async.request-timeout=-1"),
    ("spring-cloud-gateway", Trouble.HOLD, "application/x-ndjson"),
    ("yarp", Trouble.IDLE_LIMIT, "ActivityTimeout"),
    ("litellm", Trouble.HOLD, "streaming_buffer_until_moderated: false"),
    ("envoy-ai-gateway", Trouble.TOTAL_LIMIT, "request: 0s"),
    ("bedrock-guardrails", Trouble.HOLD, "streamProcessingMode: async"),
    ("azure-container-apps", Trouble.IDLE_LIMIT, "requestIdleTimeout: 30"),
    ("aiohttp-client", Trouble.TOTAL_LIMIT, "total=None"),
    ("undici", Trouble.IDLE_LIMIT, "bodyTimeout: 0"),
    ("django-gzip", Trouble.HOLD, "django>=6.1"),
]


@pytest.mark.parametrize(("name", "trouble", "text"), FIXES)
def test_a_known_fix_is_found(name: str, trouble: Trouble, text: str) -> None:
    fix = fix_for([name], trouble)
    assert fix is not None
    assert text in fix.text
    assert intermediary(name).fixes[trouble] == fix


VERSIONED_FIXES = [
    ("trafficserver", Trouble.IDLE_LIMIT, "9.2.9", "CONFIG proxy.config.http"),
    ("trafficserver", Trouble.IDLE_LIMIT, "10.2", "records:\n  http:"),
    ("nginx", Trouble.CLOSE_DELIMITED, "1.22.1", "proxy_http_version 1.1;"),
    ("nginx", Trouble.CLOSE_DELIMITED, "1.31.3", None),  # the default there
    ("nginx", Trouble.HOLD, "1.31.3", "proxy_buffering off;"),
    ("cowboy", Trouble.TOTAL_LIMIT, "2.10", "infinity"),
    ("cowboy", Trouble.TOTAL_LIMIT, "2.11", "reset_idle_timeout_on_send"),
]


@pytest.mark.parametrize(("name", "trouble", "release", "text"), VERSIONED_FIXES)
def test_a_fix_fits_the_version(
    name: str, trouble: Trouble, release: str, text: str | None
) -> None:
    fix = fix_for([name], trouble, {name: version(release)})
    assert (fix is None) if text is None else (fix is not None and text in fix.text)


VERSIONED_HOLDS = [
    ("nginx", "1.22", "HTTP/1.0 to the upstream", "From 1.29.7"),
    ("nginx", "1.31", "HTTP/1.1 to the upstream", "Before 1.29.7"),
    ("haproxy", "2.6.12", "MSG_MORE", "From 3.4.7"),
    ("haproxy", "3.4.7", "without the delay", "MSG_MORE"),
    ("caddy", "2.6.2", "`buffer_responses` holds", "`response_buffers SIZE`"),
    ("caddy", "2.11.7", "`response_buffers SIZE`", "holds the whole response, whatever"),
    ("lighttpd", "1.4.85", "Incremental", "nothing of the kind"),
    ("django-gzip", "6.0.10", "held", "flushed per item"),
    ("django-gzip", "6.1.3", "flushed per item", "without a flush and held"),
]


@pytest.mark.parametrize(("name", "release", "present", "absent"), VERSIONED_HOLDS)
def test_what_holds_depends_on_the_version(
    name: str, release: str, present: str, absent: str
) -> None:
    holds = intermediary(name).at(version(release)).holds
    assert present in holds
    assert absent not in holds


def test_a_series_shows_what_holds_on_both_sides_of_a_bound() -> None:
    holds = intermediary("nginx").at(version("1.29")).holds
    assert "HTTP/1.0 to the upstream" in holds
    assert "HTTP/1.1 to the upstream" in holds


def test_what_ends_a_broken_stream_depends_on_the_version() -> None:
    caddy = intermediary("caddy")
    assert "looks complete" in caddy.at(version("2.6.2")).origin_lost
    lost = caddy.at(version("2.11.7")).origin_lost
    assert lost == "From 2.11.7: The client receives a truncated body."


LIMITS = [
    ("nginx", 60, None),
    ("haproxy", 50, None),
    ("apache", 60, None),
    ("caddy", None, None),
    ("varnish", 60, None),
    ("squid", 900, None),
    ("lighttpd", None, None),
    ("trafficserver", 30, None),
    ("envoy", 300, 15),
    ("aws-alb", 60, None),
    ("aws-api-gateway", 30, 900),
    ("cloudfront", 30, None),
    ("google-lb", None, 30),
    ("cloud-run", None, 300),
    ("cloudflare", 125, None),
    ("azure-apim", 240, None),
    ("heroku", 55, None),
    ("krakend", None, 2),
    ("istio", None, None),
    ("contour", 300, 15),
    ("envoy-gateway", 300, 15),
    ("nginx-gateway-fabric", 60, None),
    ("kong", 60, None),
    ("apisix", 60, None),
    ("nextjs", 30, None),
    ("fastly", 10, None),
    ("akamai", 5, None),
    ("vercel", None, 300),
    ("railway", 300, 900),
    ("tyk", None, 120),
    ("knative", None, 300),
    ("higress", 10, None),
    ("aiohttp-client", None, 300),
    ("undici", 300, None),
]


@pytest.mark.parametrize(("name", "idle_s", "total_s"), LIMITS)
def test_default_limits(name: str, idle_s: float | None, total_s: float | None) -> None:
    known = intermediary(name)
    assert (known.idle_limit_s, known.total_limit_s) == (idle_s, total_s)


def test_an_unknown_fact_is_stated_as_unknown() -> None:
    for name in ("aws-alb", "google-lb", "cloud-run", "azure-front-door", "akamai"):
        assert "No source found" in intermediary(name).holds
        assert Trouble.HOLD not in intermediary(name).fixes


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        intermediary("uvicorn")


def test_the_first_name_with_a_fix_wins() -> None:
    assert fix_for(["haproxy", "nginx"], Trouble.HOLD) == Fix("haproxy", "option http-no-delay")
    assert fix_for(["envoy", "nginx"], Trouble.HOLD) == Fix("nginx", "proxy_buffering off;")


def test_no_fix_is_invented() -> None:
    assert fix_for([], Trouble.HOLD) is None
    assert fix_for(["nobody", "squid"], Trouble.HOLD) is None
