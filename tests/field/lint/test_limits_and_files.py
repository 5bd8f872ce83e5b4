"""Idle limits, file recognition, and the summary of a run."""

from __future__ import annotations

import pytest

from support.lint_reports import lint_files, location
from support.undam_command import invoke

STREAM = "proxy_http_version 1.1; proxy_buffering off;"
HAPROXY = """\
defaults
  mode http
  timeout client 45s
  timeout server {limit}
frontend f
  bind :80
  default_backend sse
backend sse
  option http-no-delay
  server s1 10.0.0.1:8080
"""
INGRESS = """\
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: vllm, annotations: {nginx.ingress.kubernetes.io/proxy-body-size: "0"}}
spec: {ingressClassName: nginx, rules: [{http: {paths: [{path: /, pathType: Prefix,
  backend: {service: {name: vllm, port: {number: 8000}}}}]}}]}
"""


def nginx(limit: str = "") -> str:
    return location("/v1/chat/completions", "http://vllm:8000", f"{STREAM} {limit}")


@pytest.mark.parametrize(
    ("files", "code"),
    [
        ({"a.conf": nginx()}, "NGX401"),
        ({"a.conf": nginx("proxy_read_timeout 60s;")}, "NGX401"),
        ({"haproxy.cfg": HAPROXY.format(limit="45s")}, "HAP401"),
        ({"ingress.yaml": INGRESS}, "ING401"),
        ({"httpd.conf": "ProxyPass /v1/ http://vllm:8000/v1/\n"}, "APA401"),
        ({"d.vcl": 'vcl 4.1;\nbackend vllm { .host = "vllm"; }\n'}, "VRN401"),
    ],
)
def test_a_minute_of_silence_is_not_enough_without_heartbeats(
    files: dict[str, str], code: str
) -> None:
    assert f"{code} warning" in lint_files(files).codes
    assert code not in lint_files({}, "--heartbeat", "15").faults
    assert code in lint_files({}, "--heartbeat", "0").faults
    assert code not in lint_files({}, "--silence", "30").faults


def test_the_silence_is_a_setting() -> None:
    found = lint_files({"undam.toml": "silence = 30\n", "a.conf": nginx()})
    assert found.codes == []
    assert lint_files({}, "--silence", "61").faults == ["NGX401"]


@pytest.mark.parametrize(
    ("heartbeat", "fires"), [("14", False), ("15", False), ("15.1", True), ("30", True)]
)
def test_a_limit_is_compared_with_two_heartbeats_in_the_same_way(
    heartbeat: str, fires: bool
) -> None:
    found = lint_files(
        {
            "nginx.conf": nginx("proxy_read_timeout 30s;"),
            "haproxy.cfg": HAPROXY.format(limit="30s"),
            "httpd.conf": "ProxyTimeout 30\nProxyPass /v1/ http://vllm:8000/v1/\n",
            "ingress.yaml": INGRESS.replace('proxy-body-size: "0"', 'proxy-read-timeout: "30"'),
        },
        "--heartbeat",
        heartbeat,
    )
    expected = ["APA401", "HAP401", "ING401", "NGX401"] if fires else []
    assert sorted(found.faults) == expected


@pytest.mark.parametrize(
    "flag",
    [
        "--sse-keep-alive-interval 10",
        "--sse-ping-interval=10",
        "sse_keepalive_ping_interval_seconds: 10",
    ],
)
def test_the_flags_of_an_engine_beside_the_file_set_the_heartbeat(flag: str) -> None:
    compose = f"services:\n  vllm:\n    image: vllm/vllm-openai\n    command: '--model m {flag}'\n"
    assert lint_files({"a.conf": nginx(), "compose.yaml": compose}).codes == []
    assert lint_files({}, "--heartbeat", "0").faults == ["NGX401"]


def compose(*commands: str) -> dict[str, str]:
    names = ("vllm", "other")
    services = [
        f"  {name}:\n    image: vllm/vllm-openai\n    command: {command}\n"
        for name, command in zip(names, commands, strict=False)
    ]
    return {"compose.yaml": "services:\n" + "".join(services)}


