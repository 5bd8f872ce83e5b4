"""A locustfile, as a user of locust writes it: stream a chat, note when each content line came.

It runs in locust's own environment, so it imports nothing of undam. REQUESTS and OUT say how many
requests to make and where to write the times.
"""
# mypy: ignore-errors

import json
import os
import time
from pathlib import Path

import gevent
from locust import FastHttpUser, events, task

_WANTED = int(os.environ["REQUESTS"])
_BODY = {
    "model": "undam-sim",
    "stream": True,
    "max_tokens": int(os.environ["TOKENS"]),
    "messages": [{"role": "user", "content": "hi"}],
}
_made = {"begun": 0, "done": 0}
_ttft_ms, _gaps_ms, _seen = [], [], []


class Reader(FastHttpUser):
    @task
    def chat(self):
        if _made["begun"] == _WANTED:
            time.sleep(1)
            return
        _made["begun"] += 1
        start = last = time.perf_counter()
        _seen.append(start)
        with self.client.post(
            "/v1/chat/completions", json=_BODY, stream=True, catch_response=True
        ) as response:
            first = True
            # Its own iter_lines waits until a kilobyte is there.
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
        _seen.append(time.perf_counter())
        _made["done"] += 1
        if _made["done"] == _WANTED:
            # Quitting kills this very user, so somebody else must do it.
            gevent.spawn(self.environment.runner.quit)


@events.quitting.add_listener
def _write(**_):
    seconds = max(_seen) - min(_seen)
    told = {"ttft_ms": _ttft_ms, "gaps_ms": _gaps_ms, "seconds": seconds}
    Path(os.environ["OUT"]).write_text(json.dumps(told))
