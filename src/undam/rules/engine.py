"""UD5xx: behaviour of the inference engine."""

from __future__ import annotations

from undam.rules.model import Rule, Severity

RULES = (
    Rule(
        code="UD501",
        slug="several-tokens-per-event",
        severity=Severity.INFO,
        message=(
            "about {tokens_per_event} tokens per event: the engine collects tokens before it sends "
            "them"
        ),
        what="The model server puts several tokens into each event.",
        why="""
            The text appears in steps: one event contains N tokens. A benchmark that counts events
            as tokens reports gaps N times too long, or a rate N times too low. A proxy cannot fix
            the delay, because the engine combines the tokens.
        """,
        detection="""
            The reported number of completion tokens divided by the number of content events is at
            least 1.8. Without reported usage, the finding requires at least 12 characters per event
            (about 4 characters per token). A speculative decoder that puts the tokens of one step
            into one event gives 1 to 5 tokens per event, and is not at fault.
        """,
        causes="""
            By default vLLM, SGLang and TensorRT-LLM send each token immediately; high-throughput
            recipes set intervals of 16 or 20. Triton with dynamic batching of the post-processing
            model sent 100 tokens every 3 s (documented).
        """,
        fix="""
            Reduce the stream interval at the engine. A shorter interval changes only streaming, but
            the server does more work per token. Measure the throughput before and after the change.

                vLLM:          --stream-interval 1           (also a parameter of each request)
                SGLang:        --stream-interval 1
                TensorRT-LLM:  stream_interval: 1            (YAML)

            No option for the stream interval was found for TGI, llama.cpp and Ollama.
        """,
    ),
    Rule(
        code="UD502",
        slug="stalled",
        severity=Severity.WARNING,
        message=(
            "the server paused: {stalls} gaps over {limit_ms} ms in {answers} of {of} responses, "
            "the longest {longest_ms} ms"
        ),
        what="In the middle of a response, nothing arrived for far longer than usual.",
        why="""
            The text stops in mid-answer. Percentiles hide such pauses: one pause of 500 ms in an
            answer of a hundred tokens is beyond p99.
        """,
        detection="""
            A gap is over 250 ms, and over ten times the median gap between bursts. The kernel's
            timestamps show the same gap between the packets, so this machine did not cause the
            pause.
            If at most one response in a hundred is affected, the severity is info.
        """,
        causes="""
            An engine that prefers the prefill of other requests, evicts and recomputes a KV cache,
            or collects garbage; a lost packet, with pauses of 200 ms and more. A model that reasons
            between text and a tool call also pauses, which is not a fault.
        """,
        fix="""
            Change the engine's scheduler settings. These settings trade throughput for an even
            flow, so measure both:

                vLLM:    --enable-chunked-prefill, a lower --max-num-batched-tokens
                SGLang:  a lower --chunked-prefill-size

            If all streams pause at once, the whole server pauses; see the report's timeline.

                undam bench URL --html report.html
        """,
    ),
    Rule(
        code="UD503",
        slug="engine-steps",
        severity=Severity.INFO,
        message=("the engine emits {events_per_burst} events per step, about every {every_ms} ms"),
        what="The model server sends several whole events at a time, one group per step.",
        why="""
            The text appears in steps of several tokens. The engine generates several tokens per
            step, and the answer as a whole is often faster. A proxy cannot change this, because the
            bursts come from the engine.
        """,
        detection="""
            More than five whole events arrive per burst, and evidence shows that no hop causes the
            bursts. A small last burst that took as long as the others is such evidence: a hop would
            release the last events at once when the response ends. So are burst sizes that vary
            more than those of any source read at even times, and intervals that vary more than
            those of a timer. Events that report drafted tokens, or simultaneous bursts of two
            out-of-phase streams, are also such evidence.
        """,
        causes="""
            Speculative decoding (llama.cpp drafts 16 tokens by default, n-gram drafts have up to
            64), multi-step scheduling, diffusion models, and event loops with a tick of some
            milliseconds.
        """,
        fix="""
            No change is needed. If the steps disturb readers, draft fewer tokens at the engine,
            which makes the answer slower. Measure before and after the change:

                llama.cpp:  --draft-max 4
                vLLM:       "num_speculative_tokens": 4  in --speculative-config

                undam bench URL
        """,
    ),
    Rule(
        code="UD504",
        slug="tool-arguments-whole",
        severity=Severity.WARNING,
        message=(
            "tool arguments arrive all at once: {chars} characters in {argument_events} event(s) "
            "after {silent_s} s {waited}, compared with {other_events} other content event(s)"
        ),
        what="""
            A tool call's arguments were collected and sent at once, while the text and reasoning of
            the same stream arrived piece by piece.
        """,
        why="""
            An agent writes files and long commands as tool arguments, so the reader receives
            nothing for as long as the model writes. Idle timeouts cut the stream: one reader
            gave up after 300 s, shortly before 85,744 characters arrived.
        """,
        detection="""
            At least 200 characters of tool arguments arrived within 5 ms, at least a second after
            the content before them. Nine of ten characters of all tool arguments arrived in this
            way. Short arguments, which engines may send whole, are not reported. A stream that is
            held as a whole is reported by another finding. If heartbeats arrived meanwhile, the
            severity is info, because no idle timeout cuts the stream.
        """,
        causes="""
            An engine's tool parser that waits for the end of a call, such as some parsers of vLLM;
            a provider that checks the JSON before sending (Anthropic without eager input
            streaming); a gateway or a guardrail that collects calls.
        """,
        fix="""
            Let the provider or the engine stream the arguments. If arguments are streamed, the
            client must accept incomplete JSON.

                Anthropic:      "eager_input_streaming": true     in each tool of the request
                vLLM, SGLang:   a --tool-call-parser that streams arguments, such as hermes
                Vertex AI:      "streamFunctionCallArguments": true   in functionCallingConfig

            The Gemini API and Ollama always send a tool call whole. If the arguments cannot be
            streamed, let the server send comments while it collects them:

                : ping
        """,
        source="""
            platform.claude.com, fine-grained tool streaming; vllm-project/vllm#30439, #39649,
            #30999; BerriAI/litellm#32004; github/copilot-cli#4286.
        """,
    ),
)
