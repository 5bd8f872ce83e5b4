"""Readers of workload files in the formats of other tools. No I/O.

- ShareGPT: conversations as a JSON array, or one per line. Each human turn becomes a request with
  the turns before it as history, including the recorded answers.
- A JSON array of objects in the form of `prompts.read_prompts`.
- Mooncake: JSON lines with `timestamp` (milliseconds), `input_length`, `output_length` and
  `hash_ids`. Requests with the same leading IDs have the same beginning.
- Azure LLM inference traces and BurstGPT: CSV with times and token counts.
- OpenTelemetry: spans with `gen_ai` attributes, as OTLP JSON or one span per line. Other spans are
  ignored.

Traces have token counts instead of texts, so their prompts are generated. Their length in words is
estimated from the number of tokens.
"""

from __future__ import annotations

import contextlib
import csv
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from itertools import chain
from typing import Any

from undam.apis.meaning import mapping, sequence, text
from undam.errors import ConfigSyntaxError, UsageError
from undam.loadtest.setup.prompts import Prompt, in_order, read_prompts
from undam.loadtest.setup.synthetic_prompts import random_words
from undam.loadtest.setup.unique import PLACEHOLDER, RUN_PLACEHOLDER

# English text has about four tokens per three words.
_WORDS_PER_TOKEN = 0.75
# Number of tokens for each entry of `hash_ids` in Mooncake traces.
_BLOCK_TOKENS = 512
_MAX_TOKENS = 2_000_000
_NS_PER_MS, _NS_PER_S = 1_000_000, 1_000_000_000

_AZURE = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
_BURSTGPT = ("Timestamp", "Request tokens", "Response tokens")
# Number of blocks of text to keep, about 30 MB. Requests of a trace often share their blocks.
_KEPT_BLOCKS = 8192


def read_workload(lines: Iterable[str], path: str) -> list[Prompt]:
    """Read the requests from a file in any of the formats; see also `prompts.read_prompts`.

    Raises:
        ConfigSyntaxError: a line is invalid.
        UsageError: the file contains no requests.
    """
    rest = iter(lines)
    first = next((line for line in rest if line.strip("\ufeff \t\r\n")), "").lstrip("\ufeff")
    lines = chain([first], rest)
    start = first.lstrip(" \t")
    if start.startswith("["):
        items = sequence(_whole_json(lines, path))
        if items and not any(isinstance(mapping(one).get("conversations"), list) for one in items):
            return _read_items(items, path)
        prompts = [found for n, one in enumerate(items) for found in _share_gpt(one, n)]
    elif start.strip() == "{":
        return read_workload([json.dumps(_whole_json(lines, path))], path)
    elif "," in start and not start.startswith("{"):
        prompts = list(_csv_trace(chain([start], rest), path))
    elif '"hash_ids"' in first or '"input_length"' in first:
        prompts = list(_mooncake(lines, path))
    elif '"conversations"' in first:
        prompts = [found for n, one in _rows(lines, path) for found in _share_gpt(one, n)]
    elif '"resourceSpans"' in first or _is_span(first):
        prompts = list(_spans(lines, path))
    else:
        return read_prompts(lines, path)
    if not prompts:
        raise UsageError(f"{path}: the file contains no requests")
    return in_order(prompts, path)


def _read_items(items: Sequence[object], path: str) -> list[Prompt]:
    try:
        return read_prompts(map(json.dumps, items), path)
    except ConfigSyntaxError as error:
        message = str(error).partition(": ")[2]
        raise UsageError(f"{path}: item {error.line} of the array: {message}") from None


def _whole_json(lines: Iterable[str], path: str, first: int = 1) -> Any:
    try:
        return json.loads("".join(lines))
    except json.JSONDecodeError as error:
        raise ConfigSyntaxError(
            f"not valid JSON: {error.msg}",
            path=path,
            line=first + error.lineno - 1,
            column=error.colno,
        ) from None
    except (ValueError, RecursionError) as error:
        message = f"not valid JSON: {error}"
        raise ConfigSyntaxError(message, path=path, line=first, column=1) from None


