"""KEDA HTTP add-on."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("kedacore/http-add-on, interceptor/config/timeouts.go", checked="2026-11")

ENTRY = Intermediary(
    name="keda-http-add-on",
    title="KEDA HTTP add-on",
    kind="proxy",
    claims=(
        Behaviour(Aspect.HEAD, "The head must arrive within 300 s.", evidence=_DOCS),
        Limit(Aspect.CUTS_TOTAL, None, "No limit on the whole response.", evidence=_DOCS),
        Remedy(
            Trouble.HEADERS_HELD,
            "keda-http-add-on",
            ("timeouts:\n  responseHeader: 1h"),
            evidence=_DOCS,
        ),
    ),
)
