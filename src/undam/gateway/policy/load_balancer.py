"""Which upstream gets the next stream: the less busy of two, and none that keeps failing. Pure."""

from __future__ import annotations

import random
from collections.abc import Container, Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EjectionLimits:
    """When an upstream is set aside, and for how long.

    Args:
        failures: in a row, before content; Envoy counts 5, but each here costs a user a retry.
        base_s: the first time aside; it doubles with each further one.
        most_s: the longest time aside.
    """

    failures: int = 3
    base_s: float = 2.0
    most_s: float = 60.0


@dataclass(slots=True, eq=False)
class Backend:
    """An upstream as the balance sees it.

    Args:
        limit: streams it takes at once; 0 is no limit.
        outstanding: streams on it now.
        draining: gets no new stream; goes when its last one ends.
        well: what the active check says; ``True`` where there is none.
        failures: in a row.
        ejections: times aside since it last was well for long.
        ejected_until_s: ``None`` while it takes part.
        restored_at_s: when it last returned.
        trial_running: the one request that tries an ejected upstream is under way.
    """

    name: str
    limit: int = 0
    outstanding: int = 0
    draining: bool = False
    well: bool = True
    failures: int = 0
    ejections: int = 0
    ejected_until_s: float | None = None
    restored_at_s: float = 0.0
    trial_running: bool = False

    @property
    def full(self) -> bool:
        """Whether it has as many streams as it takes."""
        return 0 < self.limit <= self.outstanding

    @property
    def aside(self) -> bool:
        """Whether it is ejected or its active check fails."""
        return self.ejected_until_s is not None or not self.well


@dataclass(slots=True, eq=False)
class Lease:
    """A place for one stream on an upstream; given back once, with `LoadBalancer.ended`.

    Args:
        trial: it is the one that tries an ejected upstream.
    """

    backend: Backend
    trial: bool = False

    @property
    def name(self) -> str:
        """The upstream's name."""
        return self.backend.name


class LoadBalancer:
    """The upstreams of one gateway.

    Args:
        limits: the upstreams, each with the streams it takes at once (0: no limit).
        rng: draws the two that are compared.
    """

    def __init__(
        self,
        limits: Mapping[str, int],
        *,
        rng: random.Random,
        terms: EjectionLimits | None = None,
    ) -> None:
        self._rng = rng
        self.terms = terms or EjectionLimits()
        self._backends = {name: Backend(name, limit) for name, limit in limits.items()}

    @property
    def backends(self) -> tuple[Backend, ...]:
        """All, those that drain, too."""
        return tuple(self._backends.values())

    def choose(
        self, now_s: float, *, without: Container[str] = (), trial: bool = True
    ) -> Backend | None:
        """Where one more stream should go; ``None`` when no upstream has room.

        Args:
            without: names not to take, as this request already failed or waits there.
            trial: whether this request may go to one that is aside.
        """
        inside: list[Backend] = []
        outside: list[Backend] = []
        for one in self._backends.values():
            if one.draining or one.full or one.name in without:
                continue
            if not one.aside:
                inside.append(one)
            elif trial and _due_for_trial(one, now_s):
                return one
            else:
                outside.append(one)
        if inside:
            return self._less_busy(inside)
        return min(outside, key=_rank, default=None) if trial else None

    def began(self, backend: Backend, now_s: float) -> Lease:
        """A stream goes to the one that `choose` gave."""
        backend.outstanding += 1
        trial = _due_for_trial(backend, now_s)
        backend.trial_running = backend.trial_running or trial
        return Lease(backend, trial)

    def has_room(self, reserved: int = 0) -> bool:
        """Whether the upstreams may take one more stream, besides so many that are on their way."""
        free = 0
        for one in self._backends.values():
            if one.draining:
                continue
            if not one.limit:
                return True
            free += max(0, one.limit - one.outstanding)
        return free > reserved

    def backend(self, name: str) -> Backend | None:
        """One of them, those that drain, too."""
        return self._backends.get(name)

    def succeeded(self, lease: Lease, now_s: float) -> None:
        """Content came, or an answer that is no failure of the upstream."""
        one = lease.backend
        one.failures = 0
        _settle(lease)
        if one.ejected_until_s is not None:
            one.ejected_until_s, one.restored_at_s = None, now_s

    def failed(self, lease: Lease, now_s: float) -> bool:
        """It was refused, timed out, answered 5xx or died before content.

        Returns:
            Whether that set the upstream aside.
        """
        one, terms = lease.backend, self.terms
        one.failures += 1
        tried = lease.trial and one.trial_running
        _settle(lease)
        if one.ejected_until_s is not None and not tried:
            return False
        if one.ejected_until_s is None:
            if one.failures < terms.failures:
                return False
            if now_s - one.restored_at_s > terms.most_s:
                one.ejections = 0
        one.ejected_until_s = now_s + min(terms.most_s, terms.base_s * 2 ** min(one.ejections, 30))
        one.ejections += 1
        return True

    def ended(self, lease: Lease) -> None:
        """The stream is over, for whatever reason."""
        one = lease.backend
        one.outstanding -= 1
        # A trial whose client left told nothing; the next request may try.
        _settle(lease)
        if one.draining and not one.outstanding and self._backends.get(one.name) is one:
            del self._backends[one.name]

    def checked(self, name: str, *, well: bool) -> None:
        """Note what an active check found."""
        if name in self._backends:
            self._backends[name].well = well

    def replace(self, limits: Mapping[str, int]) -> tuple[str, ...]:
        """Serve these from now on. Those that are left out get no new stream and go with their
        last one; their names come back."""
        for name, limit in limits.items():
            one = self._backends.setdefault(name, Backend(name))
            one.limit, one.draining = limit, False
        leaving = tuple(name for name in self._backends if name not in limits)
        for name in leaving:
            self._backends[name].draining = True
            if not self._backends[name].outstanding:
                del self._backends[name]
        return leaving

    def _less_busy(self, able: list[Backend]) -> Backend:
        """The less busy of two that are drawn."""
        if len(able) == 1:
            return able[0]
        # Two draws without repetition; `Random.sample` is made for many.
        first = int(self._rng.random() * len(able))
        second = int(self._rng.random() * (len(able) - 1))
        one, other = able[first], able[second + (second >= first)]
        return one if one.outstanding <= other.outstanding else other


def _due_for_trial(one: Backend, now_s: float) -> bool:
    """Whether it is ejected, its time has come, and no trial is running."""
    until = one.ejected_until_s
    return until is not None and until <= now_s and one.well and not one.trial_running


def _settle(lease: Lease) -> None:
    if lease.trial:
        lease.trial = lease.backend.trial_running = False


def _rank(one: Backend) -> tuple[bool, int, int]:
    return (not one.well, one.failures, one.outstanding)