def _rows(lines: Iterable[str], path: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    for number, line in enumerate(lines, 1):
        if line.strip():
            row = _whole_json([line], path, number)
            if not isinstance(row, dict):
                message = "expected an object in each line"
                raise ConfigSyntaxError(message, path=path, line=number, column=1)
            yield number, row


def _share_gpt(conversation: object, number: int) -> Iterator[Prompt]:
    roles = {"human": "user", "user": "user", "system": "system", **dict.fromkeys(
        ("gpt", "assistant", "chatgpt", "bing", "bard", "model"), "assistant")}  # fmt: skip
    history: list[dict[str, object]] = []
    for turn in map(mapping, sequence(mapping(conversation).get("conversations"))):
        role = roles.get(text(turn.get("from")) or text(turn.get("role")))
        content = text(turn.get("value")) or text(turn.get("content"))
        if role is None or not content:
            continue
        history.append({"role": role, "content": content})
        if role == "user":
            yield Prompt(messages=tuple(history), session=number)


def _mooncake(lines: Iterable[str], path: str) -> Iterator[Prompt]:
    for number, row in _rows(lines, path):
        tokens = _tokens(row.get("input_length"), path, number, "input_length")
        output = row.get("output_length")
        at_ms = row.get("timestamp")
        ids = [str(one) for one in sequence(row.get("hash_ids"))]
        yield Prompt(
            text=_blocks_text(ids, tokens) if ids else _unique_text(tokens, number),
            max_tokens=_max_tokens(output, path, number, "output_length"),
            at_ns=None if at_ms is None else _time(at_ms, path, number, _NS_PER_MS),
        )


def _blocks_text(ids: Sequence[str], tokens: int) -> str:
    """Return a run placeholder and a block of words for each ID; equal IDs give equal blocks."""
    words, left = [RUN_PLACEHOLDER], round(tokens * _WORDS_PER_TOKEN) - 1
    for block in ids:
        count = min(left, round(_BLOCK_TOKENS * _WORDS_PER_TOKEN))
        words += _block_words(block)[: max(0, count)]
        left -= count
        if left <= 0:
            break
    return " ".join(words)


@lru_cache(maxsize=_KEPT_BLOCKS)
def _block_words(block: str) -> list[str]:
    rng = random.Random(f"block {block}")  # noqa: S311 (text, not a secret)
    return random_words(rng, round(_BLOCK_TOKENS * _WORDS_PER_TOKEN))


def _unique_text(tokens: int, number: int) -> str:
    count = max(0, round(tokens * _WORDS_PER_TOKEN) - 1)
    rng = random.Random(f"trace {number}")  # noqa: S311 (text, not a secret)
    return " ".join([PLACEHOLDER, *random_words(rng, count)])


def _csv_trace(lines: Iterable[str], path: str) -> Iterator[Prompt]:
    reader = csv.DictReader(lines)
    names = tuple(reader.fieldnames or ())
    if set(_AZURE) <= set(names):
        at, prompt, output = _AZURE
    elif set(_BURSTGPT) <= set(names):
        at, prompt, output = _BURSTGPT
    else:
        raise UsageError(
            f"{path}: a CSV trace needs the columns {', '.join(_AZURE)} (Azure) or "
            f"{', '.join(_BURSTGPT)} (BurstGPT)"
        )
    for number, row in enumerate(reader, 2):
        tokens = _tokens(row[prompt], path, number, prompt)
        at_ns = _csv_time(row[at], path, number)
        yield Prompt(
            text=_unique_text(tokens, number),
            max_tokens=max(1, _tokens(row[output], path, number, output)),
            at_ns=at_ns,
        )


def _csv_time(value: str | None, path: str, number: int) -> int:
    with contextlib.suppress(ValueError, OverflowError):
        return round(float(value or "") * _NS_PER_S)
    try:
        # Times in Azure traces have seven decimal places, but Python accepts at most six.
        whole, _, fraction = (value or "").strip().partition(".")
        at = datetime.fromisoformat(whole).replace(tzinfo=UTC)
        digits = "".join(c for c in fraction if c.isdigit())[:9].ljust(9, "0")
        return round(at.timestamp()) * _NS_PER_S + int(digits)
    except ValueError:
        message = f"{value!r} is not a time"
        raise ConfigSyntaxError(message, path=path, line=number, column=1) from None


def _is_span(line: str) -> bool:
    return '"attributes"' in line and ("startTimeUnixNano" in line or "start_time" in line)


def _spans(lines: Iterable[str], path: str) -> Iterator[Prompt]:
    for number, row in _rows(lines, path):
        for span in _spans_in(row):
            attributes = _attributes(span.get("attributes"))
            tokens = attributes.get("gen_ai.usage.input_tokens")
            if tokens is None:
                continue
            output = attributes.get("gen_ai.usage.output_tokens")
            start = span.get("startTimeUnixNano") or span.get("start_time")
            yield Prompt(
                text=_unique_text(_tokens(tokens, path, number, "input_tokens"), number),
                max_tokens=_max_tokens(output, path, number, "output_tokens"),
                at_ns=_span_time(start, path, number),
            )


def _spans_in(row: Mapping[str, object]) -> Iterator[Mapping[str, object]]:
    if "resourceSpans" not in row:
        yield row
        return
    for resource in map(mapping, sequence(row["resourceSpans"])):
        for scope in map(mapping, sequence(resource.get("scopeSpans"))):
            yield from map(mapping, sequence(scope.get("spans")))


def _attributes(value: object) -> Mapping[str, object]:
    """Parse attributes from an object, or from OTLP's list of keys and typed values."""
    if isinstance(value, dict):
        return value
    pairs = map(mapping, sequence(value))
    return {text(one.get("key")): next(iter(mapping(one.get("value")).values()), None)
            for one in pairs}  # fmt: skip


def _span_time(value: object, path: str, number: int) -> int:
    if isinstance(value, str) and not value.isdigit():
        return _csv_time(value.rstrip("Z").replace("T", " "), path, number)
    return _time(int(value) if isinstance(value, str) else value, path, number, 1)


def _time(value: object, path: str, number: int, unit: int) -> int:
    if type(value) not in {int, float} or not 0 <= value < 1e20:  # type: ignore[operator]
        raise ConfigSyntaxError(f"{value!r} is not a time", path=path, line=number, column=1)
    return round(value * unit)  # type: ignore[operator]


def _max_tokens(value: object, path: str, number: int, name: str) -> int | None:
    return None if value is None else max(1, _tokens(value, path, number, name))


def _tokens(value: object, path: str, number: int, name: str) -> int:
    try:
        tokens = int(value)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        tokens = -1
    if not 0 <= tokens <= _MAX_TOKENS:
        message = f"{name} must be a number of tokens, not {value!r}"
        raise ConfigSyntaxError(message, path=path, line=number, column=1)
    return int(tokens)
