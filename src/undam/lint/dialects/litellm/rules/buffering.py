"""Rule LIT101: guardrails that hold a stream until they have checked all of it."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.litellm.parser import is_true, text_at
from undam.lint.dialects.litellm.routes import guardrails_of
from undam.rules import Severity
from undam.textfiles.source import Source
from undam.textfiles.tree import Node
from undam.textfiles.tree_edit import insert_entry, replace_value

HELD_BY_GUARDRAIL = ConfigRule(
    code="LIT101",
    slug="guardrail-holds-stream",
    severity=Severity.ERROR,
    message="the guardrail {name} holds each stream until the whole answer has been moderated",
    safety=Safety.UNSAFE,
    what="""
        A post_call guardrail with `streaming_buffer_until_moderated` withholds every chunk until
        the whole answer has been moderated. Bedrock guardrails withhold the chunks by default.
    """,
    why="""
        The client receives nothing while the model generates, and then the whole answer in one
        piece. Proxies in front of LiteLLM receive nothing until the answer is complete, so their
        idle timeouts may cut the stream.
    """,
    detection="""
        A post_call guardrail sets `streaming_buffer_until_moderated: true`, or a Bedrock post_call
        guardrail does not set this option to false.
    """,
    measured="""
        The behaviour is documented and covered by LiteLLM's own tests, but was not measured.
    """,
    fix="""
        Let the chunks pass, and let the guardrail examine the complete answer afterwards. The
        guardrail can then report an unsafe answer but not withhold it, so weigh safety against
        streaming.

            streaming_buffer_until_moderated: false
            streaming_end_of_stream_only: true
    """,
    source="BerriAI/litellm#31389 (2026-06), #38722 (2026-08); LiteLLM 1.110.2; accessed 2026-11",
)

RULES = (HELD_BY_GUARDRAIL,)

_FLAG = "streaming_buffer_until_moderated"
_BUFFERS_BY_DEFAULT = frozenset({"bedrock"})


def find(root: Node, source: Source) -> Iterator[Diagnostic]:
    """Find guardrails that hold streams."""
    for parameters in guardrails_of(root):
        mode = parameters.entry("mode")
        modes = [item.text for item in mode.value.items] if mode is not None else []
        if mode is None or "post_call" not in {mode.value.text, *modes}:
            continue
        flag = parameters.entry(_FLAG)
        switched = is_true(flag)
        provider = text_at(parameters, "guardrail")
        if switched is None and provider not in _BUFFERS_BY_DEFAULT:
            continue
        if switched is False:
            continue
        if flag is not None:
            edit = replace_value(source, flag.value, "false")
            span = flag.key.start, flag.value.end
        else:
            edit = insert_entry(source, parameters, _FLAG, value=False)
            span = mode.key.start, mode.key.end
        edits = (edit,) if edit is not None else ()
        yield diagnostic_at(HELD_BY_GUARDRAIL, source, span, *edits, name=provider or "here")
