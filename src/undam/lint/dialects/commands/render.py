"""Renderer of a shell script that starts an engine with heartbeats."""

from __future__ import annotations

from undam.lint.dialect import RenderRequest, require_literal_values

_HEARTBEAT_S = 15


def render(request: RenderRequest) -> str:
    """Return a script that starts vLLM on the listen address and sends one token per event.

    The upstream and the path are those of the model server itself, so they are not used.
    """
    require_literal_values(request, "a shell script")
    host, _, port = request.listen.rpartition(":")
    interval = max(1, min(_HEARTBEAT_S, int(request.idle_s / 2)))
    return f"""\
#!/bin/sh
# Start a model server whose streams survive proxies. Set MODEL to the name of a model.
exec vllm serve "$MODEL" \\
  --host {host or "127.0.0.1"} \\
  --port {port} \\
  --stream-interval 1 \\
  --sse-keep-alive-interval {interval}
"""
