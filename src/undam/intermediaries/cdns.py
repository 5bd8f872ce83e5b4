"""Content delivery networks. None of them can be run here: the word is their vendors'."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

_PLAIN_STREAM = Fix(
    "origin", "Content-Type: text/event-stream\nCache-Control: no-cache, no-transform"
)

CLOUDFRONT = Intermediary(
    name="cloudfront",
    title="Amazon CloudFront",
    kind="cdn",
    signs=(Sign("x-amz-cf-id"), Sign("x-amz-cf-pop"), Sign("via", r"\(cloudfront\)")),
    holds="Relays the body as received.",
    cuts="Origin read timeout: 30 s between two reads.",
    fixes={Trouble.IDLE_LIMIT: Fix("cloudfront", "OriginReadTimeout: 60")},
    idle_limit_s=30.0,
    evidence="documented",
    source="docs.aws.amazon.com, CloudFront origin settings",
)

CLOUDFLARE = Intermediary(
    name="cloudflare",
    title="Cloudflare",
    kind="cdn",
    signs=(Sign("cf-ray"), Sign("server", r"^cloudflare\b")),
    holds=(
        "Does not compress text/event-stream by default. No source found that it honours "
        "X-Accel-Buffering."
    ),
    cuts="100 s between two reads from the origin, then 524.",
    fixes={Trouble.HOLD: _PLAIN_STREAM, Trouble.COMPRESSION: _PLAIN_STREAM},
    idle_limit_s=100.0,
    evidence="documented",
    source="developers.cloudflare.com, compression and connection limits",
)

FASTLY = Intermediary(
    name="fastly",
    title="Fastly (VCL)",
    kind="cdn",
    signs=(
        Sign("x-served-by", r"\bcache-[a-z]"),
        Sign("x-timer", r"^S\d{1,12}\.\d{1,9},VS\d"),
    ),
    holds=(
        "Holds the response unless VCL sets do_stream. No source found that it honours "
        "X-Accel-Buffering."
    ),
    cuts="No source found.",
    fixes={Trouble.HOLD: Fix("fastly", "set beresp.do_stream = true;")},
    evidence="documented",
    source="fastly.com/documentation, beresp.do_stream",
    built_on="varnish",
)

AKAMAI = Intermediary(
    name="akamai",
    title="Akamai",
    kind="cdn",
    signs=(Sign("server", r"^akamaighost\b"), Sign("x-akamai-transformed")),
    holds=(
        "No source found, neither for buffering by default nor for X-Accel-Buffering; compression "
        "can be switched off."
    ),
    cuts="No source found.",
    fixes={
        Trouble.COMPRESSION: Fix(
            "akamai", '{"name": "gzipResponse", "options": {"behavior": "NEVER"}}'
        ),
    },
    evidence="documented",
    source="techdocs.akamai.com, gzipResponse behavior",
)

AZURE_FRONT_DOOR = Intermediary(
    name="azure-front-door",
    title="Azure Front Door",
    kind="cdn",
    signs=(Sign("x-azure-ref"),),
    holds="No source found.",
    cuts="Origin response timeout: 30 s, 16 to 240.",
    fixes={
        Trouble.IDLE_LIMIT: Fix("azure-front-door", "originResponseTimeoutSeconds: 240"),
    },
    idle_limit_s=30.0,
    evidence="documented",
    source="learn.microsoft.com, Front Door origin response timeout and HTTP headers",
)

BUNNY = Intermediary(
    name="bunny",
    title="Bunny CDN",
    kind="cdn",
    signs=(Sign("server", r"^bunnycdn\b"), Sign("cdn-pullzone")),
    holds="Streams what may not be cached.",
    cuts="No source found.",
    fixes={Trouble.HOLD: Fix("origin", "Cache-Control: no-cache")},
    evidence="documented",
    source="docs.bunny.net",
)
