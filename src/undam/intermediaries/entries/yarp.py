"""YARP."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented("dotnet/yarp, HttpForwarder.cs:28 and 468", checked="2026-11")

ENTRY = Intermediary(
    name="yarp",
    title="YARP",
    kind="proxy",
    claims=(
        Behaviour(Aspect.HOLDS, "Streams, unless AllowResponseBuffering is set.", evidence=_DOCS),
        Limit(
            Aspect.CUTS_IDLE,
            100,
            "ActivityTimeout cuts a stream after 100 s of silence.",
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.HOLD,
            "yarp",
            '"HttpRequest": { "AllowResponseBuffering": false }',
            evidence=_DOCS,
        ),
        Remedy(
            Trouble.IDLE_LIMIT,
            "yarp",
            '"HttpRequest": { "ActivityTimeout": "01:00:00" }',
            evidence=_DOCS,
        ),
    ),
)