@pytest.mark.parametrize(
    ("commands", "codes"),
    [
        (["[--model, m, --sse-keep-alive-interval, '10']"], []),
        (["\n      - --sse-keep-alive-interval\n      - '10'"], []),
        (["--sse-keep-alive-interval 10", "--model m"], []),
        (["--model m", "--sse-keep-alive-interval 10"], ["NGX401 warning"]),
        (["--sse-keep-alive-interval 45", "--sse-keep-alive-interval 10"], ["NGX401 warning"]),
        (["--model m # --sse-keep-alive-interval 10"], ["NGX401 warning"]),
        (["--sse-keep-alive-interval 0"], ["NGX401 warning"]),
    ],
)
def test_the_heartbeats_of_the_engine_behind_the_route_count(
    commands: list[str], codes: list[str]
) -> None:
    assert lint_files({"a.conf": nginx(), **compose(*commands)}).codes == codes
    assert lint_files({}, "--heartbeat", "10").codes == []


def test_the_heartbeats_of_an_engine_whose_command_is_not_known_are_read_from_other_files() -> None:
    built = {"compose.yaml": "services:\n  vllm:\n    build: .\n"}
    assert lint_files({"a.conf": nginx(), **built}).codes == ["NGX401 warning"]
    dockerfile = "FROM python:3.12\nCMD vllm serve m --sse-keep-alive-interval 10\n"
    assert lint_files({"Dockerfile": dockerfile}).codes == []


def test_the_heartbeats_in_a_manifest_count_for_an_ingress() -> None:
    deployment = """\
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: vllm}
spec:
  template:
    spec:
      containers:
        - image: vllm/vllm-openai
          command: [sh, -c]
          args:
            - |
              exec vllm serve m \\
                --sse-keep-alive-interval 10
"""
    ingress = INGRESS.replace('proxy-body-size: "0"', 'proxy-read-timeout: "60"')
    assert lint_files({"a.yaml": ingress + deployment}).codes == []
    assert lint_files({"a.yaml": ingress}).codes == ["ING401 warning"]


@pytest.mark.parametrize("value", ["0", "0s", "0ms"])
def test_a_limit_of_zero_is_not_unlimited_in_nginx(value: str) -> None:
    found = lint_files({"a.conf": nginx(f"proxy_read_timeout {value};")}, "--heartbeat", "1")
    assert found.codes == ["NGX401 error"]
    assert "0 s, which does not turn the limit off" in found.message("NGX401")
    ingress = INGRESS.replace('proxy-body-size: "0"', 'proxy-read-timeout: "0"')
    assert "ING401 error" in lint_files({"a.yaml": ingress}).codes
    # In HAProxy, 0 does turn the limit off.
    assert (
        lint_files({"haproxy.cfg": HAPROXY.format(limit="0")}, paths=("haproxy.cfg",)).codes == []
    )


def test_content_alone_does_not_override_a_name() -> None:
    test = """\
suite: chart
tests:
  - asserts:
      - equal:
          value:
            "@type": type.googleapis.com/envoy.config.route.v3.Route
"""
    found = lint_files(
        {
            "howto.mdx": '"Quoted": text\n\n    server {\n',
            "db.toml": "[network]\nhttp_port                = 23820\n",
            "php.ini": "http_port 80\n",
            "chart_test.yaml": test,
        }
    )
    assert (found.code, found.report["files"], found.report["problems"]) == (0, [], [])


def test_hidden_folders_of_platforms_are_read() -> None:
    site = nginx("proxy_read_timeout 60s;")
    found = lint_files({".platform/nginx/conf.d/a.conf": site, ".git/a.conf": site})
    assert found.places == ["NGX401 .platform/nginx/conf.d/a.conf:1"]


