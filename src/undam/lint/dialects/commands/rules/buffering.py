"""Rule CMD101: engines that send several tokens in one event."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.commands.programs import number_of
from undam.lint.dialects.commands.routes import ServerCommand
from undam.rules import Severity
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tree import Node, walk
from undam.textfiles.tree_edit import replace_value

STREAM_INTERVAL = ConfigRule(
    code="CMD101",
    slug="stream-interval-above-one",
    severity=Severity.WARNING,
    message="{name} {tokens}: the engine sends {tokens} tokens per event",
    safety=Safety.UNSAFE,
    what="""
        `--stream-interval` (vLLM and SGLang) and `stream_interval` (TensorRT-LLM) set how many
        tokens of a request the engine collects before it sends them. The default is 1.
    """,
    why="""
        Users see bursts of words with pauses between them. At 20 tokens per second and an interval
        of 20, new text appears once per second. In vLLM, the first token is not delayed.
    """,
    detection="""
        A command line or a YAML file with engine options sets an interval above 1. The severity is
        warning for an interval of 5 tokens or more, and info for a shorter interval.
    """,
    measured="""
        No, because the engines need a GPU or large models; the rule relies on
        documentation.
    """,
    fix="""
        Set the interval to 1, the default. With an interval of 1, the engine sends more events,
        which reduces throughput at high load.

            --stream-interval 1
    """,
    source=(
        "vllm-project/vllm#27869 (2025-10) and v1/engine/output_processor.py; "
        "NVIDIA/TensorRT-LLM#5284 (2025-06); SGLang 0.5.23, server arguments; accessed 2026-11"
    ),
)

RULES = (STREAM_INTERVAL,)

_FLAG = "--stream-interval"
_KEYS = frozenset({"stream_interval", "stream-interval", "streamInterval"})
_VISIBLE_TOKENS = 5


def find(server: ServerCommand, source: Source) -> Iterator[Diagnostic]:
    """Find an engine flag that sets a stream interval greater than one."""
    flag = server.command.flag(_FLAG)
    tokens = number_of(flag.value) if flag is not None else None
    if flag is not None and tokens is not None and tokens > 1:
        yield diagnostic_at(
            STREAM_INTERVAL,
            source,
            flag.value_span,
            Edit(*flag.value_span, "1"),
            severity=_severity(tokens),
            name=_FLAG,
            tokens=f"{tokens:g}",
        )


def find_options(roots: Iterable[Node], source: Source) -> Iterator[Diagnostic]:
    """Find a stream interval greater than one in engine options that are given in YAML."""
    for root in roots:
        for node in walk(root):
            for entry in node.entries:
                value = entry.value if entry.key.text in _KEYS else None
                tokens = number_of(value.text) if value and value.kind == "scalar" else None
                if value is not None and tokens is not None and tokens > 1:
                    edit = replace_value(source, value, "1")
                    yield diagnostic_at(
                        STREAM_INTERVAL,
                        source,
                        (entry.key.start, value.end),
                        *((edit,) if edit else ()),
                        severity=_severity(tokens),
                        name=entry.key.text,
                        tokens=f"{tokens:g}",
                    )


def _severity(tokens: float) -> Severity:
    return Severity.WARNING if tokens >= _VISIBLE_TOKENS else Severity.INFO
