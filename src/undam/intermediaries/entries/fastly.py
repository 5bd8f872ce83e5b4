"""Fastly (VCL)."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Behaviour, Limit, Remedy, Sign, Trouble, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented(
    "fastly.com/documentation, bereq.first_byte_timeout and bereq.between_bytes_timeout",
    checked="2026-11",
)
_STREAM_DOCS = documented("fastly.com/documentation, beresp.do_stream", checked="2026-11")

ENTRY = Intermediary(
    name="fastly",
    title="Fastly (VCL)",
    kind="cdn",
    built_on="varnish",
    claims=(
        Sign("x-served-by", r"\bcache-[a-z]", evidence=_STREAM_DOCS),
        Sign("x-timer", r"^S\d{1,12}\.\d{1,9},VS\d", evidence=_STREAM_DOCS),
        Behaviour(
            Aspect.HOLDS,
            (
                "Holds the response unless VCL sets do_stream. No source states that it "
                "honours X-Accel-Buffering."
            ),
            evidence=_STREAM_DOCS,
        ),
        Behaviour(
            Aspect.HEAD,
            (
                "The first byte of the body must arrive within 15 s (0 to 600), and "
                "within 60 s between nodes of a cluster."
            ),
            evidence=_DOCS,
        ),
        Limit(
            Aspect.CUTS_IDLE,
            10,
            (
                "between_bytes_timeout is 10 s in generated VCL, and 60 s between "
                "Fastly's own nodes (clustering, shielding)."
            ),
            evidence=_DOCS,
        ),
        Limit(Aspect.CUTS_TOTAL, None, "fetch_timeout is off by default.", evidence=_DOCS),
        Remedy(Trouble.HOLD, "fastly", "set beresp.do_stream = true;", evidence=_STREAM_DOCS),
        Remedy(
            Trouble.IDLE_LIMIT,
            "fastly",
            "set bereq.between_bytes_timeout = 600s;  # in vcl_pass, with return(pass) in vcl_recv",
            evidence=_DOCS,
        ),
    ),
)
