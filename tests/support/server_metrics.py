"""Prometheus metrics of model servers, in the formats that their documentation shows."""

from __future__ import annotations


def vllm(
    *, running: int = 3, waiting: int = 0, kv: float = 0.25, requests: int = 0,
    ttft_s: float = 0.0, queue_s: float = 0.0, hits: int = 0,
) -> str:  # fmt: skip
    """Return vLLM metrics after ``requests`` requests with this mean TTFT and queue time."""
    labels = '{engine="0",model_name="meta-llama/Llama-3.1-8B"}'
    return f"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{labels} {running}.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{labels} {waiting}.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{labels} {kv}
# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{labels} {100 * requests}.0
vllm:prefix_cache_queries_created{labels} 1.764e+09
vllm:prefix_cache_hits_total{labels} {hits}.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{{le="0.001",model_name="m"}} 0.0
vllm:time_to_first_token_seconds_bucket{{le="+Inf",model_name="m"}} {requests}.0
vllm:time_to_first_token_seconds_count{labels} {requests}.0
vllm:time_to_first_token_seconds_sum{labels} {requests * ttft_s}
# TYPE vllm:request_queue_time_seconds histogram
vllm:request_queue_time_seconds_count{labels} {requests}.0
vllm:request_queue_time_seconds_sum{labels} {requests * queue_s}
"""


def sglang(*, running: int = 2, waiting: int = 5, usage: float = 0.4) -> str:
    """Return SGLang metrics for two data-parallel ranks."""
    lines = []
    for rank in (0, 1):
        labels = f'{{dp_rank="{rank}",model_name="m, \\"quoted\\" }}"}}'
        lines += [
            f"sglang:num_running_reqs{labels} {running / 2}",
            f"sglang:num_queue_reqs{labels} {waiting / 2}",
            f"sglang:token_usage{labels} {usage / 2}",
        ]
    return "\n".join(lines)


def tgi(*, running: int = 4, waiting: int = 1) -> str:
    """Return Text Generation Inference metrics."""
    return f"""tgi_queue_size {waiting}
tgi_batch_current_size {running}
tgi_request_queue_duration_sum 2.5
tgi_request_queue_duration_count 10
"""


def llama_cpp(*, running: int = 1, waiting: int = 2) -> str:
    """Return the metrics of the llama.cpp server."""
    return f"""# HELP llamacpp:requests_processing Number of requests processing.
# TYPE llamacpp:requests_processing gauge
llamacpp:requests_processing {running}
llamacpp:requests_deferred {waiting}
llamacpp:kv_cache_usage_ratio 0.5
llamacpp:predicted_tokens_seconds nan
"""
