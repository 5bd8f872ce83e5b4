"""Cloud dialect: Terraform, CloudFormation, SAM, serverless.yml, vercel.json, fly.toml and IIS."""

from __future__ import annotations

import re
from collections.abc import Callable

from undam.lint.diagnostics import Diagnostic, for_route, if_anything_streams, unique_diagnostics
from undam.lint.dialect import Dialect, IncludeOpener, LintResult
from undam.lint.dialects.cloud.readers.platforms import (
    read_app_engine,
    read_fly,
    read_vercel,
    read_web_config,
)
from undam.lint.dialects.cloud.readers.templates import read_serverless, read_template
from undam.lint.dialects.cloud.readers.terraform import read_resources
from undam.lint.dialects.cloud.render import render
from undam.lint.dialects.cloud.routes import CloudResource, assess
from undam.lint.dialects.cloud.rules import RULES, find
from undam.lint.routes import AssessedRoute
from undam.lint.settings import Settings
from undam.textfiles.source import Source
from undam.textfiles.tree import Node
from undam.textfiles.yaml_reader import read_yaml

_TERRAFORM = re.compile(
    r"^[ \t]*resource[ \t]+\"(?:aws_(?:a?lb|elb|cloudfront_distribution|api_gateway_integration"
    r"|apigatewayv2_integration|lambda_function_url)|google_(?:compute_(?:region_)?backend_service"
    r"|cloud_run(?:_v2)?_service)|azurerm_(?:application_gateway|cdn_frontdoor_profile))\"",
    re.MULTILINE,
)
_TEMPLATE = re.compile(
    r"Type[\"']?[ \t]*:[ \t]*[\"']?AWS::(?:Serverless::Function|Lambda::Url"
    r"|CloudFront::Distribution|ElasticLoadBalancingV2::LoadBalancer|ApiGateway::Method|ApiGatewayV2::Integration)\b"
)
_FLY = re.compile(r"^\[http_service\]", re.MULTILINE)
_RUNTIME = re.compile(
    r"^runtime[ \t]*:[ \t]*[\"']?(?:python|nodejs|go|java|php|ruby|custom)\d*\b", re.MULTILINE
)
_IIS = re.compile(r"<(?:iisnode|action\b[^>]*\burl=[\"']https?:|add\b[^>]*\bmodules=[\"']iisnode)")
_YAML_READERS: dict[str, Callable[[Node, Source], list[CloudResource]]] = {
    "vercel.json": read_vercel,
    "serverless.yml": read_serverless,
    "serverless.yaml": read_serverless,
    "app.yaml": read_app_engine,
}


def _name_of(path: str) -> str:
    """Return the base name of a file in lower case."""
    return path.replace("\\", "/").rpartition("/")[2].lower()


def recognises(path: str, text: str) -> bool:
    """Return whether a file defines resources or services that may carry streams."""
    name = _name_of(path)
    if name.endswith((".tf", ".tofu")):
        return bool(_TERRAFORM.search(text))
    if name in {"fly.toml", "vercel.json", "serverless.yml", "serverless.yaml"}:
        return True
    if name.endswith(".toml"):
        return bool(_FLY.search(text))
    if name == "web.config":
        return bool(_IIS.search(text))
    if name == "app.yaml":
        return bool(_RUNTIME.search(text)) and "apiVersion" not in text
    is_template = name.endswith((".yaml", ".yml", ".json", ".template"))
    return is_template and "AWS::" in text and bool(_TEMPLATE.search(text))


def lint(source: Source, settings: Settings, _open_include: IncludeOpener) -> LintResult:
    """Lint the cloud resources in a file.

    Raises:
        ConfigSyntaxError: the text cannot be parsed.
        MissingExtra: python-hcl2 is not installed.
    """
    hints = settings.hints_for(source.path)
    routes: list[AssessedRoute] = []
    found: list[Diagnostic] = []
    for resource in _resources(source):
        route = assess(resource, hints, source)
        routes.append(route)
        is_known = route.assessment.is_considered
        own = list(find(resource, source, settings.silence, only_explicit=not is_known))
        found += for_route(route, own) if is_known else map(if_anything_streams, own)
    return LintResult(unique_diagnostics(found), routes=tuple(routes))


def _resources(source: Source) -> list[CloudResource]:
    name = _name_of(source.path)
    # Standard input has no file name.
    if name.endswith((".tf", ".tofu")) or (name == "-" and _TERRAFORM.search(source.text)):
        return read_resources(source)
    if name.endswith(".toml"):
        return read_fly(source)
    if name.endswith(".config"):
        return read_web_config(source)
    roots = read_yaml(source).roots
    if not roots:
        return []
    return _YAML_READERS.get(name, read_template)(roots[0], source)


DIALECT = Dialect(
    name="cloud",
    title="cloud resources",
    rules=RULES,
    recognises=recognises,
    lint=lint,
    render=render,
)
