"""Comparison of what arrived with what was sent: lost, repeated, reordered and altered events.

The evidence is, in this order: the numbered text of a beacon, the stamps of a beacon, the sequence
numbers of the API or of the event IDs, and the events themselves. Only the first is complete. Every
other one leaves out a fault that could also be the model's own text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from itertools import groupby, pairwise

from undam.apis.meaning import mapping
from undam.diagnosis.reading import Reading, TimedEvent
from undam.record import Ending
from undam.timing import median
from undam.timing.numbered_text import NumberedPiece, fragments_in, pieces_in

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# With fewer events, a numbering cannot be distinguished from other integers.
_FEW = 8
# A numbering is regular if most steps are +1; a hop that loses half of the events is found anyway.
_REGULAR = 0.5
# Comparing two answers takes quadratic time in the worst case.
_MAX_COMPARED = 2000
_ALIKE = 0.8
# Events that a hop repeats arrive together; a token that a model repeats takes its usual time.
_TOGETHER = 0.1
_FEW_REPEATS = 2
_MANY_REPEATS = 4

_TORN = re.compile("[\N{REPLACEMENT CHARACTER}\ud800-\udfff]+")
# A text about the character itself shows it in quotation marks, or names it.
_QUOTED = re.compile(
    "[\"'`(\\[\u00ab\u2018\u201c]\N{REPLACEMENT CHARACTER}[\"'`)\\]\u00bb\u2019\u201d]"
)
_NAMED = re.compile(r"(?i)U\+FFFD|replacement character")
_NUMBER = re.compile(r"(.*?)(\d{1,18})")


@dataclass(frozen=True, slots=True)
class AnswerIntegrity:
    """Events of an answer that did not arrive as they were sent.

    Args:
        evidence: "numbered-text", "stamps", "sequence-numbers", "event-ids", "events",
            "inner-hop" or "both-sides".
        sent: number of events that were sent; ``None`` if it is unknown.
        received: number of different events that arrived.
        mixed: events of another answer in the same stream.
        torn: places with a replacement character or half of a surrogate pair.
        first: for each kind of fault, the first place.
    """

    evidence: str
    sent: int | None = None
    received: int = 0
    lost: int = 0
    duplicated: int = 0
    reordered: int = 0
    altered: int = 0
    torn: int = 0
    mixed: int = 0
    first: tuple[tuple[str, str], ...] = ()

    @property
    def is_exact(self) -> bool:
        """Return whether every fault would have been found."""
        return self.evidence == "numbered-text"

    @property
    def is_intact(self) -> bool:
        """Return whether no fault was found."""
        return not self.faults

    @property
    def faults(self) -> int:
        """Return the number of faults of all kinds."""
        return self.lost + self.duplicated + self.reordered + self.altered + self.torn + self.mixed

    def first_of(self, kind: str) -> str:
        """Return the first place of a kind of fault."""
        return dict(self.first).get(kind, "")


UNKNOWN = AnswerIntegrity("events")
"""AnswerIntegrity of an answer that was not analyzed."""


def analyze_integrity(reading: Reading) -> AnswerIntegrity:
    """Return the integrity of the answer in ``reading``, from the best evidence in it."""
    contents = reading.contents
    text = _joined(contents)
    if pieces := list(pieces_in(text)):
        return _from_pieces(pieces, fragments_in(text), cut=_is_cut(reading))
    found = _from_numbers(reading) or _from_events(contents)
    if found.evidence == "events" and _final_text_differs(reading):
        found = replace(found, altered=1, first=(("altered", "the text in the final event"),))
    return _with_torn(found, reading, text)


def compare_answers(inner: Reading, outer: Reading) -> AnswerIntegrity | None:
    """Compare the answers of two hops to the same prompt, event by event.

    Returns:
        ``None`` if they differ by more than lost, repeated or reordered events: the model may
        have generated another text, or the hop may divide it differently.
    """
    sent = [item.text for item in inner.contents]
    got = [item.text for item in outer.contents]
    if min(len(sent), len(got)) < _FEW or max(len(sent), len(got)) > _MAX_COMPARED:
        return None
    matcher = SequenceMatcher(None, sent, got, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return None
    lost: list[tuple[int, str]] = []
    added: list[tuple[int, str]] = []
    duplicated: list[int] = []
    for kind, i1, i2, j1, j2 in matcher.get_opcodes():
        at_end = i2 == len(sent) and j2 == len(got)
        if kind == "replace" or (kind != "equal" and at_end):
            return None
        if kind == "delete":
            lost += [(i, sent[i]) for i in range(i1, i2)]
        elif kind == "insert":
            if got[j1:j2] in (got[j1 - (j2 - j1) : j1], got[j2 : j2 + (j2 - j1)]):
                duplicated += range(j1, j2)
            else:
                added += [(j, got[j]) for j in range(j1, j2)]
    moved = [text for _, text in added]
    if any(moved.count(text) > [t for _, t in lost].count(text) for text in moved):
        return None
    for text in moved:
        lost.remove(next(item for item in lost if item[1] == text))
    return AnswerIntegrity(
        "inner-hop",
        sent=len(sent),
        received=len(got) - len(duplicated),
        lost=len(lost),
        duplicated=len(duplicated),
        reordered=len(added),
        first=_places(
            lost=lost[0][0] if lost else None,
            duplicated=duplicated[0] if duplicated else None,
            reordered=added[0][0] if added else None,
        ),
    )


def _joined(contents: Sequence[TimedEvent]) -> str:
    """Return the text of events; halves of a surrogate pair in two events are joined."""
    text = "".join(item.shown for item in contents)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


def _is_cut(reading: Reading) -> bool:
    """Return whether the missing end of the answer is a finding of its own."""
    ended = reading.exchange.ending in {Ending.COMPLETE, Ending.CLOSED}
    return not ended or not (reading.announced_end or not reading.api.announces_end)


def _from_pieces(pieces: Sequence[NumberedPiece], fragments: int, *, cut: bool) -> AnswerIntegrity:
    """Return the integrity of a numbered text.

    Args:
        fragments: number of pieces that are damaged beyond recognition.
        cut: leave out the pieces after the last one that arrived.
    """
    known = next((piece for piece in pieces if piece.whole), pieces[0])
    counts = dict.fromkeys(("duplicated", "reordered", "altered", "torn", "mixed"), 0)
    places: dict[str, int | None] = dict.fromkeys(counts)
    seen: set[int] = set()
    others: set[int] = set()
    highest = -1
    for piece in pieces:
        fault = ""
        if not piece.whole:
            fault = "torn" if _TORN.search(piece.text) else "altered"
        elif piece.answer != known.answer:
            fault = "mixed"
            others.add(piece.seq)
        elif piece.seq in seen:
            fault = "duplicated"
        elif piece.seq < highest:
            fault = "reordered"
        if fault:
            counts[fault] += 1
            places[fault] = piece.seq if places[fault] is None else places[fault]
        if fault != "mixed":
            seen.add(piece.seq)
            highest = max(highest, piece.seq)
    end = highest + 1 if cut else known.total
    missing = [seq for seq in range(end) if seq not in seen and seq not in others]
    # A piece of which a fragment arrived was altered, not lost.
    fragments = min(fragments, len(missing))
    if fragments:
        counts["altered"] += fragments
        places["altered"] = missing[0] if places["altered"] is None else places["altered"]
    lost = len(missing) - fragments
    return AnswerIntegrity(
        "numbered-text",
        sent=known.total,
        received=len(seen),
        lost=lost,
        **counts,
        first=_places(lost=missing[0] if lost else None, **places),
    )


def _from_numbers(reading: Reading) -> AnswerIntegrity | None:
    contents = reading.contents
    stamps = [item.due.seq for item in contents if item.due is not None]
    if len(stamps) > 1:
        return _count(stamps, "stamps")
    events = [item for item in reading.items if item.meaning is not None]
    numbers = [_sequence_number(item, reading.api.name) for item in events]
    known = [number for number in numbers if number is not None]
    if len(known) >= _FEW and _is_regular(known):
        return _count(known, "sequence-numbers")
    return _from_ids(events)


def _sequence_number(item: TimedEvent, api: str) -> int | None:
    assert item.meaning is not None
    payload = mapping(item.meaning.payload)
    number = payload.get("sequence_number")
    if number is None and api == "tgi":
        number = payload.get("index")
    return number if type(number) is int else None


def _from_ids(events: Sequence[TimedEvent]) -> AnswerIntegrity | None:
    """Return the integrity of events with counted IDs, if each event has its own."""
    matches = [_NUMBER.fullmatch(item.id) for item in events]
    found = [(match[1], int(match[2])) for match in matches if match is not None]
    numbers = [number for _, number in found]
    own = len(set(numbers)) > 0.8 * len(events) and len({prefix for prefix, _ in found}) == 1
    if len(numbers) < _FEW or not own or not _is_regular(numbers):
        return None
    # An event without an ID has that of the previous event, and is not a repetition of it.
    repeated = {
        index
        for index, (a, b) in enumerate(pairwise(events), 1)
        if a.id == b.id and a.meaning != b.meaning
    }
    kept = [n for index, n in enumerate(numbers) if index not in repeated]
    return _count(kept, "event-ids")


def _is_regular(numbers: Sequence[int]) -> bool:
    steps = [b - a for a, b in pairwise(numbers)]
    return sum(step == 1 for step in steps) > _REGULAR * len(steps)


def _count(numbers: Sequence[int], evidence: str) -> AnswerIntegrity:
    """Return the integrity of numbered events; only gaps between them count as losses."""
    seen: set[int] = set()
    duplicated: list[int] = []
    reordered: list[int] = []
    highest = numbers[0] - 1
    for number in numbers:
        if number in seen:
            duplicated.append(number)
        elif number < highest:
            reordered.append(number)
        seen.add(number)
        highest = max(highest, number)
    low = min(seen)
    missing = highest - low + 1 - len(seen)
    first = next((n for n in range(low, highest) if n not in seen), None) if missing else None
    return AnswerIntegrity(
        evidence,
        received=len(seen),
        lost=missing,
        duplicated=len(duplicated),
        reordered=len(reordered),
        first=_places(
            lost=first,
            duplicated=duplicated[0] if duplicated else None,
            reordered=reordered[0] if reordered else None,
        ),
    )


def _from_events(contents: Sequence[TimedEvent]) -> AnswerIntegrity:
    """Return the repetitions among events without a number."""
    plain = AnswerIntegrity("events", received=len(contents))
    if len(contents) < _FEW:
        return plain
    repeats = _doubled(contents) or _repeated_at_once(contents)
    if not repeats:
        return plain
    return replace(
        plain,
        received=len(contents) - len(repeats),
        duplicated=len(repeats),
        first=_places(duplicated=repeats[0]),
    )


def _doubled(contents: Sequence[TimedEvent]) -> list[int]:
    """Return the second event of each pair, if all events are equal in pairs."""
    runs = [len(list(run)) for _, run in groupby(contents, key=_content)]
    texts = {_content(item) for item in contents}
    if len(texts) < _MANY_REPEATS or any(length % 2 for length in runs):
        return []
    return list(range(1, len(contents), 2))


def _repeated_at_once(contents: Sequence[TimedEvent]) -> list[int]:
    """Return events that equal the previous one and arrived with it, unlike all other events."""
    pairs = [(b.at_ns - a.at_ns, _content(a) == _content(b)) for a, b in pairwise(contents)]
    together = _TOGETHER * median([gap for gap, _ in pairs])
    near = [(index, same) for index, (gap, same) in enumerate(pairs, 1) if gap < together]
    far = [same for gap, same in pairs if gap >= together]
    equal = [index for index, same in near if same]
    if len(equal) < _FEW_REPEATS or len(equal) <= 0.8 * len(near):
        return []
    # A model that repeats itself also does so in events that arrive one by one.
    return equal if sum(far) <= 0.1 * len(far) else []


def _content(item: TimedEvent) -> object:
    return item.text, None if item.meaning is None else repr(item.meaning.payload)


def _final_text_differs(reading: Reading) -> bool:
    """Return whether the deltas of the responses API differ from the text in its final event."""
    deltas, finals = [], []
    for item in reading.items:
        payload = mapping(item.meaning.payload) if item.meaning is not None else {}
        if payload.get("type") == "response.output_text.delta":
            deltas.append(item.text)
        elif payload.get("type") == "response.output_text.done":
            finals.append(str(payload.get("text")))
    return bool(deltas and finals) and "".join(deltas) != "".join(finals)


def _with_torn(found: AnswerIntegrity, reading: Reading, text: str) -> AnswerIntegrity:
    head = reading.exchange.head
    kind = (head.get("content-type") or "").lower() if head else ""
    coded = "charset=" in kind and "utf-8" not in kind and "utf8" not in kind
    if coded or _NAMED.search(text):
        return found
    places = list(_TORN.finditer(_QUOTED.sub("", text)))
    if not places:
        return found
    start = places[0].start()
    near = _TORN.sub(REPLACEMENT, text[max(0, start - 8) : start + 9])
    first = (*found.first, ("torn", f"near {near.strip()!r}"))
    return replace(found, torn=len(places), first=first)


def _places(**numbers: int | None) -> tuple[tuple[str, str], ...]:
    return tuple((kind, f"event {n}") for kind, n in numbers.items() if n is not None)
