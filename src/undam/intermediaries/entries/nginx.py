"""nginx."""

from __future__ import annotations

from undam.intermediaries.claims import (
    Aspect,
    Behaviour,
    Limit,
    Remedy,
    Sign,
    Trouble,
    documented,
    measured,
)
from undam.intermediaries.intermediary import Intermediary
from undam.versions import NGINX_UPSTREAM_HTTP11

_RUN_NEW = measured(
    "1.31.3",
    "scripts/measure-intermediaries nginx",
    checked="2026-11",
    source="nginx/nginx 1.31.5, ngx_http_proxy_module.c",
)
_RUN_OLD = measured(
    "1.22.1",
    "scripts/measure-intermediaries nginx --idle 75",
    checked="2026-11",
    source="nginx.org, ngx_http_proxy_module",
)
_RULE_TESTS = measured("1.22.1", "pytest tests/live/test_rules_nginx.py", checked="2026-11")
_CHECK_TESTS = measured("1.22.1", "pytest tests/live/test_check_verdicts.py", checked="2026-11")
_DOCS = documented("nginx.org, ngx_http_proxy_module", checked="2026-11")

ENTRY = Intermediary(
    name="nginx",
    title="nginx",
    kind="proxy",
    claims=(
        Sign("server", r"^nginx\b(/(?P<version>\d[\d.]{0,15}))?", evidence=_RUN_OLD),
        Sign("server", r"^(tengine|freenginx|angie)\b", evidence=_DOCS),
        Sign("server", r"^openresty\b", certain=False, evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "Speaks HTTP/1.1 to the upstream, so a chunked stream passes event by "
                "event, even with buffering on. A body that ends with the connection is "
                "still held in 4096-byte blocks."
            ),
            evidence=_RUN_NEW,
            since=NGINX_UPSTREAM_HTTP11.since,
        ),
        Behaviour(
            Aspect.HOLDS,
            (
                "Speaks HTTP/1.0 to the upstream and holds blocks of 4096 bytes, "
                "including headers and heartbeats. With `proxy_http_version 1.1` and a "
                "chunked origin it streams."
            ),
            evidence=_RUN_OLD,
            until=NGINX_UPSTREAM_HTTP11.since,
        ),
        Behaviour(
            Aspect.HEAD,
            "The head waits for the first byte of the body while buffering is on.",
            evidence=_RUN_NEW,
        ),
        Behaviour(
            Aspect.COMPRESSION,
            (
                "With buffering on, gzip of text/event-stream holds the whole response. "
                "With buffering off, it is flushed per event."
            ),
            evidence=_RULE_TESTS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            60,
            "proxy_read_timeout cuts a stream after 60 s of silence.",
            evidence=_RUN_OLD,
        ),
        Behaviour(
            Aspect.CLIENT_LEAVES,
            "The origin is notified within 2 ms, even in silence.",
            evidence=_RUN_NEW,
        ),
        Behaviour(
            Aspect.BROKEN_ORIGIN,
            "The client receives a truncated body.",
            evidence=_RUN_NEW,
            since=NGINX_UPSTREAM_HTTP11.since,
        ),
        Behaviour(
            Aspect.BROKEN_ORIGIN,
            (
                "With an HTTP/1.0 upstream, the client receives a clean end that looks "
                "complete; with buffering on, a timeout also discards tokens already "
                "received. With HTTP/1.1, the body is truncated."
            ),
            evidence=_RUN_OLD,
            until=NGINX_UPSTREAM_HTTP11.since,
        ),
        Remedy(Trouble.HOLD, "nginx", "proxy_buffering off;", evidence=_RULE_TESTS),
        Remedy(Trouble.HEADERS_HELD, "nginx", "proxy_buffering off;", evidence=_RULE_TESTS),
        Remedy(Trouble.COMPRESSION, "nginx", "gzip off;", evidence=_RULE_TESTS),
        Remedy(
            Trouble.CLOSE_DELIMITED,
            "nginx",
            "proxy_http_version 1.1;",
            evidence=_RUN_OLD,
            until=NGINX_UPSTREAM_HTTP11.since,
        ),
        Remedy(
            Trouble.HIDES_CUT,
            "nginx",
            "proxy_http_version 1.1;",
            evidence=_RUN_OLD,
            until=NGINX_UPSTREAM_HTTP11.since,
        ),
        Remedy(Trouble.IDLE_LIMIT, "nginx", "proxy_read_timeout 3600s;", evidence=_RULE_TESTS),
        Remedy(
            Trouble.EATS_X_ACCEL,
            "nginx",
            "proxy_pass_header X-Accel-Buffering;",
            evidence=_CHECK_TESTS,
        ),
    ),
)
