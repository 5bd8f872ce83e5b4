"""Ranking of suspects for a hold, each with its evidence.

A suspect that the response head contradicts is not listed, and neither is one whose fix the
response already carries: that fix would have worked.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from undam.intermediaries.claims import Trouble
from undam.intermediaries.habits import HABITS, NEVER_BY_TIMER, Habit, Release
from undam.intermediaries.head_facts import HeadFacts, carries, facts_of
from undam.intermediaries.intermediary import Intermediary
from undam.intermediaries.registry import intermediary
from undam.record import Head
from undam.rules import Fix
from undam.versions import Version

MAX_SUSPECTS = 5

# Points order the suspects: a fingerprint outweighs all other evidence combined.
_SIGNED, _INNER_SIGNED, _STRONG, _FITTING, _WEAK = 100, 70, 20, 10, 3

# Proxies that replace the Server header of the hop behind them. Other proxies forward it.
_REPLACE_SERVER = frozenset({
    "bunny", "cloudflare", "cloudflared", "contour", "envoy", "envoy-gateway", "fly", "istio",
    "netlify", "railway", "vercel",
})  # fmt: skip

_UNDAM = "undam-sim"

_CORKED = "the period is that of a corked socket (about 200 ms)"
_TIMERS = {
    "haproxy": _CORKED, "puma": _CORKED,
    "traefik": "the period is that of its flushInterval (100 ms)",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldEvidence:
    """Evidence about a hop that holds a stream.

    Args:
        release: what releases the events; ``None`` if no rule was recognised.
        block_bytes: size of a release.
        timer_ms: period of the releases.
        signed: intermediaries that signed the response at this hop, but not at an inner one.
        further_in: intermediaries that also signed it at an inner hop.
        signatures: their fingerprints as clauses, by name.
        versions: versions in their fingerprints, by name.
        unknown: elements of Via from this hop that belong to no known intermediary.
        innermost: no inner hop was measured, so the server itself may hold the events.
        server_flushes: the far end is undam's own, which flushes each event.
        uncompressed_streams: whether the same request without compression streamed, if known.
        proxy: the forward proxy that the request went through.
        direct_streams: whether the same request without that proxy streamed, if known.
        is_tls: whether the connection is encrypted.
    """

    head: Head | None
    release: Release | None = None
    block_bytes: int | None = None
    timer_ms: float | None = None
    signed: tuple[str, ...] = ()
    further_in: tuple[str, ...] = ()
    signatures: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, Version] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    innermost: bool = True
    server_flushes: bool = False
    uncompressed_streams: bool | None = None
    proxy: str | None = None
    direct_streams: bool | None = None
    is_tls: bool = False

    @property
    def all_signed(self) -> tuple[str, ...]:
        """Return all intermediaries that signed the response."""
        return self.signed + self.further_in


@dataclass(frozen=True, slots=True)
class Suspect:
    """An intermediary that may hold the stream.

    Args:
        evidence: sentences without a full stop, the strongest first.
        fix: lines that fix the hold; ``None`` if none is known.
        signed: whether the intermediary left its fingerprint, and is not only similar.
    """

    name: str
    evidence: tuple[str, ...]
    fix: Fix | None = None
    signed: bool = False


PROXY_FIX = Fix(
    "your proxy",
    "exempt the host of the stream (NO_PROXY=HOST), or turn buffering off in the proxy:\n"
    "mitmproxy: --set stream_large_bodies=1\n"
    "privoxy: {-filter -deanimate-gifs} for the host",
)
"""Fix for a forward proxy that is not recognised."""


def rank_suspects(hold: HoldEvidence, trouble: Trouble = Trouble.HOLD) -> tuple[Suspect, ...]:
    """Return at most five suspects, the most likely first.

    If one of them signed the response, the others are listed only if they signed it as well.
    """
    if hold.direct_streams and hold.proxy is not None:
        return (_proven_proxy(hold, trouble),)
    found: dict[str, tuple[int, Suspect]] = {}
    for name, points, evidence in _candidates(hold, facts_of(hold.head)):
        fix = intermediary(name).fix_of(trouble, hold.versions.get(name))
        if fix is not None and carries(hold.head, fix.text):
            continue
        if trouble is Trouble.ONE_LATE and fix is None:
            continue
        if name not in found or points > found[name][0]:
            found[name] = points, Suspect(name, tuple(evidence), fix, name in hold.all_signed)
    ordered = sorted(found.values(), key=lambda item: -item[0])
    convincing = bool(ordered) and ordered[0][0] >= _SIGNED
    ranked = [one for _, one in ordered if one.signed or not convincing]
    if not convincing and not hold.uncompressed_streams:
        ranked[:0] = map(_unknown_proxy, hold.unknown)
    if hold.proxy is not None and hold.direct_streams is None:
        clause = "the request goes through it, and no direct request was possible"
        ranked.insert(0, Suspect(f"proxy {hold.proxy}", (clause,), PROXY_FIX))
    return tuple(ranked[:MAX_SUSPECTS])


def _unknown_proxy(element: str) -> Suspect:
    """Return the suspect for an element of Via that belongs to no known intermediary."""
    name = element.split(None, 1)[-1]  # The first part is the version of HTTP.
    clause = f"it signed the response (Via: {element}), and its behaviour is not known"
    fix = Fix(f"the proxy {name}", "turn buffering and inspection of responses off for the path")
    return Suspect(f"proxy {name}", (clause,), fix)


def _proven_proxy(hold: HoldEvidence, trouble: Trouble) -> Suspect:
    """Return the forward proxy, by its product name if the certificate identifies the product."""
    clause = f"without the proxy {hold.proxy}, the same request streams"
    for name in hold.all_signed:
        known = intermediary(name)
        if known.kind == "inspector":
            fix = known.fix_of(trouble) or PROXY_FIX
            return Suspect(name, (hold.signatures.get(name, clause), clause), fix, signed=True)
    return Suspect(f"proxy {hold.proxy}", (clause,), PROXY_FIX)


def _candidates(hold: HoldEvidence, facts: HeadFacts) -> Iterator[tuple[str, int, list[str]]]:
    """Yield (name, points, evidence) for each suspect that nothing contradicts."""
    with_habit = {habit.name for habit in HABITS}
    for habit in HABITS:
        if not _is_contradicted(habit, hold, facts):
            points, evidence = _support(habit, hold, facts)
            yield habit.name, points, evidence
    for name in hold.all_signed:
        known = intermediary(name)
        if (name not in with_habit or known.kind == "inspector") and _may_hold(known, hold):
            yield name, _signature_points(known, hold), [_signature(name, hold)]


def _may_hold(known: Intermediary, hold: HoldEvidence) -> bool:
    """Return whether a recognised intermediary may hold the stream.

    It may if a fix for its hold is known, or if it parses the events."""
    if hold.release == "timer" and known.name in NEVER_BY_TIMER:
        return False
    if hold.uncompressed_streams:
        return False
    return Trouble.HOLD in known.fixes or known.kind in {"inspector", "filter", "gateway"}


def _is_contradicted(habit: Habit, hold: HoldEvidence, facts: HeadFacts) -> bool:
    signed = habit.name in hold.all_signed
    if hold.release is None:
        if not signed:
            return True
    elif hold.release not in habit.releases:
        return True
    # If the uncompressed stream is also held, any habit without compression may be the cause.
    any_coding = hold.uncompressed_streams is False and not habit.compresses
    if habit.codings is not None and facts.coding not in habit.codings and not any_coding:
        return True
    if hold.uncompressed_streams is not None and hold.uncompressed_streams != habit.compresses:
        return True
    if habit.length is not None and habit.length != facts.has_length:
        return True
    if habit.close_delimited and not facts.is_close_delimited:
        return True
    if signed:
        return False
    return (
        _is_absent(habit, hold)
        or bool(habit.stacks and facts.stacks and not habit.stacks & facts.stacks.keys())
        or _is_excluded_by_name(habit, hold, facts)
        or not _fits_numbers(habit, hold)
    )


def _is_absent(habit: Habit, hold: HoldEvidence) -> bool:
    """Return whether the head lacks a fingerprint that this habit would leave.

    A proxy closer to the client replaces the Server header, so an nginx behind it may leave no
    fingerprint.
    """
    if not habit.signs:
        return False
    hidden = habit.name == "nginx" and bool(_REPLACE_SERVER & set(hold.all_signed))
    return not hidden


def _is_excluded_by_name(habit: Habit, hold: HoldEvidence, facts: HeadFacts) -> bool:
    name = habit.name
    if name == "haproxy":
        # HAProxy sends header names in lower case over HTTP/1.1.
        return facts.is_mixed_case
    if name == "traefik":
        # Go reverse proxies immediately flush event streams and responses without a Content-Length.
        return facts.is_event_stream or not facts.has_length
    if name == "hono":
        return facts.is_event_stream
    if name == "puma":
        return not hold.innermost or hold.server_flushes
    if name == "application-reader" and facts.stacks and "python" not in facts.stacks:
        return True  # Only readers in Python libraries wait until a chunk is full.
    if name in {"application", "application-reader"}:
        by_timer_further_in = hold.release == "timer" and not hold.innermost
        return hold.server_flushes or facts.server == _UNDAM or by_timer_further_in
    if name == "sophos":
        # This product holds only plain HTTP. Over TLS, the certificate issuer would identify it.
        return hold.is_tls
    if name == "mitmproxy":
        return hold.is_tls
    return False


def _fits_numbers(habit: Habit, hold: HoldEvidence) -> bool:
    if hold.release == "timer":
        least, most = habit.periods_ms
        return hold.timer_ms is not None and least <= hold.timer_ms <= most
    if hold.release == "size" and habit.sizes:
        return hold.block_bytes is not None and habit.has_size(hold.block_bytes)
    return True


def _support(habit: Habit, hold: HoldEvidence, facts: HeadFacts) -> tuple[int, list[str]]:
    """Return the points of a suspect and the evidence for it."""
    known = intermediary(habit.name)
    points, evidence = 0, []
    if habit.name in hold.all_signed:
        points += _signature_points(known, hold)
        evidence.append(_signature(habit.name, hold))
    if habit.compresses:
        points += _STRONG if hold.uncompressed_streams else _FITTING
        evidence.append(f"the response is compressed (Content-Encoding: {facts.coding})")
        if hold.uncompressed_streams:
            evidence.append("without compression, the same request streams")
    for stack in sorted(habit.stacks & facts.stacks.keys()):
        points += _FITTING
        evidence.append(f"{facts.stacks[stack]} is that of {_STACK_TITLES[stack]}")
    for more, text in _special(habit, hold, facts):
        points += more
        evidence.append(text)
    if not evidence:
        evidence.append(_general(habit, hold, facts))
    return points, evidence


_STACK_TITLES = {
    "python": "a Python server", "node": "Node.js", "java": "a Java server",
    "dotnet": "a .NET server", "php": "PHP", "ruby": "a Ruby server",
}  # fmt: skip


def _special(habit: Habit, hold: HoldEvidence, facts: HeadFacts) -> Iterator[tuple[int, str]]:
    """Yield (points, evidence) from the length, the block size, the timer or the product."""
    if habit.length and facts.has_length:
        yield _FITTING, "the stream has a Content-Length, as if it had been collected"
    if habit.name == "application" and facts.has_length and hold.release == "end":
        yield _FITTING, "the stream has a Content-Length, as if it had been built whole"
    if habit.close_delimited:
        yield 0, "the body ends with the connection, as after its filters"
    yield from _of_product(habit.name, facts)
    if hold.release == "size" and habit.sizes and hold.block_bytes is not None:
        yield _FITTING, f"blocks of {hold.block_bytes} bytes are those of its buffer"
    if hold.release == "timer" and hold.timer_ms is not None:
        text = _TIMERS.get(habit.name, "the server may flush by a timer of its own")
        yield (0 if habit.name == "application" else _FITTING), text
        if habit.name == "haproxy" and facts.has_case and facts.has_origin_headers:
            yield _WEAK, "header names are in lower case"
        if habit.name == "puma" and not facts.has_origin_headers:
            yield _WEAK, "the head has neither Server nor Date"
    if habit.name in _OWN and facts.stacks and hold.release != "timer":
        signs = ", ".join(facts.stacks.values())
        yield _WEAK, f"the head is that of an application server ({signs})"


def _of_product(name: str, facts: HeadFacts) -> Iterator[tuple[int, str]]:
    """Yield (points, evidence) from headers that are typical of one product."""
    server = facts.server.lower()
    if name == "fastify-compress" and facts.keep_alive == "timeout=72":
        yield _STRONG, "Keep-Alive: timeout=72 is the default of Fastify"
    if name == "nextjs" and facts.has_http_proxy:
        yield _WEAK, "rewrites() of Next.js relay by http-proxy, as this head was relayed"
    if name == "django-gzip" and facts.looks_like_django:
        yield _STRONG, "the head has the security headers of Django"
    if name == "starlette-gzip" and server.startswith(_ASGI_SERVERS):
        yield _WEAK, "the server runs ASGI applications"
    if name == "django-gzip" and server.startswith(_WSGI_SERVERS):
        yield _WEAK, "the server runs WSGI applications"


_OWN = {"application", "compression-middleware"}
_ASGI_SERVERS = ("uvicorn", "hypercorn", "granian", "daphne")
_WSGI_SERVERS = ("gunicorn", "wsgiserver", "waitress", "werkzeug", "cheroot")


def _general(habit: Habit, hold: HoldEvidence, facts: HeadFacts) -> str:
    """Return the evidence for a suspect that has no fingerprint, but whose behaviour fits."""
    if habit.name in {"application", "application-reader"}:
        if hold.all_signed or hold.unknown:
            return "no proxy that is known to hold a stream like this signed the response"
        return f"{facts.shown_server}: the head has no fingerprint of a proxy"
    return "it is known to hold a stream like this, and the head does not contradict it"


def _signature_points(known: Intermediary, hold: HoldEvidence) -> int:
    if known.kind == "gateway" and Trouble.HOLD not in known.fixes:
        return _FITTING  # The gateway is in the path, but it is not known to hold streams.
    if known.kind in {"cdn", "cloud", "tunnel"}:
        # CDNs, clouds and tunnels hold streams only with some settings, and a hop behind them may
        # also hold the stream.
        return _INNER_SIGNED
    return _SIGNED if known.name in hold.signed else _INNER_SIGNED


def _signature(name: str, hold: HoldEvidence) -> str:
    return hold.signatures.get(name, "it signed the response")
