"""Findings about the engine: how many tokens it puts into one event."""

from __future__ import annotations

from undam.diagnosis.hop import Hop
from undam.findings import Finding, Fix, finding

# A token is about four characters of English; twelve and more on average is no single token.
_CHARS_PER_TOKEN = 4.0
_MANY_CHARS = 12.0
_MANY_TOKENS = 1.8
_MIN_EVENTS = 8

_FIX = Fix("engine", "--stream-interval 1   (vLLM, SGLang; stream_interval in TensorRT-LLM's YAML)")


def find_packed_tokens(hop: Hop) -> list[Finding]:
    """Several tokens per event, told by the usage that the server sent or by their length."""
    contents = hop.reading.contents
    if len(contents) < _MIN_EVENTS or not hop.reading.api.announces_end:
        return []
    told = [s.meaning.tokens for s in hop.reading.seen if s.meaning and s.meaning.tokens]
    if told:
        per_event = told[-1] / len(contents)
        if per_event < _MANY_TOKENS:
            return []
        return [_packed(hop, per_event, "usage")]
    chars = sum(len(item.text) for item in contents) / len(contents)
    if chars < _MANY_CHARS:
        return []
    return [_packed(hop, chars / _CHARS_PER_TOKEN, "length of the text")]


def _packed(hop: Hop, per_event: float, source: str) -> Finding:
    return finding(
        "UD501", hop.name, fix=_FIX, tokens_per_event=round(per_event, 1), told_by=source
    )
