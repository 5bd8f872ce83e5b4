"""Google App Engine, flexible environment."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "cloud.google.com/appengine/docs/flexible/how-requests-are-handled", checked="2026-11"
)

ENTRY = Intermediary(
    name="app-engine-flexible",
    title="Google App Engine, flexible environment",
    kind="cloud",
    claims=(
        Behaviour(Aspect.HOLDS, "Responses are buffered in blocks of 64 KB.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_TOTAL,
            3600,
            "A response may take at most one hour.",
            evidence=_DOCS,
        ),
    ),
)
