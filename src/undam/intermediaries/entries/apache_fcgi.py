"""Apache httpd (mod_proxy_fcgi, mod_proxy_ajp)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "apache/httpd trunk, mod_proxy.xml; httpd.apache.org, mod_proxy, flushpackets",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="apache-fcgi",
    title="Apache httpd (mod_proxy_fcgi, mod_proxy_ajp)",
    kind="proxy",
    built_on="apache",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            "flushpackets is off by default, so small writes wait for a full buffer.",
            evidence=_DOCS,
        ),
        Limit(Aspect.CUTS_IDLE, 60, "A stream is cut after 60 s of silence.", evidence=_DOCS),
        Remedy(
            Trouble.HOLD,
            "apache",
            'ProxyPass "/v1" "fcgi://127.0.0.1:9000" flushpackets=on',
            evidence=_DOCS,
        ),
        Remedy(Trouble.IDLE_LIMIT, "apache", "ProxyTimeout 3600", evidence=_DOCS),
    ),
)
