"""The registry: full, unambiguous, and with a cure wherever one is known."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import undam.intermediaries
from undam.intermediaries import INTERMEDIARIES, Intermediary, Trouble, fix_for, intermediary
from undam.rules import Fix


def test_every_entry_of_every_module_is_registered_once() -> None:
    written = {}
    for module in pkgutil.iter_modules(undam.intermediaries.__path__):
        names = vars(importlib.import_module(f"undam.intermediaries.{module.name}"))
        written.update({id(v): v for v in names.values() if isinstance(v, Intermediary)})
    assert {known.name for known in written.values()} == {known.name for known in INTERMEDIARIES}
    assert len(written) == len(INTERMEDIARIES)


def test_names_are_unique_and_short_words() -> None:
    names = [known.name for known in INTERMEDIARIES]
    assert len(set(names)) == len(names)
    for name in names:
        assert name == name.lower()
        assert name.replace("-", "").isalnum(), name


@pytest.mark.parametrize("known", INTERMEDIARIES, ids=lambda known: known.name)
def test_an_entry_is_whole(known: Intermediary) -> None:
    assert known.title
    assert known.holds.endswith(".")
    assert known.cuts.endswith(".")
    assert known.source
    assert not (known.evidence == "measured" and not known.version)
    assert known.built_on in {"", *(other.name for other in INTERMEDIARIES)} - {known.name}
    for sign in known.signs:
        assert sign.header == sign.header.lower()
    for limit_s in (known.idle_limit_s, known.total_limit_s):
        assert limit_s is None or limit_s > 0


@pytest.mark.parametrize("known", INTERMEDIARIES, ids=lambda known: known.name)
def test_a_fix_can_be_pasted(known: Intermediary) -> None:
    for fix in known.fixes.values():
        assert fix.where
        assert fix.text == fix.text.strip()
        for line in fix.text.split("\n"):
            assert 0 < len(line) <= 100
            assert line.isascii()


# Every cure of the measurements and of the vendors' documentation.
CURES = [
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
    ("trafficserver", Trouble.IDLE_LIMIT, "transaction_no_activity_timeout_out INT 3600"),
    ("krakend", Trouble.TOTAL_LIMIT, '"timeout"'),
    ("tyk", Trouble.HOLD, '"enable_websockets": true'),
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
]


@pytest.mark.parametrize(("name", "trouble", "text"), CURES)
def test_a_known_cure_is_told(name: str, trouble: Trouble, text: str) -> None:
    fix = fix_for([name], trouble)
    assert fix is not None
    assert text in fix.text


def test_there_is_no_cure_beyond_the_known_ones() -> None:
    told = {(known.name, trouble) for known in INTERMEDIARIES for trouble in known.fixes}
    assert told == {(name, trouble) for name, trouble, _ in CURES}


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
    ("aws-api-gateway", 300, 900),
    ("cloudfront", 30, None),
    ("google-lb", None, 30),
    ("cloud-run", None, 300),
    ("cloudflare", 100, None),
    ("azure-apim", 240, None),
    ("heroku", 55, None),
    ("krakend", None, 2),
]


@pytest.mark.parametrize(("name", "idle_s", "total_s"), LIMITS)
def test_default_limits(name: str, idle_s: float | None, total_s: float | None) -> None:
    known = intermediary(name)
    assert (known.idle_limit_s, known.total_limit_s) == (idle_s, total_s)


def test_what_was_not_found_stays_so() -> None:
    for name in ("aws-alb", "google-lb", "cloud-run", "azure-front-door", "akamai"):
        assert "No source found" in intermediary(name).holds
        assert Trouble.HOLD not in intermediary(name).fixes


def test_an_unknown_name_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        intermediary("uvicorn")


def test_the_first_name_with_a_cure_wins() -> None:
    assert fix_for(["haproxy", "nginx"], Trouble.HOLD) == Fix("haproxy", "option http-no-delay")
    assert fix_for(["envoy", "nginx"], Trouble.HOLD) == Fix("nginx", "proxy_buffering off;")


def test_no_cure_is_invented() -> None:
    assert fix_for([], Trouble.HOLD) is None
    assert fix_for(["nobody", "squid"], Trouble.HOLD) is None
