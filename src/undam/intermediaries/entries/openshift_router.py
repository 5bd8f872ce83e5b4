"""OpenShift router."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented(
    "openshift/router, haproxy-config.template:167 (2026-08-04)", checked="2026-11"
)
_REPORT = documented("rossoctl/operator#393, trustyai#692", checked="2026-11")
_INFERENCE = documented(
    "inferred from the template, which has no http-no-delay; not run", checked="2026-11"
)

ENTRY = Intermediary(
    name="openshift-router",
    title="OpenShift router",
    kind="proxy",
    built_on="haproxy",
    claims=(
        Behaviour(
            Aspect.HOLDS,
            "Like HAProxy, holds data for about 200 ms or one segment.",
            evidence=_INFERENCE,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            30,
            "`timeout server` cuts a stream after 30 s of silence.",
            evidence=_SOURCE,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            None,
            "A limit of 300 s of silence was reported.",
            evidence=_REPORT,
            conditions={"platform": "managed clusters"},
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "openshift-router",
            "haproxy.router.openshift.io/timeout: 1h",
            evidence=_SOURCE,
        ),
    ),
)
