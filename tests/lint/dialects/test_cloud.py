"""Cloud resources: findings in each file type, and resources that show no sign of streams."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from support.dialect_harness import with_heartbeats
from undam.errors import ConfigSyntaxError, MissingExtra
from undam.lint import (
    AssessedRoute,
    RenderRequest,
    Settings,
    Source,
    dialect_named,
    fix_source,
    lint_source,
    recognise_dialect,
)
from undam.rules import Severity

CLOUD = dialect_named("cloud")
CORPUS = sorted((Path(__file__).parents[1] / "corpus" / "cloud").glob("*"))


def found(text: str, path: str = "main.tf", **options: object) -> list[str]:
    result = lint_source(CLOUD, Source(path, text), with_heartbeats(**options))
    return [f"{one.line} {one.rule.code} {one.severity}" for one in result.diagnostics]


def routes(text: str, path: str = "main.tf") -> tuple[AssessedRoute, ...]:
    return lint_source(CLOUD, Source(path, text), Settings()).routes


def fixed(text: str, path: str = "main.tf") -> str:
    return fix_source(CLOUD, Source(path, text), with_heartbeats(stream_paths=("/",)), unsafe=True)


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_the_corpus_has_the_expected_findings(file: Path) -> None:
    text = file.read_text("utf-8")
    assert recognise_dialect(str(file), text) is CLOUD
    result = lint_source(CLOUD, Source(file.name, text), with_heartbeats(heartbeat_s=0))
    faults = [
        f"{one.line} {one.rule.code}"
        for one in result.diagnostics
        if one.severity is not Severity.INFO
    ]
    expected = {
        "stream-aws.tf": ["6 CLD401", "50 CLD401"],
        "stream-api-gateway.tf": [
            *("7 CLD101", "7 CLD402", "16 CLD101", "16 CLD402"),
        ],
        "stream-google.tofu": ["1 CLD402", "6 CLD402", "21 CLD101", "27 CLD401"],
        "stream-sam.template.yaml": [
            *("4 CLD101", "9 CLD402", "14 CLD101", "17 CLD101", "26 CLD401"),
        ],
        "still-chat.tf": ["14 CLD401", "37 CLD401"],
        "still-template.yaml": [],
    }
    assert faults == expected.get(file.name, [])


def test_healthy_resources_with_heartbeats_are_silent() -> None:
    for file in CORPUS:
        if file.name.startswith("still"):
            reported = found(file.read_text("utf-8"), file.name)
            assert [one for one in reported if not one.endswith("info")] == [], file.name


def test_a_resource_without_evidence_gets_remarks_for_its_own_settings_only() -> None:
    text = 'resource "aws_lb" "a" {\n  idle_timeout = 20\n}\nresource "aws_lb" "b" {}\n'
    assert found(text) == ["2 CLD401 info"]
    assert found(text, stream_paths=("/",)) == ["2 CLD401 warning"]
    assert found(text, stream_paths=("/",), heartbeat_s=60.0) == [
        *("2 CLD401 error", "4 CLD401 error"),
    ]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("  idle_timeout = 20 # s\n", "  idle_timeout = 3600 # s\n"),
        ('  idle_timeout = "20"\n', '  idle_timeout = "3600"\n'),
        ("  idle_timeout = var.idle\n", "  idle_timeout = var.idle\n"),
        ('  idle_timeout = "${var.idle}"\n', '  idle_timeout = "${var.idle}"\n'),
    ],
)
def test_literal_values_are_replaced_and_expressions_are_not(before: str, after: str) -> None:
    text = 'resource "aws_lb" "a" {{\n{}}}\n'
    assert fixed(text.format(before)) == text.format(after)


def test_absent_settings_are_inserted_unless_the_block_is_on_one_line() -> None:
    text = 'resource "google_compute_backend_service" "a" {\n  name = "x"\n}\n'
    assert fixed(text) == text.replace("{\n", "{\n  timeout_sec = 3600\n", 1)
    one_line = 'resource "google_compute_backend_service" "a" { name = "x" }\n'
    assert fixed(one_line) == one_line


def test_references_become_the_upstreams_of_a_hop() -> None:
    text = next(one for one in CORPUS if one.name == "stream-aws.tf").read_text("utf-8")
    hops = {one.hop.title: one.hop for one in routes(text) if one.hop is not None}
    assert hops["CloudFront"].upstreams == ("aws_lb.chat",)
    assert hops["AWS load balancer"].names[0] == "aws_lb.chat"
    assert hops["CloudFront"].idle_at == ("main.tf", 50)


def test_a_resource_without_names_is_read() -> None:
    text = 'resource "aws_lb" "a" {\n  tags = { Owner = "me" }\n  origin {\n    x = 1\n  }\n}\n'
    assert found(text, stream_paths=("/",), heartbeat_s=60.0) == ["1 CLD401 error"]


def test_nested_values_and_lists_are_read() -> None:
    deep = "[" * 80 + "]" * 80
    text = f'resource "aws_lb" "a" {{\n  x = {deep}\n  y = {{ a = {{ b = [1, "c"] }} }}\n}}\n'
    assert found(text, stream_paths=("/",), heartbeat_s=60.0) == ["1 CLD401 error"]
    nested = "b {\n" * 70 + "}\n" * 70
    assert found(f'resource "aws_lb" "a" {{\n{nested}}}\n') == []


@pytest.mark.parametrize("text", ['resource "aws_lb" "a" {', "a = [", "= 1", 'x = "'])
def test_damaged_terraform_is_a_syntax_error(text: str) -> None:
    with pytest.raises(ConfigSyntaxError, match="Terraform"):
        found(text)


def test_terraform_without_its_parser_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hcl2", None)
    with pytest.raises(MissingExtra, match="terraform"):
        found("a = 1\n")


SERVERLESS = """\
service: chat
functions:
  chat:
    handler: h.chat
    timeout: 29
    {}
  broken: null
