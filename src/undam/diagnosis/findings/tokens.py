"""Findings about the engine: how many tokens it sends per event."""

from __future__ import annotations

import re

from undam.apis import Meaning
from undam.apis.meaning import count, mapping
from undam.diagnosis.hop import Hop
from undam.rules import Finding, Fix, finding
from undam.timing import median

# A token is about four characters of English, so events with twelve or more carry several tokens.
_CHARS_PER_TOKEN = 4.0
_MANY_CHARS = 12.0
_MANY_TOKENS = 1.8
_MIN_EVENTS = 8
_ENCODED = re.compile(r"[A-Za-z0-9+/=_-]{1000,}")

_FIX = Fix("engine", "--stream-interval 1   (vLLM, SGLang; stream_interval in TensorRT-LLM's YAML)")


def find_packed_tokens(hop: Hop) -> list[Finding]:
    """Return a finding if events carry several tokens, according to usage or text length."""
    contents = hop.reading.contents
    if len(contents) < _MIN_EVENTS or not hop.reading.api.announces_end or hop.integrity.is_exact:
        return []  # The pieces of a numbered text are longer than tokens.
    # The median ignores a single long event, such as tool arguments, among many short ones.
    chars = median([len(item.text) for item in contents])
    usage = [_sent_tokens(s.meaning) for s in hop.reading.items if s.meaning and s.meaning.tokens]
    if usage:
        per_event = usage[-1] / len(contents)
        if per_event < _MANY_TOKENS or chars <= _CHARS_PER_TOKEN:
            return []
        return [_packed(hop, per_event, "usage")]
    if chars < _MANY_CHARS or _is_encoded("".join(item.text for item in contents)):
        return []
    return [_packed(hop, chars / _CHARS_PER_TOKEN, "length of the text")]


def _is_encoded(text: str) -> bool:
    """Return whether a text is encoded audio or an image, whose length says nothing of tokens."""
    return _ENCODED.fullmatch(text) is not None


def _sent_tokens(meaning: Meaning) -> int:
    """Return the completion tokens without reasoning, whose text most servers do not send."""
    payload = mapping(meaning.payload)
    usage = mapping(mapping(payload.get("response")).get("usage") or payload.get("usage"))
    details = mapping(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    return (meaning.tokens or 0) - (count(details.get("reasoning_tokens")) or 0)


def _packed(hop: Hop, per_event: float, source: str) -> Finding:
    return finding(
        "UD501", hop.name, fix=_FIX, tokens_per_event=round(per_event, 1), told_by=source
    )
