"""Renderer of a LiteLLM configuration for event streams, with heartbeats."""

from __future__ import annotations

import json

from undam.lint.dialect import RenderRequest

_HEARTBEAT_S = 15


def render(request: RenderRequest) -> str:
    """Return a configuration with one model. LiteLLM has fixed API paths; ``path`` is ignored."""
    interval = max(1, min(_HEARTBEAT_S, int(request.idle_s / 2)))
    base = json.dumps(f"{request.upstream}/v1")
    return f"""\
# LiteLLM in front of a streaming server. Start it with
#   litellm --config litellm.yaml --port {request.listen.rpartition(":")[2]}
model_list:
  - model_name: model
    litellm_params:
      model: openai/model
      api_base: {base}
      api_key: none
      timeout: 3600
litellm_settings:
  request_timeout: 3600
general_settings:
  # Without heartbeats, proxies in front cut a silent stream; those of the model are dropped.
  sse_keepalive_ping_interval_seconds: {interval}
"""
