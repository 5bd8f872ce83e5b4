"""mitmproxy."""

from __future__ import annotations

from undam.intermediaries.claims import (
    Aspect,
    Behaviour,
    Remedy,
    Sign,
    Trouble,
    documented,
    measured,
)
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "11",
    "undam check --beacon through mitmdump --mode reverse",
    checked="2026-11",
    source="docs.mitmproxy.org, stream_large_bodies",
)
_SOURCE = documented(
    "mitmproxy 13.0.0.dev (2026-08-22), layers/http, check_body_size", checked="2026-11"
)
_REPORT = documented(
    "sulla-desktop#540 (40 to 108 s), consistent with the source", checked="2026-11"
)

ENTRY = Intermediary(
    name="mitmproxy",
    title="mitmproxy",
    kind="inspector",
    claims=(
        Sign(":tls-issuer", r"\bCN=mitmproxy\b", evidence=_RUN),
        Behaviour(Aspect.HOLDS, "Holds the whole response.", evidence=_RUN),
        Behaviour(
            Aspect.HOLDS,
            "The latest source still buffers unless stream_large_bodies is set.",
            evidence=_SOURCE,
        ),
        Behaviour(
            Aspect.HOLDS,
            (
                "An add-on that implements response() holds the whole body, whatever the "
                "value of stream_large_bodies."
            ),
            evidence=_REPORT,
            conditions={"configuration": "an add-on with response()"},
        ),
        Remedy(Trouble.HOLD, "mitmproxy", "--set stream_large_bodies=1", evidence=_RUN),
        Remedy(
            Trouble.HOLD,
            "mitmproxy",
            ("def responseheaders(flow):\n    flow.response.stream = True"),
            evidence=_REPORT,
            conditions={"configuration": "an add-on with response()"},
        ),
    ),
)
