"""Detection of faults in the numbering and the text of an answer. No I/O.

`diagnosis.integrity` decides which evidence a stream has; load tests use it for each response.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from undam.timing.numbered_text import NumberedPiece

REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

# With fewer events, event numbers cannot be distinguished from other integers.
FEW = 8
# A numbering is regular if most steps are +1. It is then recognised even if a hop loses half of the
# events.
_REGULAR = 0.5
TORN = re.compile("[\N{REPLACEMENT CHARACTER}\ud800-\udfff]+")
# A text about the replacement character quotes or names it. Such a text is not damaged.
_QUOTED = re.compile(
    "[\"'`(\\[\u00ab\u2018\u201c]\N{REPLACEMENT CHARACTER}[\"'`)\\]\u00bb\u2019\u201d]"
)
_NAMED = re.compile(r"(?i)U\+FFFD|replacement character")
_SPECIAL = re.compile("[^\0-\x7f]+")
_FEW_MISREAD = 4
_NUMBER = re.compile(r"(.*?)(\d{1,18})")


@dataclass(frozen=True, slots=True)
class AnswerIntegrity:
    """Faults of an answer: events that did not arrive as they were sent.

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
        """Return whether the evidence is sufficient to reveal every fault."""
        return self.evidence == "numbered-text"

    @property
    def is_intact(self) -> bool:
        """Return whether no fault was found."""
        return not self.faults

    @property
    def faults(self) -> int:
        """Return the number of faults, of all kinds together."""
        return self.lost + self.duplicated + self.reordered + self.altered + self.torn + self.mixed

    def first_of(self, kind: str) -> str:
        """Return the first place for a kind of fault; empty if that kind did not occur."""
        return dict(self.first).get(kind, "")


def count_pieces(pieces: Sequence[NumberedPiece], fragments: int, *, cut: bool) -> AnswerIntegrity:
    """Return the integrity of an answer with numbered text.

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
            fault = "torn" if TORN.search(piece.text) else "altered"
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
    # If a fragment of a piece arrived, the piece counts as altered, not as lost.
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
        first=places_of(lost=missing[0] if lost else None, **places),
    )


def count_numbers(numbers: Sequence[int], evidence: str) -> AnswerIntegrity | None:
    """Return the integrity of events with ascending sequence numbers, otherwise ``None``."""
    if len(numbers) < FEW or not _is_regular(numbers):
        return None
    return count_gaps(numbers, evidence)


def count_ids(events: Sequence[tuple[str, object]]) -> AnswerIntegrity | None:
    """Return the integrity of events with counted IDs, if each event has a different ID.

    Args:
        events: ID and content of each event.
    """
    matches = [_NUMBER.fullmatch(ident) for ident, _ in events]
    found = [(match[1], int(match[2])) for match in matches if match is not None]
    numbers = [number for _, number in found]
    own = len(set(numbers)) > 0.8 * len(events) and len({prefix for prefix, _ in found}) == 1
    if len(numbers) < FEW or not own or not _is_regular(numbers):
        return None
    # An event without an ID inherits the ID of the previous event. Equal IDs with different content
    # are therefore not repetitions.
    repeated = {
        index for index, (a, b) in enumerate(pairwise(events), 1) if a[0] == b[0] and a[1] != b[1]
    }
    kept = [n for index, n in enumerate(numbers) if index not in repeated]
    integrity = count_gaps(kept, "event-ids")
    # A reserved ID, such as 999 for the last event, is not part of the numbering.
    return integrity if integrity.lost <= integrity.received else None


def _is_regular(numbers: Sequence[int]) -> bool:
    steps = [b - a for a, b in pairwise(numbers)]
    return sum(step == 1 for step in steps) > _REGULAR * len(steps)


def count_gaps(numbers: Sequence[int], evidence: str) -> AnswerIntegrity:
    """Return the integrity of numbered events; only gaps inside the numbering count as losses."""
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
        first=places_of(
            lost=first,
            duplicated=duplicated[0] if duplicated else None,
            reordered=reordered[0] if reordered else None,
        ),
    )


def join_texts(texts: Iterable[str]) -> str:
    """Return the joined texts of events; surrogate pairs split between events are restored."""
    text = "".join(texts)
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return text


def find_torn(text: str) -> tuple[int, str]:
    """Return the number of damaged places in a text, and the text around the first of them."""
    if _NAMED.search(text):
        return 0, ""
    places = list(TORN.finditer(_QUOTED.sub("", text)))
    if not places:
        return 0, ""
    start = places[0].start()
    near = TORN.sub(REPLACEMENT, text[max(0, start - 8) : start + 9])
    return len(places), f"near {near.strip()!r}"


def find_misread(texts: Sequence[str]) -> tuple[int, str]:
    """Return the number of texts whose UTF-8 was decoded as Latin-1, and the first of them.

    Every run of special characters in the answer must form UTF-8 sequences if it is converted to
    bytes again. In other texts, at most a few runs do.
    """
    runs = _SPECIAL.findall("".join(texts))
    try:
        decoded = "".join(b"".join(map(_byte_of, run)).decode() for run in runs)
    except (UnicodeEncodeError, UnicodeDecodeError):
        return 0, ""
    if len(decoded) < _FEW_MISREAD:
        return 0, ""
    found = [text for text in texts if not text.isascii()]
    return len(found), f"the text {found[0].strip()[:20]!r}"


def _byte_of(character: str) -> bytes:
    """Return the byte that Latin-1 or its superset Windows-1252 decodes as ``character``."""
    return character.encode("latin-1" if character <= "\xff" else "cp1252")


def places_of(**numbers: int | None) -> tuple[tuple[str, str], ...]:
    """Return the first place for each kind of fault that occurred, as (kind, place)."""
    return tuple((kind, f"event {n}") for kind, n in numbers.items() if n is not None)
