"""Knob 5: the model server itself."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD501",
        slug="several-tokens-per-event",
        severity=Severity.INFO,
        message=(
            "about {tokens_per_event} tokens in each event: the engine "
            "collects them before it sends"
        ),
        what="The model server puts several tokens into each event.",
        why="""
            The text comes in steps, one event for N tokens, and a benchmark that counts an event as
            a token reports gaps N times too long or a rate N times too low. No proxy can mend it.
        """,
        detection="""
            Completion tokens of the stated usage divided by content events, from 1.8 on. Without
            usage: 12 characters an event or more, at about 4 a token. A speculative decoder that
            puts the tokens it accepted in one step into one event gives 1 to 5, and is healthy.
        """,
        causes="""
            vLLM, SGLang and TensorRT-LLM send each token as it comes unless told otherwise;
            throughput recipes set 16 or 20. Triton with dynamic batching of the post-processing
            model gave 100 tokens each 3 s (documented).
        """,
        fix="""
            At the engine; only streaming changes, at the price of more work per token in the
            server, which is why the recipes raise it. Measure the throughput before and after.
                vLLM:          --stream-interval 1           (also a parameter of each request)
                SGLang:        --stream-interval 1
                TensorRT-LLM:  stream_interval: 1            (YAML)
            For TGI, llama.cpp and Ollama no such knob was found.
        """,
    ),
    Rule(
        code="UD502",
        slug="stalled",
        severity=Severity.WARNING,
        message=(
            "the server paused: {stalls} gaps over {limit_ms} ms in {answers} of {of} answers, "
            "the longest {longest_ms} ms"
        ),
        what="In the middle of an answer nothing came for far longer than usual.",
        why="""
            The reader sees the text stand still. In a percentile it hides: one pause of 500 ms in
            an answer of a hundred tokens is beyond p99.
        """,
        detection="""
            Gaps over 250 ms that are also over ten times the median gap between bursts. The kernel
            stamped both ends, so the pause was before this machine. Up to one answer in a hundred
            it is only a remark.
        """,
        causes="""
            An engine that lets prefill of other requests go first, evicts and recomputes a KV
            cache, or collects garbage; a lost packet on the way, at 200 ms and more; a model that
            thinks between text and a tool call, which is none of these.
        """,
        fix="""
            At the engine; it trades throughput for an even flow, so measure both:
                vLLM:    --enable-chunked-prefill, a lower --max-num-batched-tokens
                SGLang:  a lower --chunked-prefill-size
            Pauses at all streams at once are the whole server's: see the timeline of the report.
                undam bench URL --html report.html
        """,
    ),
)
