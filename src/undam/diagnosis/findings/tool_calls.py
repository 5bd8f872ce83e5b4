"""Findings about tool calls whose arguments were collected and sent at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from undam.apis import CHAT, COMPLETIONS, MESSAGES, RESPONSES, Api, Kind
from undam.diagnosis.hop import Hop
from undam.diagnosis.reading import Reading
from undam.rules import Finding, Fix, Severity, finding

# About fifty tokens. Engines may send shorter arguments whole, and users do not notice the wait.
_MANY_CHARS = 200
# Generating fifty tokens takes about a second. A shorter idle period does not prove a hold.
_SILENCE_NS = 1_000_000_000
# Fragments that are this close together left the server at once.
_TOGETHER_NS = 5_000_000
_WHOLE_SHARE = 0.9
# The shortest common idle timeout is 30 s, so heartbeats must be at most this far apart.
_HEARTBEAT_NS = 20_000_000_000

_EAGER = Fix("request", '"eager_input_streaming": true   # in each tool of the request')
_PARSER = Fix(
    "engine",
    "vLLM, SGLang: a --tool-call-parser that streams arguments, such as hermes\n"
    "other servers: send a comment line, `: ping`, every 15 s while a call is collected",
)
_VERTEX = Fix(
    "request",
    '"toolConfig": {"functionCallingConfig": {"streamFunctionCallArguments": true}}\n'
    "# Vertex AI only; the Gemini API always sends a call whole",
)
_OLLAMA = Fix(
    "client and hops",
    "a read timeout longer than the longest tool call   # Ollama sends each call whole",
)
_SERVER = Fix(
    "server",
    "stream the arguments, or send a comment line, `: ping`, every 15 s while a call is collected",
)
_OPENAI = {CHAT, COMPLETIONS, RESPONSES}
_FIXES = {MESSAGES.name: _EAGER, "gemini": _VERTEX, "ollama": _OLLAMA}


@dataclass(frozen=True, slots=True)
class ArgumentBurst:
    """Fragments of tool arguments that arrived together.

    Args:
        silence_ns: time without content in front of them.
        heartbeats: number of heartbeats in this time.
    """

    events: int
    chars: int
    silence_ns: int
    heartbeats: int = 0

    @property
    def is_whole(self) -> bool:
        """Return whether a long argument arrived at once after an idle period."""
        return self.chars >= _MANY_CHARS and self.silence_ns >= _SILENCE_NS


def argument_bursts(reading: Reading) -> list[ArgumentBurst]:
    """Return the bursts of tool arguments in a stream, in order."""
    bursts: list[ArgumentBurst] = []
    last_ns, in_burst, heartbeats = reading.sent_ns, False, 0
    for item in reading.items:
        heartbeats += item.meaning is None or item.meaning.kind is Kind.HEARTBEAT
        if item.meaning is None or not item.is_content:
            continue
        tool = item.meaning.tool
        gap = item.at_ns - last_ns
        last_ns = item.at_ns
        if not tool:
            in_burst = False
        elif in_burst and gap <= _TOGETHER_NS:
            before = bursts[-1]
            bursts[-1] = replace(before, events=before.events + 1, chars=before.chars + len(tool))
        else:
            bursts.append(ArgumentBurst(1, len(tool), gap, heartbeats))
            in_burst = True
        heartbeats = 0
    return bursts


def find_whole_arguments(hop: Hop) -> list[Finding]:
    """Return a finding if long tool arguments arrived at once after an idle period.

    A stream that is held as a whole has a finding of its own.
    """
    bursts = argument_bursts(hop.reading)
    whole = [burst for burst in bursts if burst.is_whole]
    if hop.shape.held or _chars(whole) < _WHOLE_SHARE * max(1, _chars(bursts)):
        return []
    largest = max(whole, key=lambda burst: burst.silence_ns)
    others = len(hop.reading.contents) - sum(burst.events for burst in bursts)
    # With heartbeats, no idle timeout cuts the stream.
    longest_ns = (largest.heartbeats + 1) * _HEARTBEAT_NS
    is_alive = largest.heartbeats > 0 and largest.silence_ns <= longest_ns
    return [
        finding(
            "UD504",
            hop.name,
            severity=Severity.INFO if is_alive else None,
            fix=_fix_for(hop.reading.api),
            chars=largest.chars,
            argument_events=largest.events,
            silent_s=round(largest.silence_ns / 1e9, 1),
            waited="with only heartbeats" if is_alive else "of silence",
            other_events=others,
        )
    ]


def _fix_for(api: Api) -> Fix:
    return _FIXES.get(api.name, _PARSER if api in _OPENAI else _SERVER)


def _chars(bursts: Sequence[ArgumentBurst]) -> int:
    return sum(burst.chars for burst in bursts)
