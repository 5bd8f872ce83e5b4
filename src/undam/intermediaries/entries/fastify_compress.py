"""@fastify/compress."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented(
    "@fastify/compress 9.2.0; mime-db makes text/event-stream compressible", checked="2026-11"
)

ENTRY = Intermediary(
    name="fastify-compress",
    title="@fastify/compress",
    kind="framework",
    claims=(
        Behaviour(
            Aspect.COMPRESSION,
            "Compresses event streams without a flush and ignores no-transform.",
            evidence=_SOURCE,
        ),
        Remedy(
            Trouble.HOLD,
            "fastify-compress",
            'reply.header("x-no-compression", "1")',
            evidence=_SOURCE,
        ),
        Remedy(
            Trouble.COMPRESSION,
            "fastify-compress",
            'reply.header("x-no-compression", "1")',
            evidence=_SOURCE,
        ),
    ),
)
