"""Rule CLD101: services that return a response only when it is complete."""

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
        API Gateway buffers the whole response unless a REST API integration uses the response
        transfer mode STREAM. API Gateway HTTP APIs cannot stream. A Lambda function URL buffers the
        response unless its invoke mode is RESPONSE_STREAM. App Engine's standard environment cannot
        stream. Azure Application Gateway, IIS with Application Request Routing, and the iisnode
        handler buffer responses by default.
    """,
    why="""
        The client receives nothing while the model generates tokens. The client later receives many
        tokens at once, or a timeout error.
    """,
    detection="""
        The paths, names or targets of a resource show that the resource streams, but the setting
        that enables streaming is missing. If undam cannot determine whether the resource streams,
        it reports only an explicit setting, with severity info.
    """,
    measured="""
        No, because the services cannot be run locally; the rule relies on their
        documentation.
    """,
    fix="""
        Turn on response streaming for the resource. A Lambda function must also stream its own
        response. Clients that expect a complete response may need changes.

            response_transfer_mode = "STREAM"           # aws_api_gateway_integration
            invoke_mode            = "RESPONSE_STREAM"  # aws_lambda_function_url
    """,
    source=(
        "docs.aws.amazon.com, response-transfer-mode (2025-11) and config-rs-invoke-furls; "
        'cloud.google.com, App Engine, "How requests are handled"; learn.microsoft.com, '
        "Application Gateway, proxy-buffers (2025-04), and ARR, response buffer; "
        "tjanczuk/iisnode#504 (2016); accessed 2026-11"
    ),
)

RULES = (WHOLE_RESPONSE,)


def find(resource: CloudResource, source: Source, *, only_explicit: bool) -> Iterator[Diagnostic]:
    """Find cloud services that buffer responses."""
    for one in resource.of(CloudFact.BUFFERING):
        if one.is_explicit or not only_explicit:
            edits = (one.edit,) if one.edit is not None else ()
            yield diagnostic_at(
                WHOLE_RESPONSE, source, one.span, *edits, title=resource.title, name=one.name
            )
