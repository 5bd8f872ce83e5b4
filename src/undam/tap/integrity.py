"""Comparison of events before and after a proxy: lost, repeated, reordered, altered or torn.

Only streams that were captured and ended completely on both sides are compared, so missing packets
never become missing events. A proxy may rewrite identifiers, translate the API, divide the text
differently, hide reasoning or add events of its own; none of these is a fault.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher

from undam.diagnosis.numbering import REPLACEMENT, AnswerIntegrity
from undam.record import Ending
from undam.tap.legs import Leg, Pair, comparable_keys
from undam.tap.shared_bodies import Key

_KINDS = ("lost", "duplicated", "reordered", "altered", "torn")
# Maximum number of events between the first and last difference; their alignment takes quadratic
# time.
_MAX_COMPARED = 2000
# If the proxy adds a larger share of events than this, it sends an answer of its own.
_MAX_NEW = 0.2
_WHOLE = {Ending.COMPLETE, Ending.CLOSED}


@dataclass
class ProxyIntegrity:
    """Content faults in all streams through one proxy.

    Args:
        streams: streams that were compared.
        counts: faults by kind.
        first: the first place of each kind.
    """

    streams: int = 0
    sent: int = 0
    received: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    first: dict[str, str] = field(default_factory=dict)

    def add(self, pair: Pair) -> None:
        """Add one stream."""
        found = compare_legs(pair)
        if found is None:
            return
        self.streams += 1
        self.sent += found.sent or 0
        self.received += found.received
        for kind in _KINDS:
            count = getattr(found, kind)
            if count:
                self.counts[kind] += count
                place = f"{found.first_of(kind)} of the stream to {pair.outer.stream.client}"
                self.first.setdefault(kind, place)

    def total(self) -> AnswerIntegrity:
        """Return the sum over all streams."""
        counts = {kind: self.counts[kind] for kind in _KINDS}
        return AnswerIntegrity(
            "both-sides", sent=self.sent, received=self.received, **counts,
            first=tuple(self.first.items()),
        )  # fmt: skip

    def as_json(self) -> dict[str, object]:
        """Return the counts, named as in `undam check --json`, and the first place of each kind."""
        return {
            "sent": self.sent,
            "received": self.received,
            **{kind: self.counts[kind] for kind in _KINDS},
            "streams": self.streams,
            "first": dict(self.first),
        }


def compare_legs(pair: Pair) -> AnswerIntegrity | None:
    """Compare one stream's events before and after the proxy; return ``None`` if inconclusive."""
    outer, inner = pair.outer, pair.inner
    whole = not (outer.is_partial or inner.is_partial)
    ended = outer.stream.ending in _WHOLE and inner.stream.ending in _WHOLE
    if not whole or not ended or not pair.matched:
        return None
    sent_texts, got_texts = inner.texts, outer.texts
    intact = AnswerIntegrity("both-sides", sent=len(sent_texts), received=len(got_texts))
    got, sent = comparable_keys(outer, inner)
    if sent == got or "".join(sent_texts) == "".join(got_texts):
        return intact
    start, stop = _differing(sent, got)
    if stop[0] - start + stop[1] - start > _MAX_COMPARED:
        return None
    differences = _Differences(sent, got, sent_texts, got_texts)
    differences.add(start, stop)
    if differences.new > _MAX_NEW * len(got):
        return None
    return differences.result(intact, inner)


def _differing(sent: Sequence[Key], got: Sequence[Key]) -> tuple[int, tuple[int, int]]:
    """Return the index of the first difference, and the end of the last difference on each side."""
    shorter = min(len(sent), len(got))
    start = next((at for at in range(shorter) if sent[at] != got[at]), shorter)
    same = 0
    while same < shorter - start and sent[-1 - same] == got[-1 - same]:
        same += 1
    return start, (len(sent) - same, len(got) - same)


class _Differences:
    """Differences between two sequences of events, by kind.

    Attributes:
        new: events that only the proxy sent and that do not repeat another one.
    """

    def __init__(
        self, sent: Sequence[Key], got: Sequence[Key], sent_texts: Sequence[str],
        got_texts: Sequence[str],
    ) -> None:  # fmt: skip
        self._sent, self._got = sent, got
        self._sent_texts, self._got_texts = sent_texts, got_texts
        self._places: dict[str, list[int]] = {kind: [] for kind in _KINDS}
        self._known = set(sent)
        self.new = 0

    def add(self, start: int, stop: tuple[int, int]) -> None:
        """Compare the events from ``start`` to ``stop`` on the two sides."""
        sent, got = self._sent[start : stop[0]], self._got[start : stop[1]]
        blocks = SequenceMatcher(None, sent, got, autojunk=False).get_opcodes()
        changes = [
            (range(start + i1, start + i2), range(start + j1, start + j2))
            for kind, i1, i2, j1, j2 in blocks
            if kind != "equal"
        ]
        missing = Counter(self._sent[index] for removed, _ in changes for index in removed)
        moved = set[int]()
        for _, added in changes:
            for index in added:
                if missing[self._got[index]]:
                    missing[self._got[index]] -= 1
                    moved.add(index)
        self._places["reordered"] += sorted(moved)
        for removed, added in changes:
            self._add_change(removed, [one for one in added if one not in moved], missing)

    def _add_change(
        self, removed: Iterable[int], added: Sequence[int], missing: Counter[Key]
    ) -> None:
        gone = []
        for index in removed:
            if missing[self._sent[index]]:
                missing[self._sent[index]] -= 1
                gone.append(index)
        fresh = []
        for index in added:
            if self._got[index] in self._known:
                self._places["duplicated"].append(index)
            else:
                fresh.append(index)
        for before, after in zip(gone, fresh, strict=False):
            self._add_altered(before, after)
        self._places["lost"] += gone[len(fresh) :]
        self.new += max(0, len(fresh) - len(gone))

    def _add_altered(self, before: int, after: int) -> None:
        text, changed = self._sent_texts[before], self._got_texts[after]
        if text == changed:
            return  # The proxy changed only the fields around the text.
        torn = changed.count(REPLACEMENT) > text.count(REPLACEMENT)
        self._places["torn" if torn else "altered"].append(before)
        self.new += not torn

    def result(self, intact: AnswerIntegrity, inner: Leg) -> AnswerIntegrity:
        """Return ``intact`` with the faults added."""
        places = dict(self._places)
        if all(inner.is_reasoning(at) for at in places["lost"]):
            places["lost"] = []  # A proxy may remove the model's reasoning on purpose.
        return replace(
            intact,
            lost=len(places["lost"]),
            duplicated=len(places["duplicated"]),
            reordered=len(places["reordered"]),
            altered=len(places["altered"]),
            torn=len(places["torn"]),
            first=tuple((kind, f"event {min(one)}") for kind, one in places.items() if one),
        )
