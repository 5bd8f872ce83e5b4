"""Readers for CloudFormation templates, SAM templates and serverless.yml."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.dialects.cloud.routes import (
    CloudFact,
    CloudResource,
    CloudSetting,
    LimitSpec,
    blocks_at,
    insert,
    seconds_of,
)
from undam.lint.evidence.hop import Tier
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node, items_of, walk
from undam.textfiles.tree_edit import replace_value

_IDLE, _TOTAL, _BUFFERING = CloudFact.IDLE, CloudFact.TOTAL, CloudFact.BUFFERING
_ORIGIN = LimitSpec(
    _IDLE,
    ("DistributionConfig", "Origins", "CustomOriginConfig", "OriginReadTimeout"),
    30.0,
    "120",
    max_s=120.0,
)
_API_TIMEOUT = LimitSpec(_TOTAL, ("Integration", "TimeoutInMillis"), None, "900000", 1e-3, 900.0)
_FUNCTION_TIMEOUT = LimitSpec(_TOTAL, ("Timeout",), 3.0, "900", max_s=900.0)
_SERVERLESS_TIMEOUT = LimitSpec(_TOTAL, ("timeout",), 6.0, "900", max_s=900.0)
_STREAM = "RESPONSE_STREAM"


def read_template(root: Node, source: Source) -> list[CloudResource]:
    """Return the resources in a CloudFormation or SAM template that may carry streams."""
    table = root.get("Resources")
    shared = next(blocks_at([root], ("Globals", "Function")), None)
    found: list[CloudResource] = []
    for entry in table.entries if table is not None else ():
        kind = _text(entry.value, "Type")
        properties = _properties(entry.value)
        if kind == "AWS::Serverless::Function":
            limits = _limits(_FUNCTION_TIMEOUT, properties, shared, _key_span(entry), source)
            found += _sam_function(entry, properties, limits, source)
        elif kind == "AWS::ApiGatewayV2::Integration" and _is_web_socket(properties, table):
            continue
        elif (one := _resource(kind, entry, properties, source)) is not None:
            for function in _referenced(properties.get("TargetFunctionArn"), table):
                node, owner = _properties(function.value), _key_span(function)
                one.settings += _FUNCTION_TIMEOUT.settings(node, owner, source)
            found.append(one)
    return found


def _properties(resource: Node) -> Node:
    return resource.get("Properties") or Node("map", resource.start, resource.end)


def _key_span(entry: Entry) -> tuple[int, int]:
    return entry.key.start, entry.key.end


def _limits(
    spec: LimitSpec, own: Node, shared: Node | None, owner: tuple[int, int], source: Source
) -> list[CloudSetting]:
    """Return the limit of a function, or else the one that all functions share."""
    name = spec.path[-1]
    is_shared = shared is not None and own.entry(name) is None and shared.entry(name) is not None
    return spec.settings(shared if is_shared and shared else own, owner, source)


def _referenced(value: Node | None, table: Node | None) -> Iterator[Entry]:
    """Yield the resources of a template that a value refers to."""
    names = (
        {one.text.partition(".")[0] for one in walk(value) if one.kind == "scalar"} if value else ()
    )
    for entry in table.entries if table is not None else ():
        if entry.key.text in names:
            yield entry


def _is_web_socket(integration: Node, table: Node | None) -> bool:
    """Return whether an integration belongs to a WebSocket API, whose messages are not held."""
    return any(
        _text(_properties(api.value), "ProtocolType") == "WEBSOCKET"
        for api in _referenced(integration.get("ApiId"), table)
    )


def _resource(kind: str, entry: Entry, properties: Node, source: Source) -> CloudResource | None:
    owner = entry.key.start, entry.key.end
    new = CloudResource(Tier.GATEWAY, "", entry.key.text, entry.key.start)
    new.names += [text for name in ("Name", "FunctionName") if (text := _text(properties, name))]
    match kind:
        case "AWS::ElasticLoadBalancingV2::LoadBalancer":
            if _text(properties, "Type") in {"network", "gateway"}:
                return None
            new.tier, new.title = Tier.LOAD_BALANCER, "AWS load balancer"
            new.settings.append(_balancer_limit(properties, owner, source))
        case "AWS::CloudFront::Distribution":
            new.tier, new.title = Tier.CDN, "CloudFront"
            new.settings += _ORIGIN.settings(properties, owner, source)
            behaviors = blocks_at([properties], ("DistributionConfig", "CacheBehaviors"))
            new.paths = [path for one in behaviors if (path := _text(one, "PathPattern"))]
        case "AWS::Lambda::Url":
            new.title = "Lambda function URL"
            new.settings += _mode(properties, "InvokeMode", _STREAM, owner, source)
        case "AWS::ApiGateway::Method":
            integration = properties.get("Integration")
            if integration is None or _text(integration, "Type") not in {"AWS_PROXY", "HTTP_PROXY"}:
                return None
            new.title = "API Gateway"
            new.settings += _API_TIMEOUT.settings(properties, owner, source)
            new.settings += _mode(integration, "ResponseTransferMode", "STREAM", owner, source)
        case "AWS::ApiGatewayV2::Integration":
            new.title = "API Gateway (HTTP API)"
            new.settings.append(_never_streams(owner))
        case _:
            return None
    return new


def _balancer_limit(properties: Node, owner: tuple[int, int], source: Source) -> CloudSetting:
    name = "idle_timeout.timeout_seconds"
    for item in items_of(properties.get("LoadBalancerAttributes")):
        value = item.get("Value")
        if _text(item, "Key") == name and value is not None:
            edit = replace_value(source, value, "3600")
            return CloudSetting(_IDLE, name, (value.start, value.end), seconds_of(value), edit=edit)
    return CloudSetting(_IDLE, name, owner, 60.0, is_explicit=False)


def _never_streams(span: tuple[int, int], *, is_explicit: bool = False) -> CloudSetting:
    return CloudSetting(_BUFFERING, "HTTP APIs cannot stream", span, is_explicit=is_explicit)


def _sam_function(
    entry: Entry, properties: Node, limits: list[CloudSetting], source: Source
) -> Iterator[CloudResource]:
    owner = _key_span(entry)
    names = [entry.key.text, *filter(None, [_text(properties, "FunctionName")])]
    for url in blocks_at([properties], ("FunctionUrlConfig",)):
        one = CloudResource(Tier.GATEWAY, "Lambda function URL", entry.key.text, entry.key.start)
        one.names, one.settings = names, [*_mode(url, "InvokeMode", _STREAM, owner, source)]
        one.settings += limits
        yield one
    events = properties.get("Events")
    for event in events.entries if events is not None else ():
        kind = _text(event.value, "Type")
        path = next((_text(one, "Path") for one in blocks_at([event.value], ("Properties",))), "")
        span = event.key.start, event.key.end
        one = CloudResource(Tier.GATEWAY, "API Gateway", entry.key.text, event.key.start)
        one.names, one.paths = names, [path] if path else []
        one.settings += limits
        if kind == "HttpApi":
            one.title = "API Gateway (HTTP API)"
            one.settings.append(_never_streams(span))
            yield one
        elif kind == "Api":
            mode = next(iter(blocks_at([event.value], ("Properties",))), event.value)
            one.settings += _mode(mode, "ResponseTransferMode", "STREAM", span, source)
            yield one


def read_serverless(root: Node, source: Source) -> list[CloudResource]:
    """Return the functions in a serverless.yml with the events and URLs that invoke them."""
    table, provider = root.get("functions"), root.get("provider")
    found: list[CloudResource] = []
    for entry in table.entries if table is not None else ():
        if entry.value.kind == "map":
            owner = _key_span(entry)
            limits = _limits(_SERVERLESS_TIMEOUT, entry.value, provider, owner, source)
            found += _function(entry, limits, source)
    return found


def _function(entry: Entry, limits: list[CloudSetting], source: Source) -> Iterator[CloudResource]:
    node = entry.value
    url = node.entry("url")
    if url is not None and url.value.text != "false":
        one = CloudResource(Tier.GATEWAY, "Lambda function URL", entry.key.text, entry.key.start)
        span = url.key.start, url.key.end
        if url.value.kind == "map":
            one.settings += _mode(url.value, "invokeMode", _STREAM, span, source)
        else:
            label = f"invokeMode is not {_STREAM}"
            one.settings.append(CloudSetting(_BUFFERING, label, span, is_explicit=False))
        one.names, one.settings = [entry.key.text], [*one.settings, *limits]
        yield one
    for event in items_of(node.get("events")):
        for api in event.entries:
            if api.key.text not in {"http", "httpApi"}:
                continue
            span = api.key.start, api.key.end
            one = CloudResource(Tier.GATEWAY, "API Gateway", entry.key.text, api.key.start)
            one.names = [entry.key.text]
            one.paths += list(filter(None, [_path_of(api.value)]))
            one.settings += limits
            if api.key.text == "httpApi":
                one.title = "API Gateway (HTTP API)"
                one.settings.append(_never_streams(span, is_explicit=True))
            elif not _has_stream_mode(api.value):
                label = "the response transfer mode is not STREAM"
                one.settings.append(CloudSetting(_BUFFERING, label, span, is_explicit=False))
            yield one


def _path_of(event: Node) -> str:
    """Return the path of an HTTP event, given as ``{path: /chat}`` or ``POST /chat``."""
    text = event.text if event.kind == "scalar" else _text(event, "path")
    path = text.rpartition(" ")[2]
    return "" if path in {"", "*"} else "/" + path.lstrip("/")


def _has_stream_mode(event: Node) -> bool:
    nodes = [event, *blocks_at([event], ("response",))]
    return any(
        "transfermode" in one.key.text.lower() and one.value.text.upper() == "STREAM"
        for node in nodes
        for one in node.entries
    )


def _mode(
    node: Node, name: str, wanted: str, owner: tuple[int, int], source: Source
) -> list[CloudSetting]:
    entry = node.entry(name)
    if entry is None:
        edit = insert(node, name, wanted, source)
        label = f"{name} is not {wanted}"
        return [CloudSetting(_BUFFERING, label, owner, is_explicit=False, edit=edit)]
    if entry.value.kind != "scalar" or entry.value.has_properties or entry.value.text == wanted:
        return []
    edit = replace_value(source, entry.value, wanted)
    label = f"{name} is {entry.value.text}"
    return [CloudSetting(_BUFFERING, label, (entry.key.start, entry.value.end), edit=edit)]


def _text(node: Node, name: str) -> str:
    found = node.get(name)
    return found.text if found is not None and found.kind == "scalar" else ""
