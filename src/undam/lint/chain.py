"""Chains of the programs that a request passes through: client, load balancer, proxy, app, engine.

Each dialect describes the program of a route as a `Hop`. Two hops are joined if the first sends
requests to a name of the second. If no name joins a hop to the next tier and exactly one program is
configured there, the two are joined by position, and the join is marked as assumed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

from undam.lint.evidence.assessment import AssessedRoute, RouteOutcome
from undam.lint.evidence.hop import Hop, Tier
from undam.lint.evidence.names import address_of

# A project with more programs than this contains several deployments, whose hops cannot be told
# apart.
_MAX_HOPS = 200
_MAX_CHAINS = 20
_MAX_LINKS = 12
_MACHINE = frozenset({"localhost", "127.0.0.1", "[::1]", "0.0.0.0", "host.docker.internal"})


@dataclass(frozen=True, slots=True)
class ChainLink:
    """A program in a chain.

    Args:
        is_assumed: the previous program is joined to it by position, because no name joins them.
    """

    hop: Hop
    is_assumed: bool = False


@dataclass(frozen=True, slots=True)
class ChainLimit:
    """The shortest time limit of one kind in a chain, and the program that applies it.

    Args:
        at: path and line where it is configured; ``None`` if it is the default of the program.
    """

    seconds: float
    hop: Hop
    at: tuple[str, int] | None

    @property
    def position(self) -> tuple[str, int]:
        """Path and line where the limit is set. For a default, those of the program."""
        return self.at or (self.hop.path, self.hop.line)


@dataclass(frozen=True)
class Chain:
    """Chain of the programs that a request passes through, outermost first."""

    links: tuple[ChainLink, ...]

    @property
    def hops(self) -> tuple[Hop, ...]:
        return tuple(link.hop for link in self.links)

    @cached_property
    def idle_limit(self) -> ChainLimit | None:
        """The shortest idle timeout in the chain; ``None`` if no timeout is known."""
        return _shortest(
            ChainLimit(one.idle_limit_s, one, one.idle_at)
            for one in self.hops
            if one.idle_limit_s is not None
        )

    @cached_property
    def total_limit(self) -> ChainLimit | None:
        """The shortest limit on a whole response in the chain; ``None`` if no limit is known."""
        return _shortest(
            ChainLimit(one.total_limit_s, one, one.total_at)
            for one in self.hops
            if one.total_limit_s is not None
        )

    @property
    def buffering(self) -> tuple[Hop, ...]:
        """The programs in the chain that buffer events."""
        return tuple(one for one in self.hops if one.buffers)

    @property
    def compressing(self) -> tuple[Hop, ...]:
        """The programs in the chain that compress streams."""
        return tuple(one for one in self.hops if one.compresses)

    @property
    def heartbeat(self) -> Hop | None:
        """The innermost program whose heartbeats reach the hop with the shortest idle timeout.

        A program that drops the comments of its upstreams ends the search.
        """
        limit = self.idle_limit
        found: Hop | None = None
        start = self.hops.index(limit.hop) if limit is not None else 0
        for one in self.hops[start:]:
            if one.heartbeat_s:
                found = one
            if one.drops_heartbeats:
                break
        return found


def chains_of(routes: Iterable[AssessedRoute]) -> tuple[Chain, ...]:
    """Return the chains of programs that the requests for these routes pass through."""
    listed = sorted(routes, key=lambda one: (one.path, one.line))
    streaming, possible = (
        [one.hop for one in listed if one.outcome is outcome and one.hop is not None]
        for outcome in (RouteOutcome.STREAMS, RouteOutcome.MAYBE)
    )
    return join_hops(streaming, possible)


def join_hops(hops: Iterable[Hop], possible: Iterable[Hop] = ()) -> tuple[Chain, ...]:
    """Return every chain of two or more programs, in the order of their outermost files.

    Args:
        hops: programs that stream.
        possible: programs that may stream. They count if they send requests to one that does.
    """
    known = list(hops)
    names = {name.lower() for hop in known for name in hop.names}
    known += [
        hop
        for hop in possible
        if any(name in names for upstream in hop.upstreams for name in _names_of(upstream))
    ]
    distinct = _merged(_without_duplicates(known))
    if len(distinct) > _MAX_HOPS:
        return ()
    graph = _HopGraph(distinct)
    chains: list[Chain] = []
    for links in graph.paths():
        if len(chains) == _MAX_CHAINS:
            break
        if len(links) > 1:
            chains.append(Chain(links))
    return tuple(chains)


class _HopGraph:
    """Directed graph of programs: an edge leads from the sender of requests to the receiver."""

    def __init__(self, hops: list[Hop]) -> None:
        self._hops = hops
        named: dict[str, list[int]] = {}
        for index, hop in enumerate(hops):
            for name in hop.names:
                named.setdefault(name.lower(), []).append(index)
        self._next = [list(self._named_by(hop, index, named)) for index, hop in enumerate(hops)]
        self._has_previous = {target for targets in self._next for target in targets}

    def paths(self) -> Iterator[tuple[ChainLink, ...]]:
        """Yield every path that starts at a program without a known sender."""
        assumed = {index: self._assumed_next(index) for index in range(len(self._hops))}
        inner = self._has_previous | {one for one in assumed.values() if one is not None}
        for index in range(len(self._hops)):
            if index not in inner:
                yield from self._follow(index, (ChainLink(self._hops[index]),), {index}, assumed)

    def _follow(
        self,
        index: int,
        links: tuple[ChainLink, ...],
        seen: set[int],
        assumed: dict[int, int | None],
    ) -> Iterator[tuple[ChainLink, ...]]:
        targets = [(one, False) for one in self._next[index]]
        further = assumed[index]
        if not targets and further is not None:
            targets = [(further, True)]
        targets = [one for one in targets if one[0] not in seen]
        if not targets or len(links) == _MAX_LINKS:
            yield links
        for target, is_assumed in targets if len(links) < _MAX_LINKS else ():
            link = ChainLink(self._hops[target], is_assumed)
            yield from self._follow(target, (*links, link), {*seen, target}, assumed)

    def _named_by(self, hop: Hop, own: int, named: dict[str, list[int]]) -> Iterator[int]:
        found: dict[int, None] = {}
        for upstream in hop.upstreams:
            for name in _names_of(upstream):
                matching = [one for one in named.get(name, ()) if self._is_inside(own, one)]
                found |= dict.fromkeys(matching)
                if matching:
                    break
        yield from found

    def _is_inside(self, outer: int, inner: int) -> bool:
        one, other = self._hops[outer], self._hops[inner]
        if one.tier is other.tier:
            # A gateway does not send requests to another gateway, nor a load balancer to another
            # one.
            return outer != inner and one.tier >= Tier.PROXY
        return one.tier < other.tier

    def _assumed_next(self, index: int) -> int | None:
        """Return the only program of the next tier without a known sender; ``None`` if not unique.

        Programs in the folder of this one, or closest to it, are preferred.
        """
        hop = self._hops[index]
        if self._next[index] or hop.tier is Tier.ENGINE or _leaves_project(hop):
            return None
        free = [
            one
            for one, other in enumerate(self._hops)
            if other.tier > hop.tier and one not in self._has_previous
        ]
        for tier in sorted({self._hops[one].tier for one in free}):
            candidates = [one for one in free if self._hops[one].tier is tier]
            near = _nearest(hop.path, [(self._hops[one].path, one) for one in candidates])
            return near[0] if len(near) == 1 else None
        return None


def _merged(hops: Iterable[Hop]) -> list[Hop]:
    """Merge descriptions of the same application or engine that come from several files.

    A Dockerfile, a compose file and a manifest often describe the same service. Proxies are not
    merged, because each of their routes may have other limits.
    """
    found: list[Hop] = []
    for hop in hops:
        for index, known in enumerate(found):
            same = _services(hop) & _services(known)
            if same and hop.tier is known.tier and hop.tier >= Tier.APP:
                found[index] = _combined(known, hop)
                break
        else:
            found.append(hop)
    return found


def _combined(one: Hop, other: Hop) -> Hop:
    """Merge two descriptions of one program. For each kind of limit, the shorter one is kept."""
    best, second = (other, one) if other.upstreams and not one.upstreams else (one, other)
    idle = min((best, second), key=lambda hop: _or_inf(hop.idle_limit_s))
    total = min((best, second), key=lambda hop: _or_inf(hop.total_limit_s))
    return replace(
        best,
        names=tuple(dict.fromkeys((*best.names, *second.names))),
        upstreams=tuple(dict.fromkeys((*best.upstreams, *second.upstreams))),
        idle_limit_s=idle.idle_limit_s,
        idle_at=idle.idle_at,
        total_limit_s=total.total_limit_s,
        total_at=total.total_at,
        buffers=best.buffers or second.buffers,
        compresses=best.compresses or second.compresses,
        heartbeat_s=best.heartbeat_s or second.heartbeat_s,
    )


def _or_inf(seconds: float | None) -> float:
    return math.inf if seconds is None else seconds


def _services(hop: Hop) -> set[str]:
    return {name.lower() for name in hop.names if not name.startswith(":")}


def _without_duplicates(hops: Iterable[Hop]) -> list[Hop]:
    """Remove hops that differ from an earlier hop only in their line number."""
    found: dict[tuple[object, ...], Hop] = {}
    for one in hops:
        key = (
            *(one.tier, one.title, one.path, frozenset(one.upstreams), one.idle_limit_s),
            *(one.total_limit_s, one.buffers, one.compresses, one.heartbeat_s),
        )
        if key in found:
            known = found[key]
            if set(one.names) <= set(known.names):
                continue
            found[*key, one.names] = one
        else:
            found[key] = one
    return list(found.values())


def _names_of(upstream: str) -> Iterator[str]:
    """Yield the names by which an upstream's server may be known, starting with the exact one."""
    low = upstream.lower()
    yield low
    at = address_of(low)
    if at.host in _MACHINE or not at.host:
        if at.port is not None:
            yield f":{at.port}"
        return
    yield at.host
    first, dot, rest = at.host.partition(".")
    is_cluster = rest.endswith(("svc", "svc.cluster.local")) or "." not in rest
    if dot and is_cluster and not first.isdecimal():
        yield first


def _leaves_project(hop: Hop) -> bool:
    """Return whether all upstreams are public Internet hosts, for instance a hosted API."""
    hosts = [address_of(one.lower()).host for one in hop.upstreams]
    public = [
        host
        for host in hosts
        if host.count(".") >= 1
        and host.rpartition(".")[2].isalpha()
        and not host.endswith((".local", ".internal", ".svc", ".lan"))
    ]
    return bool(hosts) and len(public) == len(hosts)


def _nearest(path: str, candidates: list[tuple[str, int]]) -> list[int]:
    """Return the candidates whose files share the most parent folders with ``path``."""
    folders = _folders(path)

    def shared(other: str) -> int:
        count = 0
        for one, two in zip(folders, _folders(other), strict=False):
            if one != two:
                break
            count += 1
        return count

    best = max(shared(other) for other, _ in candidates)
    return [index for other, index in candidates if shared(other) == best]


def _folders(path: str) -> list[str]:
    return path.replace("\\", "/").split("/")[:-1]


def _shortest(limits: Iterable[ChainLimit]) -> ChainLimit | None:
    found = [one for one in limits if math.isfinite(one.seconds) and one.seconds > 0]
    return min(found, key=lambda one: one.seconds, default=None)
