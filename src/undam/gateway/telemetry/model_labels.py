"""Which models have series of their own. Pure: no clock. A client that makes up names gets
neither memory here nor series in the database that scrapes."""

from __future__ import annotations

from collections.abc import Callable

OTHER = "other"
"""The model that stands for all without series of their own."""

_LABEL_BYTES = 96


def clean_label(text: str) -> str:
    """``text`` as a label's value: printable, valid UTF-8 and short, whatever a client sent."""
    if len(text) > _LABEL_BYTES or not (text.isascii() and text.isprintable()):
        text = "".join(one if one.isprintable() else "\ufffd" for one in text[:_LABEL_BYTES])
        return text.encode("utf-8", "replace")[:_LABEL_BYTES].decode("utf-8", "ignore")
    return text


class ModelLabels:
    """A label for each model that has answered, and `OTHER` for the rest.

    Args:
        drop: called with a label whose series are to be given up.
        most: labels at any time.
        idle_s: only one that was not asked for so long loses its place; so ``most`` new ones in
            that time is what an upstream that answers to any name can be made to cause.
    """

    def __init__(
        self, drop: Callable[[str], None], *, most: int = 64, idle_s: float = 3600.0
    ) -> None:
        self._drop = drop
        self._most = most
        self._idle_s = idle_s
        self._used_at: dict[str, float] = {}
        self._in_flight: dict[str, int] = {}

    def adopt(self, label: str) -> None:
        """It has series from an earlier process; first to go where another needs the place."""
        if label and label != OTHER:
            self._used_at.setdefault(label, -self._idle_s)
            self._in_flight.setdefault(label, 0)

    def known(self, model: str) -> str:
        """The label of ``model`` if it has one."""
        label = clean_label(model)
        return label if not label or label in self._used_at else OTHER

    def take(self, model: str, now_s: float) -> str:
        """The label of ``model``, which has answered; given back with ``release``."""
        label = clean_label(model)
        if not label or label == OTHER:
            return label
        if label not in self._used_at and not self._has_room(now_s):
            return OTHER
        self._used_at.pop(label, None)  # the one used last stands last
        self._used_at[label] = now_s
        self._in_flight[label] = self._in_flight.get(label, 0) + 1
        return label

    def release(self, label: str) -> None:
        """A stream that took ``label`` is over."""
        if label in self._in_flight:
            self._in_flight[label] -= 1

    def _has_room(self, now_s: float) -> bool:
        if len(self._used_at) < self._most:
            return True
        oldest, used_at = next(iter(self._used_at.items()))
        if now_s - used_at < self._idle_s or self._in_flight[oldest]:
            return False
        del self._used_at[oldest], self._in_flight[oldest]
        self._drop(oldest)
        return True
