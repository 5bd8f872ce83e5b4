"""CLD101: services that return a response only when it is complete."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.diagnostics import ConfigRule, Diagnostic, Safety, diagnostic_at
from undam.lint.dialects.cloud.routes import CloudFact, CloudResource
from undam.rules import Severity
from undam.textfiles.source import Source

WHOLE_RESPONSE = ConfigRule(
    code="CLD101",
    slug="whole-response-buffered",
    severity=Severity.ERROR,
    message="{title} buffers the response: {name}",
    safety=Safety.UNSAFE,
    what="""
        API Gateway buffers the whole response unless the integration of a REST API has the response
        transfer mode STREAM. HTTP APIs of API Gateway cannot stream. A Lambda function URL buffers
        the response unless its invoke mode is RESPONSE_STREAM. App Engine's standard environment
        cannot stream. Azure Application Gateway, IIS with Application Request Routing, and the
        handler of iisnode buffer responses by default.
    """,
    why="""
        The client receives nothing while the model generates tokens, and then many tokens at once
        or a timeout error.
    """,
    detection="""
        The paths, names or targets of a resource show that it carries streams, but the setting that
        turns streaming on is missing. If it is unknown whether the resource streams, only an
        explicit setting is reported, with severity info.
    """,
    measured="""
        Not measured, because the services cannot be run locally; the rule relies on their
        documentation.
    """,
    fix="""
        Turn on response streaming for the resource. A Lambda function must also write its response
        as a stream. Clients that expect a complete response may need changes.

            response_transfer_mode = "STREAM"           # aws_api_gateway_integration
            invoke_mode            = "RESPONSE_STREAM"  # aws_lambda_function_url
    """,
    source=(
        "docs.aws.amazon.com, response-transfer-mode (2025-11) and config-rs-invoke-furls; "
        'cloud.google.com, App Engine, "How requests are handled"; learn.microsoft.com, '
        "Application Gateway, proxy-buffers (2025-04), and ARR, response buffer; "
        "tjanczuk/iisnode#504 (2016); read in 2026-11"
    ),
)

RULES = (WHOLE_RESPONSE,)


def find(resource: CloudResource, source: Source, *, only_explicit: bool) -> Iterator[Diagnostic]:
    """Find services that buffer responses."""
    for one in resource.of(CloudFact.BUFFERING):
        if one.is_explicit or not only_explicit:
            edits = (one.edit,) if one.edit is not None else ()
            yield diagnostic_at(
                WHOLE_RESPONSE, source, one.span, *edits, title=resource.title, name=one.name
            )