"""


@pytest.mark.parametrize(
    ("event", "expected"),
    [
        ("events: [{httpApi: {path: /v1/chat/completions}}]", ["5 CLD402 error", "6 CLD101 error"]),
        ("events: [{httpApi: 'POST /v1/chat/completions'}]", ["5 CLD402 error", "6 CLD101 error"]),
        ("events: [{http: {path: v1/chat/completions}}]", ["5 CLD402 error", "6 CLD101 error"]),
        (
            "events: [{http: {path: v1/chat/completions, response: {transferMode: STREAM}}}]",
            ["5 CLD402 error"],
        ),
        ("events: [{http: {path: orders}}, {sqs: q}]", ["5 CLD402 info"]),
        ("events: [{httpApi: '*'}]", ["5 CLD402 info"]),
        ("url: true", []),
        ("url: {invokeMode: RESPONSE_STREAM}", []),
        ("url: false", []),
    ],
)
def test_functions_of_the_serverless_framework(event: str, expected: list[str]) -> None:
    text = SERVERLESS.format(event)
    reported = found(text, "serverless.yml")
    if "url" in event:
        reported = [one for one in reported if "CLD101" in one]
    assert reported == expected


def test_function_urls_of_the_serverless_framework() -> None:
    streaming = {"stream_paths": ("/",)}
    assert "6 CLD101 error" in found(SERVERLESS.format("url: true"), "serverless.yml", **streaming)
    text = SERVERLESS.format("url: {invokeMode: BUFFERED}")
    assert "6 CLD101 error" in found(text, "serverless.yml", **streaming)
    assert "invokeMode: RESPONSE_STREAM" in fixed(text, "serverless.yml")
    assert found("service: x\n", "serverless.yml") == []
    assert found("", "serverless.yml") == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"functions": {"app/api/chat/completions/route.ts": {"maxDuration": 60}}}', 402),
        ('{"functions": {"app/api/chat/completions/route.ts": {"maxDuration": 800}}}', None),
        ('{"functions": {"app/api/chat/completions/route.ts": {"memory": 512}}}', None),
        ('{"rewrites": []}', None),
    ],
)
def test_durations_of_vercel_functions(text: str, expected: int | None) -> None:
    codes = [one.split()[1] for one in found(text, "vercel.json")]
    assert codes == ([f"CLD{expected}"] if expected else [])


def test_fly_services_and_their_ports() -> None:
    text = """\
