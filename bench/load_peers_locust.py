"""Typical locustfile that streams a chat response and records the time of each content line.

It runs in locust's own environment, so it does not import undam. The environment variables REQUESTS
and OUT set the number of requests and the file for the times.
"""
# mypy: ignore-errors

import json
import os
import time
from pathlib import Path

import gevent
from locust import FastHttpUser, events, task

_REQUESTS = int(os.environ["REQUESTS"])
_BODY = {
    "model": "undam-sim",
    "stream": True,
    "max_tokens": int(os.environ["TOKENS"]),
    "messages": [{"role": "user", "content": "hi"}],
}
_counts = {"started": 0, "done": 0}
_ttft_ms, _gaps_ms, _times = [], [], []


class Reader(FastHttpUser):
    @task
    def chat(self):
        if _counts["started"] == _REQUESTS:
            time.sleep(1)
            return
        _counts["started"] += 1
        start = last = time.perf_counter()
        _times.append(start)
        with self.client.post(
            "/v1/chat/completions", json=_BODY, stream=True, catch_response=True
        ) as response:
            first = True
            # iter_lines buffers up to a kilobyte, which would delay events.
            raw = response._response
            while line := raw.readline(b"\n"):
                if not line.startswith(b"data: {"):
                    continue
                choices = json.loads(line[6:]).get("choices")
                if not choices or not choices[0]["delta"].get("content"):
                    continue
                now = time.perf_counter()
                (_ttft_ms if first else _gaps_ms).append((now - last) * 1000)
                first, last = False, now
        _times.append(time.perf_counter())
        _counts["done"] += 1
        if _counts["done"] == _REQUESTS:
            # quit() kills this greenlet, so it must run in another one.
            gevent.spawn(self.environment.runner.quit)


@events.quitting.add_listener
def _write(**_):
    seconds = max(_times) - min(_times)
    results = {"ttft_ms": _ttft_ms, "gaps_ms": _gaps_ms, "seconds": seconds}
    Path(os.environ["OUT"]).write_text(json.dumps(results))
