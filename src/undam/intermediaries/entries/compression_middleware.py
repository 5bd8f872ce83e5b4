"""Compression middleware inside the application, whatever its name."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "brotli 1.2.1 under gunicorn 27.0.1",
    "undam check of a WSGI application that compresses its stream without a flush",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="compression-middleware",
    title="Compression middleware of the application",
    kind="framework",
    claims=(
        Behaviour(
            Aspect.COMPRESSION,
            (
                "A compressor that is not flushed after each event sends its output in blocks, or "
                "all of it at the end."
            ),
            evidence=_RUN,
        ),
        Remedy(
            Trouble.COMPRESSION,
            "application",
            "exclude text/event-stream from the middleware, or flush the compressor at each event",
            evidence=_RUN,
        ),
        Remedy(
            Trouble.HOLD,
            "application",
            "exclude text/event-stream from the middleware, or flush the compressor at each event",
            evidence=_RUN,
        ),
    ),
)
