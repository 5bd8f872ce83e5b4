"""Proxy chains in lint reports: a few lines of text for each chain, and JSON."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

from undam.cli.ui.numbers import plural
from undam.lint import Chain, ChainLimit, Hop

# Projects with many deployments have one chain per deployment; `--json` lists all of them.
_MAX_SHOWN = 5


def chain_lines(chains: Sequence[Chain]) -> Iterator[str]:
    """Yield the lines that describe each chain, followed by an empty line."""
    for chain in chains[:_MAX_SHOWN]:
        yield f"chain: {_drawn(chain)}"
        yield f"  idle limit: {_limit(chain.idle_limit)}; total limit: {_limit(chain.total_limit)}"
        yield (
            f"  buffers: {_names(chain.buffering)}; compresses: {_names(chain.compressing)}; "
            f"heartbeats: {_heartbeat(chain)}"
        )
        yield f"  files: {', '.join(f'{one.path}:{one.line}' for one in chain.hops)}"
    if len(chains) > _MAX_SHOWN:
        yield f"{plural(len(chains) - _MAX_SHOWN, 'more chain')} in --json"
    if any(link.is_assumed for chain in chains[:_MAX_SHOWN] for link in chain.links):
        yield "  (⇢: joined by position, because no name in the files joins the two)"
    if chains:
        yield ""


def _drawn(chain: Chain) -> str:
    parts = ["client"]
    for index, link in enumerate(chain.links):
        arrow = "⇢" if link.is_assumed else "→"
        parts.append(f"{arrow if index else '→'} {link.hop.title}")
    return " ".join(parts)


def _limit(limit: ChainLimit | None) -> str:
    if limit is None:
        return "none known"
    path, line = limit.position
    origin = f"{path}:{line}" if limit.at is not None else f"its default, {path}:{line}"
    return f"{limit.seconds:g} s, {limit.hop.title} ({origin})"


def _names(hops: Iterable[Hop]) -> str:
    return ", ".join(dict.fromkeys(one.title for one in hops)) or "none known"


def _heartbeat(chain: Chain) -> str:
    hop = chain.heartbeat
    return "none known" if hop is None else f"every {hop.heartbeat_s:g} s, {hop.title}"


def chain_json(chain: Chain) -> dict[str, object]:
    """Return a chain as JSON. A limit of 0 means no limit; null means an unknown limit."""
    heartbeat = chain.heartbeat
    return {
        "hops": [
            {
                "tier": link.hop.tier.name.lower(),
                "title": link.hop.title,
                "path": link.hop.path,
                "line": link.hop.line,
                "assumed": link.is_assumed,
                "idle_limit_s": _seconds(link.hop.idle_limit_s),
                "total_limit_s": _seconds(link.hop.total_limit_s),
                "buffers": link.hop.buffers,
                "compresses": link.hop.compresses,
                "heartbeat_s": link.hop.heartbeat_s,
            }
            for link in chain.links
        ],
        "idle_limit": _limit_json(chain.idle_limit),
        "total_limit": _limit_json(chain.total_limit),
        "buffers": [one.title for one in chain.buffering],
        "compresses": [one.title for one in chain.compressing],
        "heartbeat": None
        if heartbeat is None
        else {"seconds": heartbeat.heartbeat_s, "title": heartbeat.title},
    }


def _limit_json(limit: ChainLimit | None) -> dict[str, object] | None:
    if limit is None:
        return None
    path, line = limit.position
    return {
        "seconds": limit.seconds,
        "title": limit.hop.title,
        "path": path,
        "line": line,
        "default": limit.at is None,
    }


def _seconds(limit: float | None) -> float | None:
    return 0.0 if limit is not None and math.isinf(limit) else limit
