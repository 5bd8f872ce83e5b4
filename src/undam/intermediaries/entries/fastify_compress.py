"""@fastify/compress."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "@fastify/compress 9.2.0", "pytest tests/live/test_check_relays.py", checked="2026-11"
)
_README = documented("@fastify/compress 9.2.0, README and index.js", checked="2026-11")

ENTRY = Intermediary(
    name="fastify-compress",
    title="@fastify/compress",
    kind="framework",
    claims=(
        Behaviour(Aspect.COMPRESSION, "Skips event streams by default.", evidence=_RUN),
        Behaviour(
            Aspect.COMPRESSION,
            "Compresses event streams without a flush and ignores no-transform.",
            evidence=_RUN,
            conditions={"configuration": "customTypes that match text/event-stream"},
        ),
        Remedy(
            Trouble.HOLD,
            "fastify-compress",
            "compress: false  // in the options of the route, or customTypes without event-stream",
            evidence=_README,
        ),
        Remedy(
            Trouble.COMPRESSION,
            "fastify-compress",
            "compress: false  // in the options of the route, or customTypes without event-stream",
            evidence=_README,
        ),
    ),
)
