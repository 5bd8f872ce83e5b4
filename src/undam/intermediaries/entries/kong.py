"""Kong Gateway."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "Kong/kong (2026-07-01), kong/templates/nginx_kong.lua:184; "
        "developer.konghq.com, route and service entities"
    ),
    checked="2026-11",
)

ENTRY = Intermediary(
    name="kong",
    title="Kong Gateway",
    kind="gateway",
    built_on="nginx",
    claims=(
        Sign("x-kong-proxy-latency", evidence=_DOCS),
        Sign("x-kong-upstream-latency", evidence=_DOCS),
        Sign("via", r"\bkong/(?P<version>\d[\d.]{0,15})?", evidence=_DOCS),
        Sign("server", r"^kong/(?P<version>\d[\d.]{0,15})?", evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "Speaks HTTP/1.1 to the upstream with buffering on (response_buffering), "
                "so a chunked stream passes. A body that ends with the connection is held "
                "in blocks of 4 KB."
            ),
            evidence=_DOCS,
        ),
        Behaviour(Aspect.HEAD, "The head waits for the first byte of the body.", evidence=_DOCS),
        Behaviour(
            Aspect.COMPRESSION,
            "gzip holds an event stream to the end, as in nginx.",
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            60,
            "The service's read_timeout cuts a stream after 60 s of silence.",
            evidence=_DOCS,
        ),
        Remedy(Trouble.HOLD, "kong", "response_buffering: false  # on the route", evidence=_DOCS),
        Remedy(
            Trouble.IDLE_LIMIT,
            "kong",
            "read_timeout: 3600000  # on the service, milliseconds",
            evidence=_DOCS,
        ),
    ),
)
