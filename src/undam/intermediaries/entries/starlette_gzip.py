"""Starlette GZipMiddleware."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN_NEW = measured(
    "1.10.0",
    "scripts/measure-intermediaries uvicorn",
    checked="2026-11",
    source="starlette.dev, GZipMiddleware",
)
_RUN_NDJSON = measured(
    "1.10.0", "NDJSON through GZipMiddleware with Accept-Encoding: gzip", checked="2026-11"
)
_RUN_OLD = measured(
    "0.45.3, 0.46.0, 1.4.0", "a StreamingResponse through GZipMiddleware", checked="2026-11"
)

ENTRY = Intermediary(
    name="starlette-gzip",
    title="Starlette GZipMiddleware",
    kind="framework",
    claims=(
        Behaviour(
            Aspect.HOLDS, "Event streams are not compressed.", evidence=_RUN_NEW, since="0.46"
        ),
        Behaviour(
            Aspect.HOLDS,
            "Event streams are held in blocks of gzip output.",
            evidence=_RUN_OLD,
            until="0.46",
        ),
        Behaviour(
            Aspect.COMPRESSION,
            "NDJSON is compressed and flushed per item.",
            evidence=_RUN_NDJSON,
            since="1.10",
        ),
        Behaviour(
            Aspect.COMPRESSION,
            "NDJSON is compressed and held (last measured with 1.4.0).",
            evidence=_RUN_OLD,
            until="1.4.1",
        ),
        Limit(Aspect.CUTS_IDLE, None, "It has no limit of its own.", evidence=_RUN_NEW),
        Remedy(Trouble.HOLD, "starlette", "starlette>=0.46.0", evidence=_RUN_OLD),
        Remedy(Trouble.COMPRESSION, "starlette", "starlette>=0.46.0", evidence=_RUN_OLD),
    ),
)