app = "ollama"
[[services]]
  internal_port = 8080
  [[services.ports]]
    port = 443
    http_options = { compress = true, idle_timeout = 20 }
[http_service]
  internal_port = 8080
"""
    assert found(text, "fly.toml", heartbeat_s=40.0) == [
        *("6 CLD102 warning", "6 CLD401 error", "7 CLD401 warning"),
    ]
    assert recognise_dialect("deploy.toml", text) is CLOUD
    assert [one.name for one in routes("[http_service]\n", "fly.toml")] == ["/"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("runtime: python312\nservice: openai-chat\n", ["1 CLD101 error"]),
        ("runtime: python312\n", []),
        ("runtime: python\nenv: flex\nservice: openai-chat\n", []),
        ("service: openai-chat\n", []),
    ],
)
def test_app_engine(text: str, expected: list[str]) -> None:
    assert found(text, "app.yaml") == expected


WEB_CONFIG = """\
<?xml version="1.0"?>
<!-- Überall -->
<configuration><system.webServer>
  <urlCompression doStaticCompression="true" doDynamicCompression="true" />
  <proxy enabled='true' responseBufferLimit="4096" />
  <rewrite><rules><rule name="chat">
    <match url="^v1/chat/completions" />
    <action type="Rewrite" url="http://localhost:11434/{R:0}" />
  </rule><rule name="rest"><match url="(.*)" /><action type="None" /></rule></rules></rewrite>
</system.webServer></configuration>
"""


def test_web_config_of_a_reverse_proxy() -> None:
    assert found(WEB_CONFIG, "web.config") == ["4 CLD102 warning", "5 CLD101 error"]
    mended = fixed(WEB_CONFIG, "web.config")
    assert 'responseBufferLimit="0"' in mended
    assert 'doDynamicCompression="false"' in mended
    assert found(mended, "web.config") == []


def test_web_config_of_a_node_application() -> None:
    text = "<c><iisnode{} /><proxy /><urlCompression /></c>"
    assert found(text.format(""), "web.config", stream_paths=("/",)) == ["1 CLD101 error"]
    off = text.format(' flushResponse="false"')
    assert found(off, "web.config", stream_paths=("/",)) == ["1 CLD101 error"]
    assert found(text.format(' flushResponse="true"'), "web.config", stream_paths=("/",)) == []
    assert routes("<c />", "web.config") == ()


def test_web_config_with_a_handler_of_iisnode() -> None:
    text = '<c><handlers><add name="n" path="a.js" modules="iisnode"{} /></handlers></c>'
    assert CLOUD.recognises("web.config", text.format(""))
    assert found(text.format(""), "web.config") == ["1 CLD101 info"]
    assert found(text.format(""), "web.config", stream_paths=("/",)) == ["1 CLD101 error"]
    off = text.format(' responseBufferLimit="0"')
    assert found(off, "web.config", stream_paths=("/",)) == []
    assert routes(text.replace("iisnode", "Other").format(""), "web.config") == ()


def test_damaged_and_deep_xml() -> None:
    with pytest.raises(ConfigSyntaxError, match="XML"):
        found("<a><iisnode>", "web.config")
    deep = "<a>" * 90 + "<iisnode />" + "</a>" * 90
    assert found(deep, "web.config", stream_paths=("/",)) == []


@pytest.mark.parametrize(
    ("path", "text", "ours"),
    [
        ("a/main.tf", 'resource "aws_lb" "a" {}', True),
        ("main.tf", 'resource "aws_s3_bucket" "a" {}', False),
        ("x/fly.toml", "", True),
        ("x/other.toml", "[tool]\n", False),
        ("web.config", "<configuration />", False),
        ("app.yaml", "runtime: go\n", True),
        ("app.yaml", "apiVersion: v1\nruntime: go\n", False),
        ("t.yaml", "Resources:\n  U:\n    Type: AWS::Lambda::Url\n", True),
        ("t.yaml", "Resources:\n  U:\n    Type: AWS::S3::Bucket\n", False),
        ("notes.txt", "AWS::Lambda::Url", False),
    ],
)
def test_files_are_recognised(path: str, text: str, ours: bool) -> None:
    assert CLOUD.recognises(path, text) is ours


def test_templates_without_resources_and_with_odd_values() -> None:
    assert found("Resources: null\n", "t.yaml") == []
    text = """\
