"""Deployment files that are recognized but not read."""

from __future__ import annotations

import pytest

from undam.lint.discovery.passed_over import is_schema, kind_of_deployment


@pytest.mark.parametrize(
    ("path", "text", "kind"),
    [
        ("a/main.tf", 'resource "aws_lb" "a" {}', "Terraform"),
        ("a/main.tf", 'source = "terraform-aws-modules/alb/aws"', "Terraform"),
        ("a/main.tf", 'source = "terraform-aws-modules/vpc/aws"', None),
        ("a.bicep", "resource a 'Microsoft.Network/applicationGateways@2024' = {}", "Bicep"),
        ("a.bicep", "resource a 'Microsoft.Storage/storageAccounts@2024' = {}", None),
        ("netlify.toml", '[[redirects]]\n  to = "https://x/:splat"\n', "Netlify configuration"),
        ("netlify.toml", '[[redirects]]\n  to = "/index.html"\n', None),
        ("caddy.json", '{"handler": "reverse_proxy"}', "Caddy configuration in JSON"),
        ("b.json", '{"handler": "static_response"}', None),
        ("a.yaml", "routes: []\n#END\n", "standalone configuration of Apache APISIX"),
        ("a/main.tf", 'resource "aws_s3_bucket" "a" {}', None),
        ("wrangler.toml", "", "Cloudflare Workers configuration"),
        ("test_app.py", "return StreamingResponse(x())", "test of a program that streams"),
        ("test_app.py", "print(1)", None),
        ("a.test.ts", "new EventSource('/x')", "test of a program that streams"),
        ("app.py", "return StreamingResponse(x())", None),
        ("r.yaml", "kind: TCPRoute\n", "Kubernetes TCPRoute"),
        ("r.json", '{"kind": "InferencePool"}', "Kubernetes InferencePool"),
        ("r.yaml", "apiVersion: route.openshift.io/v1\nkind: Route\n", "Kubernetes Route"),
        ("r.yaml", "kind: Route\n", None),
        ("r.yaml", "kind: ConfigMap\n---\nkind: TLSRoute\n", "Kubernetes TLSRoute"),
        ("m.yaml", "apiVersion: zalando.org/v1\nkind: RouteGroup\n", "Kubernetes RouteGroup"),
        ("m.yaml", "apiVersion: example.org/v2\nkind: RouteGroup\n", None),
        ("krakend.json", "{}", "KrakenD configuration"),
        ("t.json", '{"proxy": {"listen_path": "/", "target_url": "x"}}', "Tyk API definition"),
        ("a.py", "TEXT = 'proxy_pass http://vllm;'", None),
        ("a.ts", "'nginx.ingress.kubernetes.io/x'", "text with directives of a proxy"),
        ("a.nix", "x = ''proxy_pass http://vllm;'';", "text with directives of a proxy"),
        ("i.tf", 'resource "kubernetes_ingress_v1" "a" {}', "Terraform"),
        ("c.yml", "services:\n  a:\n    image: ollama/ollama\n", None),
        ("values.yaml", "ingress:\n  enabled: true\n", "Helm values with an ingress"),
        ("values.yaml", "image: x\n", None),
        ("notes.txt", "kind: TCPRoute\n", None),
    ],
)  # fmt: skip
def test_kinds_of_deployment_files(path: str, text: str, kind: str | None) -> None:
    assert kind_of_deployment(path, text.encode(), text) == kind


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"kind: CustomResourceDefinition\nspec: {}\n", True),
        (
            b"# license\nkind: CustomResourceDefinition\n---\nkind: 'CustomResourceDefinition'\n",
            True,
        ),
        (b"kind: CustomResourceDefinition\n---\nkind: Ingress\n", False),
        (b"kind: Ingress\n", False),
        (b"", False),
    ],
)
def test_files_with_nothing_but_definitions_of_resources(raw: bytes, expected: bool) -> None:
    assert is_schema(raw) is expected
