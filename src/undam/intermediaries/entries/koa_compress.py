"""koa-compress."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Remedy, Trouble, documented, measured
from undam.intermediaries.intermediary import Intermediary

_SOURCE = documented("koa-compress 5.2.2", checked="2026-11")
_RUN = measured(
    "koa-compress 5.2.2",
    "an event stream through the middleware with Accept-Encoding: gzip",
    checked="2026-11",
)

ENTRY = Intermediary(
    name="koa-compress",
    title="koa-compress",
    kind="framework",
    claims=(
        Behaviour(
            Aspect.COMPRESSION,
            ("Compresses event streams without a flush, except responses with no-transform."),
            evidence=_RUN,
        ),
        Remedy(
            Trouble.HOLD,
            "koa-compress",
            'ctx.set("Cache-Control", "no-cache, no-transform");',
            evidence=_RUN,
        ),
        Remedy(
            Trouble.COMPRESSION,
            "koa-compress",
            'ctx.set("Cache-Control", "no-cache, no-transform");',
            evidence=_SOURCE,
        ),
    ),
)