Resources:
  Chat:
    Type: AWS::Lambda::Url
    Properties: {FunctionName: openai, InvokeMode: !Ref Mode}
  Chat2:
    Type: AWS::Lambda::Url
    Properties: {FunctionName: openai-chat, InvokeMode: BUFFERED}
"""
    assert found(text, "t.yaml", stream_paths=("/",)) == ["7 CLD101 error"]


def test_the_rendered_load_balancer_has_no_findings() -> None:
    request = RenderRequest(upstream="http://vllm:8000", idle_s=9000)
    text = CLOUD.render(request)
    assert "idle_timeout = 4000" in text
    assert found(text, stream_paths=("/",)) == []


def test_other_kinds_of_resources_are_left_out_or_complete() -> None:
    text = """\
resource "google_compute_region_backend_service" "vllm" {
  protocol    = "HTTPS"
  timeout_sec = 30
}
resource "aws_api_gateway_integration" "vllm_mock" {
  type = "MOCK"
}
resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.vllm.arn
  default_action {
    target_group_arn = aws_lb_target_group.missing.arn
  }
}
resource "aws_lb" "vllm" {
  idle_timeout = 3600
  tags = { Team = "ml" }
}
resource "aws_route53_record" "vllm" {
  records = [aws_lb.vllm.dns_name]
}
resource "aws_api_gateway_integration" "vllm" {
  type                   = "HTTP_PROXY"
  response_transfer_mode = "BUFFERED"
  timeout_milliseconds   = 29000
}
resource "azurerm_application_gateway" "vllm" {
  backend_http_settings {
    request_timeout = 3600
  }
}
data "aws_lb" "other" {}
"""
    assert found(text) == [
        *("3 CLD402 error", "23 CLD101 error", "24 CLD402 error", "26 CLD101 error"),
    ]
    assert 'response_transfer_mode = "STREAM"' in fixed(text)


def test_an_idle_limit_that_is_not_a_number_is_unknown() -> None:
    text = 'app = "ollama"\n[http_service.http_options]\nidle_timeout = "soon"\ncompress = false\n'
    assert found(text, "fly.toml") == []
    (route,) = routes(text, "fly.toml")
    assert route.hop is not None
    assert route.hop.idle_limit_s is None


def url(limit: str, shared: str = "") -> str:
    return f"""\
{shared}
Resources:
  ChatFunction:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: llm
      {limit}
      FunctionUrlConfig: {{InvokeMode: RESPONSE_STREAM}}
