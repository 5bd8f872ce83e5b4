"""CSV output of a load test: one row for each request."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

from undam.record import RequestResult

COLUMNS = (
    "number", "worker", "warmup", "outcome", "failure", "status", "intended_s", "send_delay_ms",
    "ttft_ms", "first_answer_ms", "tpot_ms", "e2e_ms", "events", "tokens", "prompt_tokens",
    "cached_tokens", "reasoning_tokens", "body_bytes",
    "session", "turn",
)  # fmt: skip


def csv_row(one: RequestResult) -> tuple[object, ...]:
    """Return the CSV row for a request; missing values are empty."""
    answer_ns = None if one.answer_ns is None else one.answer_ns - one.intended_ns
    return (
        one.number, one.worker, int(one.warmup), one.outcome.value, one.kind, one.status,
        f"{one.intended_ns / 1e9:.6f}", _ms(one.send_delay_ns), _ms(one.ttft_ns), _ms(answer_ns),
        _ms(one.tpot_ns), _ms(one.ended_ns - one.intended_ns), one.events, one.tokens,
        one.prompt_tokens, one.cached_tokens, one.reasoning_tokens, one.body_bytes,
        one.session, one.turn,
    )  # fmt: skip


def csv_lines(rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Yield the header row, then one row per request in the order of request numbers."""
    for row in (COLUMNS, *sorted(rows, key=lambda row: row[:2])):  # type: ignore[arg-type, return-value]
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerow(row)
        yield out.getvalue()


def _ms(ns: int | None) -> str | None:
    return None if ns is None else f"{ns / 1e6:.6f}"
