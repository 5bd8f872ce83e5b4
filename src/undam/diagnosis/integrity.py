"""Comparison of what arrived with what was sent: lost, repeated, reordered and altered events.

The evidence is, in this order: the numbered text of a beacon, the stamps of a beacon, the sequence
numbers of the API or of the event IDs, and the events themselves. Only the first is complete. The
others ignore faults that could also be the model's own text.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from itertools import groupby, pairwise

from undam.apis import CHAT, COMPLETIONS, MESSAGES, Kind
from undam.apis.meaning import count, mapping, sequence
from undam.apis.meaning import text as text_of
from undam.diagnosis.numbering import (
    FEW,
    AnswerIntegrity,
    count_gaps,
    count_ids,
    count_numbers,
    count_pieces,
    find_misread,
    find_torn,
    join_texts,
    places_of,
)
from undam.diagnosis.reading import Reading, TimedEvent, added_texts
from undam.record import Ending
from undam.timing import median
from undam.timing.numbered_text import fragments_in, pieces_in

# Maximum number of compared events. The comparison takes quadratic time.
_MAX_COMPARED = 2000
_ALIKE = 0.8
# Events that a hop repeats arrive together, while a token that a model repeats takes its usual
# time.
_TOGETHER = 0.1
_FEW_REPEATS = 2
_MANY_REPEATS = 4
# An answer has at least this many events with its ID, and a stream has at most as many answers.
# Some servers send a new ID with each event.
_FEW_OF_ANSWER = 3

UNKNOWN = AnswerIntegrity("events")
"""AnswerIntegrity of an answer that was not analyzed."""


def analyze_integrity(reading: Reading) -> AnswerIntegrity:
    """Return the integrity of the answer in ``reading``, from the best available evidence."""
    contents = reading.contents
    text = join_texts(added_texts(contents))
    if pieces := list(pieces_in(text)):
        return count_pieces(pieces, fragments_in(text), cut=_is_cut(reading))
    found = _from_numbers(reading) or _from_events(contents)
    if found.evidence == "events" and _final_text_differs(reading):
        place = ("altered", "the text in the final event")
        found = replace(found, altered=1, first=(*found.first, place))
    misread, text_place = find_misread([item.shown for item in contents])
    if misread and found.is_intact:
        first = (("altered", text_place),)
        found = replace(found, evidence="events", altered=misread, first=first)
    if reading.choices > 1:
        text = join_texts(item.shown for item in sorted(contents, key=_choice_of))
    return _with_torn(_with_mixed(found, reading), reading, text)


def compare_answers(inner: Reading, outer: Reading) -> AnswerIntegrity | None:
    """Compare the answers of two hops to the same prompt, event by event.

    Returns:
        ``None`` if they differ by more than lost, repeated or reordered events: the model may
        have generated another text, or the hop may divide it differently.
    """
    sent_at, sent = _texts_by_choice(inner)
    got_at, got = _texts_by_choice(outer)
    if min(len(sent), len(got)) < FEW or max(len(sent), len(got)) > _MAX_COMPARED:
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
        first=places_of(
            lost=sent_at[lost[0][0]] if lost else None,
            duplicated=got_at[duplicated[0]] if duplicated else None,
            reordered=got_at[added[0][0]] if added else None,
        ),
    )


def _texts_by_choice(reading: Reading) -> tuple[list[int], list[str]]:
    """Return the numbers and texts of the events, one parallel answer after the other.

    A server may send the events of one step in any order.
    """
    ordered = sorted(enumerate(reading.contents), key=lambda pair: _choice_of(pair[1]))
    return [number for number, _ in ordered], [item.text for _, item in ordered]


def _choice_of(item: TimedEvent) -> int:
    payload = mapping(item.meaning.payload) if item.meaning is not None else {}
    first = mapping(next(iter(sequence(payload.get("choices"))), None))
    return count(first.get("index")) or 0


def _is_cut(reading: Reading) -> bool:
    """Return whether another finding already reports the missing end of the answer."""
    ended = reading.exchange.ending in {Ending.COMPLETE, Ending.CLOSED}
    return not ended or not (reading.announced_end or not reading.api.announces_end)


def _from_numbers(reading: Reading) -> AnswerIntegrity | None:
    contents = reading.contents
    stamps = [item.due.seq for item in contents if item.due is not None]
    if len(stamps) > 1:
        return count_gaps(stamps, "stamps")
    events = [item for item in reading.items if item.meaning is not None]
    numbers = [_sequence_number(item, reading.api.name) for item in events]
    known = [number for number in numbers if number is not None]
    return count_numbers(known, "sequence-numbers") or count_ids(
        [(item.id, item.meaning) for item in events]
    )


def _sequence_number(item: TimedEvent, api: str) -> int | None:
    assert item.meaning is not None
    payload = mapping(item.meaning.payload)
    number = payload.get("sequence_number")
    if number is None and api == "tgi":
        number = payload.get("index")
    return number if type(number) is int else None


def _from_events(contents: Sequence[TimedEvent]) -> AnswerIntegrity:
    """Return the repeated events among events without numbers."""
    plain = AnswerIntegrity("events", received=len(contents))
    if len(contents) < FEW:
        return plain
    repeats = _doubled(contents) or _repeated_at_once(contents)
    if not repeats:
        return plain
    return replace(
        plain,
        received=len(contents) - len(repeats),
        duplicated=len(repeats),
        first=places_of(duplicated=repeats[0]),
    )


def _doubled(contents: Sequence[TimedEvent]) -> list[int]:
    """Return the second event of each pair if the answer consists of pairs of equal events."""
    runs = [len(list(run)) for _, run in groupby(contents, key=_content)]
    texts = {_content(item) for item in contents}
    if len(texts) < _MANY_REPEATS or any(length % 2 for length in runs):
        return []
    return list(range(1, len(contents), 2))


def _repeated_at_once(contents: Sequence[TimedEvent]) -> list[int]:
    """Return the repeated events, if only events that arrived together are equal."""
    pairs = [(b.at_ns - a.at_ns, _content(a) == _content(b)) for a, b in pairwise(contents)]
    together = _TOGETHER * median([gap for gap, _ in pairs])
    near = [(index, same) for index, (gap, same) in enumerate(pairs, 1) if gap < together]
    far = [same for gap, same in pairs if gap >= together]
    equal = [index for index, same in near if same]
    if len(equal) < _FEW_REPEATS or len(equal) <= 0.8 * len(near):
        return []
    # If the model repeated itself, events that arrived one by one would be equal as well.
    return equal if sum(far) <= 0.1 * len(far) else []


def _content(item: TimedEvent) -> object:
    return item.text, None if item.meaning is None else repr(item.meaning.payload)


_PREFIXES_WITH_FINAL = ("response.output_text", "transcript.text")


def _final_text_differs(reading: Reading) -> bool:
    """Return whether the deltas of a text differ from the text in its final event.

    An answer has several texts if the model writes several messages.
    """
    deltas: dict[object, list[str]] = {}
    finals: dict[object, str] = {}
    for item in reading.items:
        payload = mapping(item.meaning.payload) if item.meaning is not None else {}
        prefix, _, suffix = str(payload.get("type")).rpartition(".")
        if prefix not in _PREFIXES_WITH_FINAL:
            continue
        place = str(payload.get("item_id")), str(payload.get("content_index"))
        if suffix == "delta":
            deltas.setdefault(place, []).append(item.text)
        elif suffix == "done":
            finals[place] = str(payload.get("text"))
    return any("".join(deltas[place]) != finals[place] for place in deltas.keys() & finals.keys())


def _with_mixed(found: AnswerIntegrity, reading: Reading) -> AnswerIntegrity:
    """Return ``found`` with the events that belong to another answer.

    An agent may send several answers in one stream, with tool calls between them.
    """
    contents = reading.contents
    others = _after_end(reading) or _of_other_ids(reading)
    if not others:
        return found
    if any(item.meaning is not None and item.meaning.tool for item in contents[: others[0]]):
        return found
    return replace(found, mixed=len(others), first=(*found.first, *places_of(mixed=others[0])))


def _after_end(reading: Reading) -> list[int]:
    """Return the indices of the content events after the end marker of the API."""
    if reading.api not in {CHAT, COMPLETIONS, MESSAGES}:
        return []
    ends = {Kind.FINISH} if reading.api is MESSAGES else {Kind.DONE}
    kinds = [item.meaning.kind for item in reading.items if item.meaning is not None]
    end = next((index for index, kind in enumerate(kinds) if kind in ends), len(kinds))
    before = kinds[:end].count(Kind.CONTENT)
    return list(range(before, len(reading.contents)))


def _of_other_ids(reading: Reading) -> list[int]:
    """Return the indices of the content events with another response ID than the first one."""
    if reading.api not in {CHAT, COMPLETIONS} or reading.choices > 1:
        return []
    ids = [
        text_of(mapping(item.meaning.payload).get("id")) if item.meaning is not None else ""
        for item in reading.contents
    ]
    known = Counter(one for one in ids if one)
    if not 1 < len(known) <= _FEW_OF_ANSWER or min(known.values()) < _FEW_OF_ANSWER:
        return []
    first = next(one for one in ids if one)
    return [index for index, one in enumerate(ids) if one not in {"", first}]


def _with_torn(found: AnswerIntegrity, reading: Reading, text: str) -> AnswerIntegrity:
    head = reading.exchange.head
    kind = (head.get("content-type") or "").lower() if head else ""
    coded = "charset=" in kind and "utf-8" not in kind and "utf8" not in kind
    places, near = (0, "") if coded else find_torn(text)
    if not places:
        return found
    return replace(found, torn=places, first=(*found.first, ("torn", near)))
