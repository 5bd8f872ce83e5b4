"""Vercel rewrites to another origin."""

from __future__ import annotations

from undam.intermediaries.claims import Aspect, Limit, documented
from undam.intermediaries.intermediary import Intermediary

_DOCS = documented('vercel.com, changelog "CDN origin timeout"', checked="2026-11")

ENTRY = Intermediary(
    name="vercel-rewrites",
    title="Vercel rewrites to another origin",
    kind="cloud",
    built_on="vercel",
    claims=(Limit(Aspect.CUTS_IDLE, 120, "The origin must respond within 120 s.", evidence=_DOCS),),
)
