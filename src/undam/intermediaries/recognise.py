"""A response head in, the intermediaries that signed it out. A guess is no recognition."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from undam.intermediaries.intermediary import Intermediary, Sign
from undam.intermediaries.registry import INTERMEDIARIES, intermediary
from undam.record import Head

# A signature is short; what comes after this much of a value is not looked at.
_VALUE_CHARS = 2048
# RFC 9110 sets no bound on Via; a real path has a handful of hops.
_VIA_ELEMENTS = 64

_OUTERMOST = {"cdn": 0, "cloud": 1, "proxy": 2, "framework": 3}


def recognise(head: Head) -> tuple[str, ...]:
    """Names of the intermediaries whose signature ``head`` bears, outermost first.

    Via tells the order of those that sign it (RFC 9110, 7.6.3: each appends itself). Otherwise a
    CDN stands outside a cloud's edge, that outside a proxy, that outside a framework; of two of
    one kind, the one whose name is in Server comes first, since it replaced the other's.

    An origin's own name (``Server: uvicorn``) gives nothing, and neither do intermediaries that
    leave no mark: an empty answer does not mean that there is none.
    """
    seen: dict[str, bool] = {}
    by_via: list[str] = []
    for header, value in _marks(head):
        for sign, pattern, name in _signs_of(header):
            if not pattern.search(value):
                continue
            seen[name] = seen.get(name, False) or sign.certain
            if header == "via" and name not in by_via:
                by_via.append(name)
    found = [intermediary(name) for name in seen]
    inside = {outer.built_on for outer in found}
    kept = [known for known in found if seen[known.name] or known.name not in inside]
    return _in_order(kept, by_via)


def _marks(head: Head) -> Iterator[tuple[str, str]]:
    """(lower-case header, value) in the order in which they tell of the outermost hop."""
    for value in reversed(head.all("server")):
        yield "server", value[:_VALUE_CHARS]
    elements: list[str] = []
    for value in reversed(head.all("via")):
        # From the right: the last element is the outermost hop's.
        elements += reversed(value[-_VALUE_CHARS:].split(","))
        if len(elements) >= _VIA_ELEMENTS:
            break
    for element in elements[:_VIA_ELEMENTS]:
        yield "via", element.strip()
    for name, value in reversed(head.headers):
        header = name.lower()
        if header not in ("server", "via"):
            yield header, value[:_VALUE_CHARS]


@cache
def _sign_table() -> dict[str, tuple[tuple[Sign, re.Pattern[str], str], ...]]:
    """All signs by header. Built at the first use, so that an import compiles nothing."""
    table: dict[str, tuple[tuple[Sign, re.Pattern[str], str], ...]] = {}
    for known in INTERMEDIARIES:
        for sign in known.signs:
            entry = (sign, re.compile(sign.pattern, re.IGNORECASE), known.name)
            table[sign.header] = (*table.get(sign.header, ()), entry)
    return table


def _signs_of(header: str) -> tuple[tuple[Sign, re.Pattern[str], str], ...]:
    return _sign_table().get(header, ())


def _in_order(kept: list[Intermediary], by_via: list[str]) -> tuple[str, ...]:
    """Sort by where each usually stands, then put those that signed Via into Via's own order."""
    names = [known.name for known in sorted(kept, key=lambda known: _OUTERMOST[known.kind])]
    told = iter([name for name in by_via if name in names])
    return tuple(next(told) if name in by_via else name for name in names)
