"""Limit on the number of models that have their own metric series. No I/O and no clock.

Clients that invent model names therefore cannot exhaust memory here, or series in the monitoring
system.
"""

from __future__ import annotations

from collections.abc import Callable

OTHER = "other"
"""Label of all models without their own series."""

_LABEL_BYTES = 96


def clean_label(text: str) -> str:
    """Return ``text`` as a printable, valid and short label value."""
    if len(text) > _LABEL_BYTES or not (text.isascii() and text.isprintable()):
        text = "".join(one if one.isprintable() else "\ufffd" for one in text[:_LABEL_BYTES])
        return text.encode("utf-8", "replace")[:_LABEL_BYTES].decode("utf-8", "ignore")
    return text


class ModelLabels:
    """Labels for models that returned content, and `OTHER` for all other models.

    Args:
        drop: called with a label whose series must be removed.
        max_labels: maximum number of labels.
        idle_s: time for which a label must be unused before another one may replace it. Even an
            upstream that accepts any name therefore creates at most ``max_labels`` labels in this
            time.
    """

    def __init__(
        self, drop: Callable[[str], None], *, max_labels: int = 64, idle_s: float = 3600.0
    ) -> None:
        self._drop = drop
        self._max_labels = max_labels
        self._idle_s = idle_s
        self._used_at: dict[str, float] = {}
        self._in_flight: dict[str, int] = {}

    def adopt(self, label: str) -> None:
        """Register a label from an earlier process. It is replaced before newer labels."""
        if label and label != OTHER:
            self._used_at.setdefault(label, -self._idle_s)
            self._in_flight.setdefault(label, 0)

    def known(self, model: str) -> str:
        """Return the label of ``model``, or `OTHER` if it has none."""
        label = clean_label(model)
        return label if not label or label in self._used_at else OTHER

    def acquire(self, model: str, now_s: float) -> str:
        """Return the label of a model that returned content. Call `release` afterwards."""
        label = clean_label(model)
        if not label or label == OTHER:
            return label
        if label not in self._used_at and not self._make_space(now_s):
            return OTHER
        self._used_at.pop(label, None)  # Keep the dictionary in order of last use.
        self._used_at[label] = now_s
        self._in_flight[label] = self._in_flight.get(label, 0) + 1
        return label

    def release(self, label: str) -> None:
        """End a stream for which ``label`` was acquired."""
        if label in self._in_flight:
            self._in_flight[label] -= 1

    def _make_space(self, now_s: float) -> bool:
        if len(self._used_at) < self._max_labels:
            return True
        oldest, used_at = next(iter(self._used_at.items()))
        if now_s - used_at < self._idle_s or self._in_flight[oldest]:
            return False
        del self._used_at[oldest], self._in_flight[oldest]
        self._drop(oldest)
        return True
