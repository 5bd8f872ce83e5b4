"""Evidence in paths."""

from __future__ import annotations

import pytest

from undam.lint.evidence.paths import EXCLUDED, path_evidence
from undam.lint.routes import RouteHints, RouteOutcome, assess_route


@pytest.mark.parametrize(
    "path",
    [
        "/static/", "/a.css", "~* \\.(?:js|css)$", "/oauth/callback", "/v1/models", "/v1/users",
        "/live/stream", "/hls/x.m3u8", "/v1/chat/completions/stats.json", "/metrics",
        "/audio/stream",
    ],
)  # fmt: skip
def test_paths_that_do_not_stream_are_excluded(path: str) -> None:
    assert path_evidence(path).score == EXCLUDED


@pytest.mark.parametrize(
    ("path", "upstream", "outcome"),
    [
        ("/v1/chat/completions", "billing:80", "STREAMS"), ("/sse", "shop:80", "STREAMS"),
        ("/stream", "app:80", "STREAMS"), ("/stream", "icecast:80", "UNKNOWN"),
        ("/stream", "files:80", "MAYBE"), ("/v1/messages", "mail:80", "UNKNOWN"),
        ("/v1", "backend:80", "STREAMS"), ("/v1", "inventory:80", "UNKNOWN"),
        ("/api/chat", "web:80", "STREAMS"), ("/api/chat", "support:80", "MAYBE"),
        ("/api/v1", "backend:80", "MAYBE"), ("/api", "backend:80", "UNKNOWN"),
        ("~ ^/(api|openapi.json)(/.*)?$", "vllm:80", "STREAMS"),
        ("/v1beta/models/", "generativelanguage.googleapis.com", "STREAMS"),
        ("/ollama/", "10.0.0.1:80", "STREAMS"), ("/x/threads", "app:80", "MAYBE"),
    ],
)  # fmt: skip
def test_the_server_behind_a_path_decides_what_the_path_means(
    path: str, upstream: str, outcome: str
) -> None:
    assessment = assess_route(path, (f"http://{upstream}",), RouteHints())
    assert assessment.outcome is RouteOutcome[outcome]