def test_annotations_of_f5_are_not_those_of_ingress_nginx() -> None:
    f5 = INGRESS.replace("nginx.ingress.kubernetes.io/proxy-body-size", "nginx.org/proxy-buffering")
    found = lint_files({"ingress.yaml": f5})
    assert [one["dialect"] for one in found.report["files"]] == ["kubernetes-ingress"]


TYPES = "type.googleapis.com/envoy.extensions.filters"
ENVOY = f"""\
static_resources:
  listeners:
  - filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {TYPES}.network.http_connection_manager.v3.HttpConnectionManager
          route_config:
            virtual_hosts:
            - name: v
              domains: ["*"]
              routes:
              - match: {{prefix: /v1/}}
                route: {{cluster: vllm, timeout: 0s}}
          http_filters:
          - name: envoy.filters.http.ext_proc
            typed_config:
              "@type": {TYPES}.http.ext_proc.v3.ExternalProcessor
              allow_mode_override: true
              processing_mode: {{response_body_mode: BUFFERED}}
"""


def test_a_mode_that_the_processor_may_override_is_a_warning_without_an_edit() -> None:
    found = lint_files({"envoy.yaml": ENVOY})
    assert found.codes == ["ENV102 warning"]
    assert found.report["findings"][0]["fix"] is None
    fixed = lint_files({"envoy.yaml": ENVOY.replace("allow_mode_override: true", "a: b")})
    assert fixed.codes == ["ENV102 error"]


def test_a_mixed_checkout_is_read_as_far_as_possible_and_the_rest_is_named() -> None:
    found = lint_files(
        {
            "compose.yaml": "services:\n  a:\n    image: x\n    labels: [traefik.enable=true]\n",
            "deploy/nginx.conf.template": nginx("proxy_read_timeout ${LIMIT};"),
            "deploy/nginx-broken.conf.j2": "server {\n location / { proxy_pass http://a;\n",
            "chart/values.yaml": "ingress:\n  enabled: true\n",
            "chart/templates/route.yaml": "kind: TCPRoute\nmetadata:\n  name: {{ .Values.n }}\n",
            "app/main.py": "from starlette.responses import StreamingResponse\n",
            "web/server.js": "res.setHeader('Content-Type', 'text/event-stream')\n",
            "infra/main.tf": 'resource "cloudflare_record" "a" {}\n',
            "infra/dns.tf": 'resource "aws_route53_record" "a" {}\n',
            "notes.txt": "server { proxy_pass http://vllm; }\n",
        }
    )
    assert found.code in {0, 1}
    kinds = {one["path"]: one["kind"] for one in found.report["passed_over"]}
    assert "compose.yaml" not in kinds
    assert kinds["deploy/nginx-broken.conf.j2"] == "nginx file"
    assert kinds["chart/templates/route.yaml"] == "Kubernetes TCPRoute"
    assert "app/main.py" not in kinds
    assert kinds["infra/main.tf"] == "Terraform"
    assert "infra/dns.tf" not in kinds
    assert "notes.txt" not in kinds


def test_the_summary_shows_what_was_read() -> None:
    unread = 'resource "cloudflare_x" "a" {}\n'
    lint_files({"a.conf": location("/", "http://shop:80"), "b.tf": unread})
    lines = invoke("lint", ".").out.splitlines()
    assert lines == [
        "read 1 file (1 nginx): 1 route, 0 streaming, 0 possibly streaming, 1 unknown",
        "passed over: b.tf (Terraform, recognised but not read)",
        "no route is known to stream; name those that do with --stream PREFIX",
        "no findings in 1 file",
    ]
    lint_files({"a.conf": nginx("proxy_read_timeout 1h;")})
    out = invoke("lint", "a.conf").out
    assert out.splitlines()[-1] == "clean: no findings in 1 file"
    report = lint_files({}, paths=("a.conf",)).report
    counts = {name: report["routes"][name] for name in ("total", "streaming", "maybe", "unknown")}
    assert counts == {"total": 1, "streaming": 1, "maybe": 0, "unknown": 0}
    assert report["files"] == [{"path": "a.conf", "dialect": "nginx", "read": True}]
