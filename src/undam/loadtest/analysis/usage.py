"""Token counts from usage data, except completion tokens, and detection of reasoning. No I/O."""

from __future__ import annotations

from typing import NamedTuple

from undam.apis.meaning import Meaning, count, mapping, sequence, text

# Objects in an event that can contain `usage`: the event itself, the response object of the
# responses API, and the message object of Anthropic's API.
_OWNERS = ("response", "message")
_REASONING_KEYS = ("reasoning_content", "reasoning", "reasoning_details")


class PromptUsage(NamedTuple):
    """Token counts in an event, except completion tokens; ``None`` for an absent count.

    Attributes:
        prompt: tokens of the prompt, including cached ones.
        cached: tokens of the prompt that came from the server's prefix cache.
        reasoning: completion tokens spent on reasoning.
    """

    prompt: int | None = None
    cached: int | None = None
    reasoning: int | None = None

    def updated(self, newer: PromptUsage) -> PromptUsage:
        """Return a copy in which each count that ``newer`` contains replaces the old count."""
        pairs = zip(self, newer, strict=True)
        return PromptUsage(*(old if new is None else new for old, new in pairs))


NO_USAGE = PromptUsage()


def usage_of(meaning: Meaning) -> PromptUsage:
    """Return the prompt, cached and reasoning tokens that an event reports."""
    payload = mapping(meaning.payload)
    usage = mapping(payload.get("usage"))
    for owner in _OWNERS:
        usage = usage or mapping(mapping(payload.get(owner)).get("usage"))
    if not usage:
        return NO_USAGE
    prompt = _first_count(usage, "prompt_tokens", "input_tokens")
    cached = _first_count(usage, "cache_read_input_tokens", "prompt_cache_hit_tokens")
    for details in ("prompt_tokens_details", "input_tokens_details"):
        if cached is None:
            cached = count(mapping(usage.get(details)).get("cached_tokens"))
    if "cache_read_input_tokens" in usage and prompt is not None:
        # Anthropic's input_tokens exclude the tokens that were read from or written to the cache.
        written = count(usage.get("cache_creation_input_tokens")) or 0
        prompt += (cached or 0) + written
    reasoning = None
    for details in ("completion_tokens_details", "output_tokens_details"):
        if reasoning is None:
            reasoning = count(mapping(usage.get(details)).get("reasoning_tokens"))
    return PromptUsage(prompt, cached, reasoning)


def _first_count(usage: object, *names: str) -> int | None:
    found = (count(mapping(usage).get(name)) for name in names)
    return next((value for value in found if value is not None), None)


def is_reasoning(meaning: Meaning) -> bool:
    """Return whether the content of an event is only reasoning, not part of the answer."""
    payload = mapping(meaning.payload)
    kind = text(payload.get("type"))
    if kind.startswith("response."):
        return "reasoning" in kind
    if kind:
        return text(mapping(payload.get("delta")).get("type")) == "thinking_delta"
    message = mapping(payload.get("message")) or payload
    if message.get("thinking"):  # Ollama
        return not any(map(message.get, ("content", "response", "tool_calls")))
    deltas = [mapping(mapping(one).get("delta")) for one in sequence(payload.get("choices"))]
    return any(delta.get(key) for delta in deltas for key in _REASONING_KEYS) and not any(
        delta.get("content") or delta.get("tool_calls") for delta in deltas
    )
