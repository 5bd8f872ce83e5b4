"""Compose files, engine flags, LiteLLM and cloud resources from bug reports, with variants."""

from __future__ import annotations

from pathlib import Path

import pytest

from undam.lint import lint_paths

FAULTY = {
    # From a bug report: an inline configuration and an engine flag in a compose file.
    "docker-compose.yml": (
        """\
services:
  proxy:
    image: nginx:1.27
    configs: [{source: conf, target: /etc/nginx/conf.d/default.conf}]
  vllm: {image: vllm/vllm-openai, command: --model x --stream-interval 20}
configs:
  conf:
    content: |
      server { listen 80; location /v1/ { proxy_pass http://vllm:8000; } }
""",
        {"5 CMD101", "9 NGX101", "9 NGX401"},
    ),
    # From a bug report: engine flags in a chart's values.
    "values.yaml": (
        """\
servingEngineSpec:
  modelSpec:
  - {name: m, vllmConfig: {extraArgs: ["--stream-interval", "20"]}}
""",
        {"3 CMD101"},
    ),
    # Variants: the same flag in a manifest, in a script and in a Dockerfile.
    "deployment.yaml": (
        """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: sglang}
spec:
  template:
    spec:
      containers:
        - name: server
          image: lmsysorg/sglang:v0.5.3
          command: [python3, -m, sglang.launch_server]
          args: [--model-path, m, --stream-interval, "16"]
""",
        {"11 CMD101"},
    ),
    "run.sh": ("vllm serve m \\\n  --stream-interval=16\n", {"2 CMD101"}),
    "gpu.Dockerfile": (
        'FROM vllm/vllm-openai:v0.11.2\nCMD ["--model", "m", "--stream-interval", "8"]\n',
        {"2 CMD101"},
    ),
    # From a bug report: Traefik labels and service options in a compose file.
    "compose.labels.yaml": (
        """\
services:
  traefik:
    image: traefik:v3.3
    command:
      - --providers.docker=true
      - --entrypoints.web.address=:80
      - --entrypoints.web.transport.respondingTimeouts.writeTimeout=30s
  open-webui:
    image: ghcr.io/open-webui/open-webui
    labels:
      - traefik.enable=true
      - traefik.http.routers.owui.rule=Host(`chat.example.org`)
      - traefik.http.routers.owui.middlewares=buf
      - traefik.http.middlewares.buf.buffering.maxResponseBodyBytes=2000000
""",
        {"7 TRF401", "14 TRF101"},
    ),
    # From a bug report: LiteLLM timeouts.
    "litellm_config.yaml": (
        """\
model_list: [{model_name: m, litellm_params: {model: openai/m, timeout: 30, stream_timeout: 10}}]
litellm_settings: {request_timeout: 30}
""",
        {"1 LIT401", "1 LIT402"},
    ),
    # From a bug report: an HTTP API in API Gateway.
    "serverless.yml": (
        """\
service: chat
provider: {name: aws, httpApi: {timeout: 29}}
functions:
  chat:
    handler: h.chat
    timeout: 29
    events: [{httpApi: {path: /v1/chat/completions, method: post}}]
""",
        {"6 CLD402", "7 CLD101"},
    ),
    # Variants: other cloud services whose name or path indicates streams.
    "alb.tf": ('resource "aws_lb" "vllm" {\n  idle_timeout = 60\n}\n', {"2 CLD401"}),
    "gclb.tf": (
        'resource "google_compute_backend_service" "litellm" {\n  timeout_sec = 30\n}\n',
        {"2 CLD402"},
    ),
    "vercel.json": (
        '{"functions": {"app/api/chat/completions/route.ts": {"maxDuration": 60}}}\n',
        {"1 CLD402"},
    ),
}
HEALTHY = {
    "compose.yaml": """\
services:
  traefik:
    image: traefik:v3.3
    command: [--providers.docker=true, "--entrypoints.web.address=:80"]
  open-webui:
    image: ghcr.io/open-webui/open-webui
    labels:
      - traefik.http.routers.owui.rule=Host(`chat.example.org`)
  vllm: {image: vllm/vllm-openai, command: --model x --stream-interval 1}
""",
    "litellm_config.yaml": (
        "model_list: [{model_name: m, litellm_params: {model: openai/m, timeout: 3600}}]\n"
    ),
    "serverless.yml": """\
service: chat
functions:
  chat:
    handler: h.chat
    timeout: 900
    url: {invokeMode: RESPONSE_STREAM}
""",
    "alb.tf": 'resource "aws_lb" "vllm" {\n  idle_timeout = 3600\n}\n',
    "shop.tf": 'resource "aws_lb" "shop" {\n  idle_timeout = 60\n}\n',
    "gclb.tf": 'resource "google_compute_backend_service" "litellm" {\n  timeout_sec = 86400\n}\n',
    "run.sh": "exec gunicorn shop.wsgi --timeout 30\nvllm serve m\n",
}


@pytest.mark.parametrize("name", FAULTY)
def test_faults_from_the_field_are_found_at_their_line(name: str, tmp_path: Path) -> None:
    text, expected = FAULTY[name]
    (tmp_path / name).write_text(text, "utf-8")
    report = lint_paths(tmp_path)
    assert {f"{one.line} {one.rule.code}" for one in report.diagnostics} == expected
    assert report.problems == ()
    assert report.passed_over == ()


def test_healthy_twins_have_no_errors_and_no_warnings(tmp_path: Path) -> None:
    for name, text in HEALTHY.items():
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text, "utf-8")
    assert not lint_paths(tmp_path).has_faults


def test_settings_without_evidence_of_a_stream_are_remarks(tmp_path: Path) -> None:
    (tmp_path / "main.tf").write_text(
        """\
resource "aws_lb" "a" {
  load_balancer_type = "application"
  idle_timeout = 60
}
resource "google_compute_backend_service" "b" { timeout_sec = 30 }
resource "aws_cloudfront_distribution" "c" {
  origin { custom_origin_config { origin_read_timeout = 30 } }
}
""",
        "utf-8",
    )
    report = lint_paths(tmp_path)
    assert [(one.line, one.rule.code) for one in report.diagnostics] == [
        *((3, "CLD401"), (5, "CLD402"), (7, "CLD401")),
    ]
    assert not report.has_faults
