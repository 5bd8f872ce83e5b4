"""Findings about tool calls whose arguments were collected and sent at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from undam.apis import MESSAGES
from undam.diagnosis.hop import Hop
from undam.diagnosis.reading import Reading
from undam.rules import Finding, Fix, finding

# About fifty tokens. Engines may send shorter arguments whole, and users do not notice the wait.
_MANY_CHARS = 200
# Generating fifty tokens takes about a second. A shorter idle period does not prove a hold.
_SILENCE_NS = 1_000_000_000
# Fragments that are this close together left the server at once.
_TOGETHER_NS = 5_000_000
_WHOLE_SHARE = 0.9

_EAGER = Fix("request", '"eager_input_streaming": true   # in each tool of the request')
_PARSER = Fix(
    "engine",
    "vLLM, SGLang: a --tool-call-parser that streams arguments, such as hermes\n"
    "other servers: send a comment line, `: ping`, every 15 s while a call is collected",
)


@dataclass(frozen=True, slots=True)
class ArgumentBurst:
    """Fragments of tool arguments that arrived together.

    Args:
        silence_ns: time without content in front of them.
    """

    events: int
    chars: int
    silence_ns: int

    @property
    def is_whole(self) -> bool:
        """Return whether a long argument arrived at once after an idle period."""
        return self.chars >= _MANY_CHARS and self.silence_ns >= _SILENCE_NS


def argument_bursts(reading: Reading) -> list[ArgumentBurst]:
    """Return the bursts of tool arguments in a stream, in order."""
    bursts: list[ArgumentBurst] = []
    last_ns, in_burst = reading.sent_ns, False
    for item in reading.contents:
        tool = item.meaning.tool if item.meaning is not None else ""
        gap = item.at_ns - last_ns
        last_ns = item.at_ns
        if not tool:
            in_burst = False
        elif in_burst and gap <= _TOGETHER_NS:
            before = bursts[-1]
            bursts[-1] = ArgumentBurst(
                before.events + 1, before.chars + len(tool), before.silence_ns
            )
        else:
            bursts.append(ArgumentBurst(1, len(tool), gap))
            in_burst = True
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
    return [
        finding(
            "UD504",
            hop.name,
            fix=_EAGER if hop.reading.api is MESSAGES else _PARSER,
            chars=largest.chars,
            argument_events=largest.events,
            silent_s=round(largest.silence_ns / 1e9, 1),
            other_events=others,
        )
    ]


def _chars(bursts: Sequence[ArgumentBurst]) -> int:
    return sum(burst.chars for burst in bursts)
