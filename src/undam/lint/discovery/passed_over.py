"""Detection of deployment files that no dialect reads, so that reports can list them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file that concerns streams or proxies, but was not linted.

    Args:
        kind: kind of the file, the same phrase for all files of the kind.
        reason: why it was not linted.
    """

    path: str
    kind: str
    reason: str


NO_DIALECT = "this kind of file is recognised, but not read"

_BY_NAME = (
    (re.compile(r".*\.(?:tf|tofu)$"), "Terraform"),
    (re.compile(r"wrangler\.(?:toml|jsonc?)$"), "Cloudflare Workers configuration"),
    (re.compile(r"web\.config$"), "IIS configuration"),
    (re.compile(r".*\.bicep$"), "Bicep"),
    (re.compile(r"netlify\.toml$"), "Netlify configuration"),
    (re.compile(r"krakend[^/]*\.(?:json|tmpl)$"), "KrakenD configuration"),
)
_PROXY_IN_TERRAFORM = re.compile(
    rb"aws_(?:lb|alb|elb|cloudfront|apigateway|api_gateway|lambda_function_url)"
    rb"|google_compute_backend_service|azurerm_(?:application_gateway|frontdoor)|cloudflare_"
    rb"|google_cloud_run|azurerm_api_management|kubernetes_ingress|nginx\.ingress\.kubernetes\.io"
    rb"|terraform-aws-modules/(?:alb|elb|cloudfront|apigateway-v2|lambda)/"
)
_PROXY_IN_BICEP = re.compile(
    rb"Microsoft\.(?:Network/(?:applicationGateways|frontDoors)|Cdn/|ApiManagement/|App/)",
    re.IGNORECASE,
)
_PROXY_IN_NETLIFY = re.compile(rb"^[ \t]*to[ \t]*=[ \t]*[\"']https?://", re.MULTILINE)
_PROXY_WORDS = {
    "Terraform": _PROXY_IN_TERRAFORM,
    "Bicep": _PROXY_IN_BICEP,
    "Netlify configuration": _PROXY_IN_NETLIFY,
}
_KIND = re.compile(r"kind[\"']?[ \t]*:[ \t]*[\"']?([A-Z]\w{1,60})")
# Kinds that concern streams or proxies, with the API group that tells them from other resources.
_KINDS = {
    "TCPRoute": "", "TLSRoute": "", "InferencePool": "", "Ingress": "",
    "Route": "route.openshift.io",
    "VirtualService": "gateway.solo.io", "RouteTable": "gateway.solo.io",
    "RouteGroup": "zalando.org", "CiliumEnvoyConfig": "cilium.io",
    "CiliumClusterwideEnvoyConfig": "cilium.io", "RayService": "ray.io",
    "TraefikService": "traefik", "HTTPScaledObject": "http.keda.sh", "McpBridge": "higress.io",
    "ApiDefinition": "tyk.tyk.io",
}  # fmt: skip
# Directives of proxies. Their texts may be quoted, or in a language that is not read.
_DIRECTIVE = re.compile(
    r"\bproxy_pass[ \t]+[\w${/]|\breverse_proxy[ \t]+[\w{$]|\b(?:default|use)_backend[ \t]+[\w{$]"
    r"|\bproxyPass[ \t]*=|nginx\.ingress\.kubernetes\.io[/\\~]"
)
# Programs often contain directives in messages and tests.
_PROGRAM_NAME = re.compile(r"\.(?:py|[cm]?[jt]sx?)$")
_ANNOTATION = re.compile(r"nginx\.ingress\.kubernetes\.io[/\\~]")
_SCHEMA = re.compile(rb"^kind:[ \t]*[\"']?CustomResourceDefinition\b", re.MULTILINE)
# A resource's kind is near the beginning, possibly after a license.
_HEAD_BYTES = 4000
# Other forms of configurations that are read in their usual form.
_OTHER_FORMS = (
    (re.compile(r"\"handler\"[ \t]*:[ \t]*\"reverse_proxy\""), "Caddy configuration in JSON"),
    (
        re.compile(r"^routes:(?s:.*)^#END", re.MULTILINE),
        "standalone configuration of Apache APISIX",
    ),
    (re.compile(r"\"listen_path\"(?s:.){0,500}?\"target_url\""), "Tyk API definition"),
)
# Tests for programs are recognised by their file name, and are not read.
_TEST_NAME = re.compile(r"(?:test_.*|.*_test|conftest)\.py|.*\.(?:test|spec|stories)\.[cm]?[jt]sx?")
_STREAMING_PROGRAM = re.compile(
    rb"StreamingResponse|EventSourceResponse|StreamingHttpResponse|text/event-stream"
    rb"|stream_with_context|EventSource\(|createProxyMiddleware|streamText\("
)


def is_schema(raw: bytes) -> bool:
    """Return whether a YAML file contains nothing but custom resource definitions.

    Such files make up most of the text in the repositories of operators.
    """
    documents = raw.split(b"\n---") if b"CustomResourceDefinition" in raw[:_HEAD_BYTES] else ()
    return bool(documents) and all(
        _SCHEMA.search(one, 0, _HEAD_BYTES) is not None or not one.strip() for one in documents
    )


def kind_of_deployment(path: str, raw: bytes, text: str) -> str | None:
    """Return the kind of a deployment file that no dialect reads; ``None`` for all other files.

    Args:
        raw: the bytes of the file, in which programs are searched.
        text: the decoded text.
    """
    name = PurePosixPath(path.replace("\\", "/")).name.lower()
    for pattern, kind in _BY_NAME:
        if pattern.fullmatch(name):
            words = _PROXY_WORDS.get(kind)
            if words is None or words.search(raw):
                return kind
    if _TEST_NAME.fullmatch(name):
        return "test of a program that streams" if _STREAMING_PROGRAM.search(raw) else None
    is_yaml = PurePosixPath(name).suffix in {".yaml", ".yml", ".json", ".tpl"}
    kind_of_yaml = _kind_of_yaml(name, text) if is_yaml else None
    directive = _ANNOTATION if _PROGRAM_NAME.search(name) else _DIRECTIVE
    if kind_of_yaml is None and directive.search(text) is not None:
        return "text with directives of a proxy"
    return kind_of_yaml


def _kind_of_yaml(name: str, text: str) -> str | None:
    for kind in _KIND.findall(text):
        if _KINDS.get(kind, "\0") in text:
            return f"Kubernetes {kind}"
    for pattern, kind in _OTHER_FORMS:
        if pattern.search(text):
            return kind
    is_values = name.startswith("values") and re.search(r"^[ ]*ingress[ \t]*:", text, re.MULTILINE)
    return "Helm values with an ingress" if is_values else None
