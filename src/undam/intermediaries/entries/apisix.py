"""Apache APISIX."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    (
        "apache/apisix (2026-08-20), apisix/cli/ngx_tpl.lua:903; apisix.apache.org, "
        "plugin proxy-buffering"
    ),
    checked="2026-11",
)
_CHANGELOG = documented("apache/apisix, CHANGELOG 3.17.0 (#13446)", checked="2026-11")

ENTRY = Intermediary(
    name="apisix",
    title="Apache APISIX",
    kind="gateway",
    built_on="nginx",
    claims=(
        Sign("server", r"^apisix\b(/(?P<version>\d[\d.]{0,15}))?", evidence=_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "Speaks HTTP/1.1 to the upstream with buffering on, so a chunked stream "
                "passes. A body that ends with the connection is held in blocks of 4 KB."
            ),
            evidence=_DOCS,
        ),
        Behaviour(Aspect.HEAD, "The head waits for the first byte of the body.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            60,
            ("Its template sets no limit, so nginx's default of 60 s of silence applies."),
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.HOLD,
            "apisix",
            ("plugins:\n  proxy-buffering:\n    disable_proxy_buffering: true"),
            evidence=_CHANGELOG,
            since="3.17",
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "apisix",
            ("timeout:  # of the route or the upstream\n  read: 3600"),
            evidence=_DOCS,
        ),
    ),
)
