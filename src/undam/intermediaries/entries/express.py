"""Express with compression()."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, measured
from undam.intermediaries.intermediary import Intermediary

_RUN = measured(
    "compression 1.8.2",
    "pytest tests/live/test_check_verdicts.py",
    checked="2026-11",
    source="npm package compression, filter and no-transform",
)

ENTRY = Intermediary(
    name="express",
    title="Express with compression()",
    kind="framework",
    claims=(
        Sign("x-powered-by", "^express$", evidence=_RUN),
        Behaviour(Aspect.HOLDS, "Plain Express streams.", evidence=_RUN),
        Behaviour(
            Aspect.COMPRESSION,
            (
                "compression() sends headers immediately, but holds the whole body, or 28 KB "
                "of gzip output, because it flushes only on res.flush(). If it is flushed "
                "on each proxied read, the stream is one event late."
            ),
            evidence=_RUN,
        ),
        Limit(Aspect.CUTS_IDLE, None, "It has no limit of its own.", evidence=_RUN),
        Remedy(
            Trouble.HOLD,
            "express",
            'res.setHeader("Cache-Control", "no-cache, no-transform");',
            evidence=_RUN,
        ),
        Remedy(
            Trouble.COMPRESSION,
            "express",
            'res.setHeader("Cache-Control", "no-cache, no-transform");',
            evidence=_RUN,
        ),
        Remedy(
            Trouble.ONE_LATE,
            "express",
            (
                "app.use(compression({\n"
                '  filter: (req, res) => !/event-stream/.test(res.getHeader("Content-Type")) &&\n'
                "    compression.filter(req, res),\n"
                "}));"
            ),
            evidence=_RUN,
        ),
    ),
)
