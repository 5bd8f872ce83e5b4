"""Platforms that run an application and put their own edge before it, by their documentation."""

from __future__ import annotations

from undam.intermediaries.intermediary import Intermediary, Sign, Trouble
from undam.rules import Fix

_UNCOMPRESSED = Fix("origin", "Content-Encoding: none")

VERCEL = Intermediary(
    name="vercel",
    title="Vercel",
    kind="cloud",
    signs=(Sign("x-vercel-id"), Sign("server", r"^vercel$")),
    holds="Streams.",
    cuts="maxDuration of the function, for the whole response.",
    fixes={Trouble.TOTAL_LIMIT: Fix("vercel", "export const maxDuration = 300;")},
    evidence="documented",
    source="vercel.com/docs, streaming functions and maxDuration",
)

HEROKU = Intermediary(
    name="heroku",
    title="Heroku",
    kind="cloud",
    signs=(Sign("via", r"\b(vegur|heroku-router)\b"),),
    holds="Streams.",
    cuts="First byte within 30 s, then 55 s of silence; neither can be changed.",
    fixes={},
    idle_limit_s=55.0,
    evidence="documented",
    source="devcenter.heroku.com, HTTP routing and request timeout",
)

RAILWAY = Intermediary(
    name="railway",
    title="Railway",
    kind="cloud",
    signs=(Sign("x-railway-request-id"), Sign("x-railway-edge")),
    holds="Streams.",
    cuts="5 min of silence.",
    fixes={},
    idle_limit_s=300.0,
    evidence="documented",
    source="docs.railway.com, public networking",
)

FLY = Intermediary(
    name="fly",
    title="Fly.io",
    kind="cloud",
    signs=(Sign("fly-request-id"),),
    holds="Holds what it compresses; a response with an encoding of its own is left alone.",
    cuts="No source found.",
    fixes={Trouble.HOLD: _UNCOMPRESSED, Trouble.COMPRESSION: _UNCOMPRESSED},
    evidence="documented",
    source="fly.io/docs and community threads on server-sent events",
)