"""


GLOBALS = "Globals: {Function: {Timeout: 30}}"


@pytest.mark.parametrize(
    ("limit", "shared", "expected"),
    [
        ("Timeout: 30", "", ["7 CLD402 error"]),
        ("", GLOBALS, ["1 CLD402 error"]),
        ("Timeout: 900", GLOBALS, []),
        ("", "Globals: {Function: {Runtime: x}}", ["3 CLD402 error"]),
        ("Timeout: 900", "", []),
    ],
)
def test_the_limit_of_a_function_overrides_that_of_all_functions(
    limit: str, shared: str, expected: list[str]
) -> None:
    assert found(url(limit, shared), "template.yaml") == expected


@pytest.mark.parametrize(
    ("provider", "own", "expected"),
    [
        ("{timeout: 20}", "", ["1 CLD402 error"]),
        ("{timeout: 20}", "timeout: 900,", []),
        ("aws", "", ["3 CLD402 error"]),
        ("{name: aws}", "timeout: 900,", []),
    ],
)
def test_the_provider_of_a_serverless_project_sets_a_limit_for_its_functions(
    provider: str, own: str, expected: list[str]
) -> None:
    text = f"provider: {provider}\nfunctions:\n"
    text += f"  llm: {{{own} url: {{invokeMode: RESPONSE_STREAM}}}}\n"
    assert found(text, "serverless.yml") == expected


FUNCTION = """\
resource "aws_lambda_function" "llm" {{
  {}
}}
resource "aws_lambda_function_url" "llm" {{
  function_name = aws_lambda_function.llm.function_name
  invoke_mode   = "RESPONSE_STREAM"
}}
"""


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("timeout = 30", ["2 CLD402 error"]),
        ("timeout = 900", []),
        ("timeout = var.t", []),
        ("memory_size = 512", ["1 CLD402 error"]),
    ],
)
def test_a_function_limits_the_streams_of_its_url(limit: str, expected: list[str]) -> None:
    assert found(FUNCTION.format(limit)) == expected
    template = """\
Resources:
  Llm: {Type: AWS::Lambda::Function, Properties: {TIMEOUT}}
  LlmUrl:
    Type: AWS::Lambda::Url
    Properties: {TargetFunctionArn: !GetAtt Llm.Arn, InvokeMode: RESPONSE_STREAM}
"""
    setting = limit.title().replace(" = ", ": ").replace("Var.T", "!Ref T")
    in_template = template.replace("TIMEOUT", setting)
    assert [one[2:] for one in found(in_template, "t.yaml")] == [one[2:] for one in expected]


@pytest.mark.parametrize(("protocol", "is_read"), [("WEBSOCKET", False), ("HTTP", True)])
def test_a_web_socket_api_holds_no_stream(protocol: str, is_read: bool) -> None:
    text = f"""\
resource "aws_apigatewayv2_api" "llm" {{
  protocol_type = "{protocol}"
}}
resource "aws_apigatewayv2_integration" "llm" {{
  api_id           = aws_apigatewayv2_api.llm.id
  integration_type = "AWS_PROXY"
}}
"""
    assert bool(found(text)) is is_read
    template = f"""\
Resources:
  Api: {{Type: AWS::ApiGatewayV2::Api, Properties: {{ProtocolType: {protocol}}}}}
  LlmIntegration: {{Type: AWS::ApiGatewayV2::Integration, Properties: {{ApiId: !Ref Api}}}}
"""
    assert bool(found(template, "t.yaml")) is is_read


def test_the_behaviors_of_a_distribution_show_what_it_serves() -> None:
    text = """\
resource "aws_cloudfront_distribution" "site" {
  origin {
    custom_origin_config {
      origin_read_timeout = 60
    }
  }
  ordered_cache_behavior {
    path_pattern = "PATTERN"
  }
}
"""
    (chat,) = routes(text.replace("PATTERN", "/v1/chat/*"))
    assert (chat.name, chat.outcome.name) == ("/v1/chat/", "STREAMS")
    (images,) = routes(text.replace("PATTERN", "/images/*"))
    assert images.outcome.name == "UNKNOWN"
    template = """\
Resources:
  Site:
    Type: AWS::CloudFront::Distribution
    Properties:
      DistributionConfig:
        Origins: [{CustomOriginConfig: {OriginReadTimeout: 30}}]
        CacheBehaviors: [{PathPattern: /api/*}, {PathPattern: /v1/chat/completions}, {}]
"""
    assert routes(template, "t.yaml")[0].name == "/v1/chat/completions"


@pytest.mark.parametrize("runtime", ["python312", "nodejs20", "custom", "'go122'"])
def test_only_runtimes_of_app_engine_are_recognised(runtime: str) -> None:
    assert CLOUD.recognises("app.yaml", f"runtime: {runtime}\n")
    assert not CLOUD.recognises("app.yaml", "runtime: vllm\n")
    assert not CLOUD.recognises("app.yaml", "runtime: cuda12\n")
