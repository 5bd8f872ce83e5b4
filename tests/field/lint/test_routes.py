"""Detection of streaming routes: streaming applications are found, plain routes are ignored."""

from __future__ import annotations

import pytest

from support.lint_reports import lint_files, location

CADDY_LIMIT = """\
{
	servers {
		timeouts {
			write 60s
		}
	}
}

api.example.org {
	reverse_proxy localhost:8080
	encode {
		zstd
		gzip 6
		match {
			header Content-Type text/*
		}
	}
}
"""


def named(name: str, upstream: str) -> str:
    return location("/", upstream).replace("listen 80", f"server_name {name}")


SQUID = "http_port 80 accel\ncache_peer a parent 80 0\nclient_lifetime 30 seconds\n"
HAPROXY = """\
defaults
  mode http
frontend f
  bind :80
  compression algo gzip
  default_backend b
backend b
  server s a:1
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("nginx.conf", location("/api/", "http://openwebui")),
        ("oneapi.conf", named("openai.example.org", "http://localhost:3000")),
        ("n8n.conf", location("/", "http://localhost:5678", "proxy_buffering off;")),
        ("g.conf", location("/gradio-demo/", "http://127.0.0.1:7860")),
        ("o.conf", location("/ds/", "https://api.deepseek.com/")),
        ("gemini.conf", named("gemini.example.org", "http://10.0.0.1:9004")),
        ("Caddyfile", "chat.x.org {\n\tencode zstd\n\treverse_proxy open-webui:8080\n}\n"),
        ("x.conf", location("/console/api", "http://api:5001")),
        ("x.conf", location("/x", "http://10.0.0.1:80/generate_stream")),
        ("x.conf", location("/x", "http://app:80", "add_header X-Accel-Buffering no;")),
    ],
)  # fmt: skip
def test_applications_and_apis_that_stream_are_recognised(name: str, text: str) -> None:
    found = lint_files({name: text}, paths=(name,))
    assert found.report["routes"]["streaming"] == 1
    assert found.faults
    assert found.report["routes"]["list"][0]["evidence"]


def test_the_services_of_a_compose_file_beside_the_file_are_evidence() -> None:
    image = "ghcr.io/open-webui/open-webui:main"
    compose = f"services:\n  ui:\n    image: {image}\n    ports: ['3000:8080']\n"
    by_name = lint_files(
        {"nginx/nginx.conf": location("/", "http://ui:8080"), "compose.yaml": compose}
    )
    assert by_name.outcomes == {"/": "streams", "ui": "streams"}
    assert "open-webui" in by_name.report["routes"]["list"][0]["evidence"][0]
    by_port = lint_files({"nginx/nginx.conf": location("/", "http://localhost:3000")})
    assert by_port.outcomes["/"] == "streams"
    other = lint_files({"nginx/nginx.conf": location("/", "http://localhost:3001")})
    assert other.outcomes["/"] == "unknown"


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("letta-server:8283", "streams"), ("perplexica:3000", "streams"), ("r2r:80", "streams"),
        ("coze-server:8889", "streams"), ("app:42110", "maybe"), ("maxkb:8080", "streams"),
        ("api.x.ai", "streams"), ("us-central1-aiplatform.googleapis.com", "streams"),
        ("dashscope.aliyuncs.com", "streams"), ("gemini-proxy:80", "streams"),
        ("newsletter:80", "unknown"), ("coze-docs:80", "unknown"), ("together-web:80", "unknown"),
        ("www.aliyuncs.com", "unknown"), ("minecraft-bedrock:80", "maybe"),
        ("storage.googleapis.com", "unknown"), ("letta-db:5432", "unknown"),
    ],
)  # fmt: skip
def test_names_of_applications_and_hosts_of_model_apis(name: str, outcome: str) -> None:
    assert lint_files({"a.conf": location("/", f"http://{name}")}).outcomes == {"/": outcome}


STREAMING_PROGRAM = """\
from fastapi.responses import StreamingResponse

def answer():
    return StreamingResponse(events(), media_type="text/event-stream")
"""


def test_a_service_that_is_built_from_a_streaming_program_may_stream() -> None:
    compose = "services:\n  web:\n    build: .\n  cache:\n    image: redis:7\n"
    files = {"nginx.conf": location("/", "http://web:8000"), "compose.yaml": compose}
    assert lint_files(files).outcomes["/"] == "unknown"
    found = lint_files({"app.py": STREAMING_PROGRAM}, paths=("nginx.conf",))
    assert found.outcomes == {"/": "maybe"}
    assert "app.py: the service web" in found.report["routes"]["list"][0]["evidence"][0]
    other = lint_files({"nginx.conf": location("/", "http://cache:80")}, paths=("nginx.conf",))
    assert other.outcomes == {"/": "unknown"}


@pytest.mark.parametrize(
    ("path", "upstream"),
    [
        ("/api/tags", "http://ollama:11434"), ("/v1/messages/count_tokens", "http://vllm:8000"),
        ("/api/v1/", "http://billing:8080"), ("/v1", "http://vault:8200"),
        ("/calendar/events", "http://calendar:8080"), ("/pdf/generate", "http://pdf:8080"),
        ("= /chat", "http://site:3000"), ("= /mcp/oauth/callback", "http://web:3000"),
        ("/v1/chat/completions/stats.json", "http://web:3000"),
        ("/grafana", "http://openai-metrics-exporter:9090"), ("/mailbox/messages", "http://m:80"),
        ("/v1/orders", "http://orders:8080"), ("/hls/stream", "http://video:80"),
        ("~* \\.(?:css|js)$", "http://vllm:8000"), ("/v1/models", "http://vllm:8000"),
        ("/v1/users/events", "http://accounts:8080"),
    ],
)  # fmt: skip
def test_plain_routes_have_no_errors_or_warnings(path: str, upstream: str) -> None:
    found = lint_files({"nginx.conf": location(path, upstream)})
    assert (found.code, found.faults) == (0, [])
    assert found.report["routes"]["streaming"] == 0


def test_a_route_that_may_stream_has_one_remark() -> None:
    found = lint_files({"nginx.conf": location("/chat", "http://app:3000")})
    assert found.codes == ["NGX101 info"]
    assert found.report["findings"][0]["fix"] is None
    message = found.message("NGX101")
    assert message.startswith("if /chat streams: ")
    assert message.endswith("also NGX401; state it with --stream /chat")
    assert found.outcomes == {"/chat": "maybe"}
    stated = lint_files({}, "--stream", "/chat")
    assert stated.faults == ["NGX101", "NGX401"]


def test_faults_of_a_whole_server_are_remarks_without_a_known_stream() -> None:
    found = lint_files({"Caddyfile": CADDY_LIMIT})
    assert (found.code, found.codes) == (0, ["CAD402 info", "CAD102 info"])
    assert all(one["message"].startswith("if anything here") for one in found.report["findings"])
    assert lint_files({}, "--stream", "/").codes == ["CAD402 error", "CAD102 warning"]


@pytest.mark.parametrize(
    ("name", "text", "code"),
    [
        ("squid.conf", SQUID, "SQD402"),
        ("haproxy.cfg", HAPROXY, "HAP103"),
        ("nginx.conf", f"gzip on; gzip_types *; {location('/x', 'http://shop:80')}", "NGX103"),
    ],
)  # fmt: skip
def test_limits_and_compression_of_other_servers_are_remarks(
    name: str, text: str, code: str
) -> None:
    found = lint_files({name: text})
    assert found.codes == [f"{code} info"]
