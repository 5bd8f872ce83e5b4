"""Classification of routes by path, pattern, upstream and hints."""

from __future__ import annotations

import pytest

from undam.lint.evidence.neighbours import neighbours_from
from undam.lint.routes import (
    PathMatch,
    RouteHints,
    RouteOutcome,
    assess_pattern,
    assess_route,
    literal_prefix,
)


@pytest.mark.parametrize(
    "path",
    [
        "/v1", "/v1/", "^/v1/", "~ ^/(openai|v1)/.*", "/api/chat", "/v1/chat/completions",
        "^/v1/(chat/)?completions", "/api/generate", "/sse", "/mcp/", "/Stream",
        "/event-stream", "/v1/messages", "/v1/responses*",
    ],
)  # fmt: skip
def test_paths_of_streaming_apis_are_likely_to_stream(path: str) -> None:
    assert assess_route(path, (), RouteHints()).outcome is RouteOutcome.STREAMS


@pytest.mark.parametrize(
    "path",
    ["/", "/static/", "/v1/embeddings", "/v1/users", "/v10/", "/chatter", "/upstream", "/prevents"],
)
def test_other_paths_do_not_stream(path: str) -> None:
    assert assess_route(path, (), RouteHints()).outcome is RouteOutcome.UNKNOWN


@pytest.mark.parametrize(
    "upstream",
    [
        "http://127.0.0.1:11434", "http://10.0.0.1:11434/v1", "ollama", "vllm-service:8000", "llm",
        "http://llm_backend", "tgi.default.svc", "litellm:4000", "LLMs", "my-llama-70b",
        "text-generation-inference", "http://api.openai.com",
    ],
)  # fmt: skip
def test_routes_to_inference_engines_are_likely_to_stream(upstream: str) -> None:
    assert assess_route("/", ("web", upstream), RouteHints()).outcome is RouteOutcome.STREAMS


@pytest.mark.parametrize(
    "upstream",
    [
        "http://app:8000", "fulfillment:8080", "postgis", "enrollments", "127.0.0.1:114340",
        "http://[fd00:11434::1]:80", "nextgi",
    ],
)  # fmt: skip
def test_routes_to_other_upstreams_do_not_stream(upstream: str) -> None:
    assert assess_route("/", (upstream,), RouteHints()).outcome is RouteOutcome.UNKNOWN


@pytest.mark.parametrize(
    ("path", "streams"),
    [
        ("/", True),
        ("/api", True),
        ("/api/", True),
        ("/api/*", True),
        ("/api/answer", True),
        ("/api/answer/more", True),
        ("/ap", False),
        ("/api/answe", False),
        ("/v1/chat/completions", False),
    ],
)
def test_only_hinted_paths_stream(path: str, streams: bool) -> None:
    wanted = RouteOutcome.STREAMS if streams else RouteOutcome.UNKNOWN
    assert assess_route(path, ("vllm",), RouteHints(("/x", "/api/answer"))).outcome is wanted


@pytest.mark.parametrize("path", ["/health", "/v1/models", "~* \\.(?:css|js)$", "/metrics", "/ui/"])
def test_other_paths_of_an_engine_do_not_stream_unless_hinted(path: str) -> None:
    assert assess_route(path, ("vllm:8000",), RouteHints()).outcome is RouteOutcome.UNKNOWN
    assert assess_route(path, ("vllm:8000",), RouteHints((path,))).outcome is RouteOutcome.STREAMS


@pytest.mark.parametrize(
    ("pattern", "match", "likelihood"),
    [
        ("/api", PathMatch.PREFIX, RouteOutcome.STREAMS),
        ("/other", PathMatch.PREFIX, RouteOutcome.UNKNOWN),
        ("^/api", PathMatch.REGEX, RouteOutcome.STREAMS),
        ("^/other", PathMatch.REGEX, RouteOutcome.UNKNOWN),
        ("(foo|answer)$", PathMatch.REGEX, RouteOutcome.STREAMS),
        ("answer", PathMatch.PART, RouteOutcome.STREAMS),
        ("an", PathMatch.PART, RouteOutcome.UNKNOWN),
    ],
)
def test_a_pattern_is_compared_with_the_hinted_paths(
    pattern: str, match: PathMatch, likelihood: RouteOutcome
) -> None:
    assert assess_pattern(pattern, match, (), RouteHints(("/api/answer",))).outcome is likelihood


def test_a_pattern_without_hints_is_classified_by_its_text() -> None:
    for match in PathMatch:
        assert assess_pattern("/v1/", match, (), RouteHints()).outcome is RouteOutcome.STREAMS


@pytest.mark.parametrize(
    ("regex", "prefix"),
    [("^/v1/chat$", "/v1/chat"), ("^/v1/?", "/v1"), ("^/a\\.b", "/a.b"), ("^.*", "/"), ("", "/")],
)
def test_the_literal_prefix_of_a_pattern_excludes_optional_characters(
    regex: str, prefix: str
) -> None:
    assert literal_prefix(regex) == prefix


COMPOSE = """
services:
  front: {image: "ghcr.io/open-webui/open-webui:main", ports: ["3000:8080"]}
  shop: {image: vllm/vllm-openai}
  ollama: {build: .}
  db: {image: "postgres:16", ports: ["5432:5432"]}
"""


@pytest.mark.parametrize(
    ("upstream", "outcome", "evidence"),
    [
        (
            "front:8080",
            RouteOutcome.STREAMS,
            "c.yaml: the service front runs ghcr.io/open-webui/open-webui:main",
        ),
        (
            "localhost:3000",
            RouteOutcome.STREAMS,
            "c.yaml: the service front runs ghcr.io/open-webui/open-webui:main",
        ),
        ("shop:80", RouteOutcome.STREAMS, "c.yaml: the service shop runs vllm/vllm-openai"),
        ("ollama:80", RouteOutcome.STREAMS, "c.yaml: the service ollama has the name of Ollama"),
        ("db:5432", RouteOutcome.UNKNOWN, ""),
        ("localhost:5432", RouteOutcome.UNKNOWN, ""),
        ("10.0.0.1:3000", RouteOutcome.UNKNOWN, ""),
        ("localhost", RouteOutcome.UNKNOWN, ""),
    ],
)
def test_services_beside_the_configuration_are_evidence(
    upstream: str, outcome: RouteOutcome, evidence: str
) -> None:
    hints = RouteHints(neighbours=neighbours_from([("c.yaml", COMPOSE)]))
    found = assess_route("/", (f"http://{upstream}",), hints)
    assert found.outcome is outcome
    assert (evidence in found.evidence) is bool(evidence)


def test_a_service_that_is_built_from_a_streaming_program_may_stream() -> None:
    compose = "services:\n  web: {build: .}\n"
    program = "def answer():\n    return StreamingResponse(f(), media_type='text/event-stream')\n"
    for files, outcome in (
        ([("c.yaml", compose)], RouteOutcome.UNKNOWN),
        ([("c.yaml", compose), ("app.py", program)], RouteOutcome.MAYBE),
    ):
        hints = RouteHints(neighbours=neighbours_from(files))
        assert assess_route("/", ("http://web:8000",), hints).outcome is outcome
