"""Reader for Terraform and OpenTofu resources."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from undam.lint.dialects.cloud.parser import read_terraform
from undam.lint.dialects.cloud.routes import (
    CloudFact,
    CloudResource,
    CloudSetting,
    LimitSpec,
    blocks_at,
    insert,
)
from undam.lint.evidence.hop import Tier
from undam.textfiles.source import Source
from undam.textfiles.tree import Entry, Node, items_of, walk
from undam.textfiles.tree_edit import replace_value

_IDLE, _TOTAL = CloudFact.IDLE, CloudFact.TOTAL
_REFERENCE = re.compile(r"\b((?:aws|google|azurerm)_\w+\.\w+)")
_NAMES = ("name", "function_name", "domain_name", "comment", "description", "path_part")
_LB = LimitSpec(_IDLE, ("idle_timeout",), 60.0, "3600")
_KINDS: Mapping[str, tuple[Tier, str, tuple[LimitSpec, ...]]] = {
    "aws_lb": (Tier.LOAD_BALANCER, "AWS load balancer", (_LB,)),
    "aws_alb": (Tier.LOAD_BALANCER, "AWS load balancer", (_LB,)),
    "aws_elb": (Tier.LOAD_BALANCER, "AWS load balancer", (_LB,)),
    "aws_cloudfront_distribution": (
        Tier.CDN,
        "CloudFront",
        (
            LimitSpec(
                _IDLE,
                ("origin", "custom_origin_config", "origin_read_timeout"),
                30.0,
                "120",
                max_s=120.0,
            ),
            LimitSpec(_TOTAL, ("origin", "response_completion_timeout"), None, "3600"),
        ),
    ),
    "aws_api_gateway_integration": (
        Tier.GATEWAY,
        "API Gateway",
        (LimitSpec(_TOTAL, ("timeout_milliseconds",), None, "900000", 1e-3, 900.0),),
    ),
    "aws_apigatewayv2_integration": (
        Tier.GATEWAY,
        "API Gateway (HTTP API)",
        (LimitSpec(_TOTAL, ("timeout_milliseconds",), 30.0, "30000", 1e-3, 30.0),),
    ),
    "aws_lambda_function_url": (Tier.GATEWAY, "Lambda function URL", ()),
    "google_compute_backend_service": (
        Tier.LOAD_BALANCER,
        "Google load balancer",
        (LimitSpec(_TOTAL, ("timeout_sec",), 30.0, "3600"),),
    ),
    "google_compute_region_backend_service": (
        Tier.LOAD_BALANCER,
        "Google load balancer",
        (LimitSpec(_TOTAL, ("timeout_sec",), 30.0, "3600"),),
    ),
    "google_cloud_run_v2_service": (
        Tier.APP,
        "Cloud Run",
        (LimitSpec(_TOTAL, ("template", "timeout"), 300.0, "3600s"),),
    ),
    "google_cloud_run_service": (
        Tier.APP,
        "Cloud Run",
        (LimitSpec(_TOTAL, ("template", "spec", "timeout_seconds"), 300.0, "3600"),),
    ),
    "azurerm_application_gateway": (
        Tier.LOAD_BALANCER,
        "Azure Application Gateway",
        (LimitSpec(_IDLE, ("backend_http_settings", "request_timeout"), 30.0, "3600"),),
    ),
    "azurerm_cdn_frontdoor_profile": (
        Tier.CDN,
        "Azure Front Door",
        (LimitSpec(_IDLE, ("response_timeout_seconds",), 120.0, "240", max_s=240.0),),
    ),
}
_FUNCTION_TIMEOUT = LimitSpec(_TOTAL, ("timeout",), 3.0, "900", max_s=900.0)
# Resources that pass the stream of a Lambda function on.
_INVOKERS = frozenset({"aws_lambda_function_url", "aws_api_gateway_integration"})
_HTTP = frozenset({"HTTP", "HTTPS", "HTTP2", "H2C", "GRPC"})
_STREAM_TYPES = frozenset({"AWS_PROXY", "HTTP_PROXY"})


def read_resources(source: Source) -> list[CloudResource]:
    """Return the resources in a Terraform file that may carry streams.

    Raises:
        ConfigSyntaxError: the text cannot be parsed.
    """
    root = read_terraform(source)
    blocks: dict[str, Entry] = {}
    for entry in root.entries:
        words = entry.key.text.replace('"', "").split()
        if len(words) == 3 and words[0] == "resource":
            blocks[f"{words[1]}.{words[2]}"] = entry
    graph = _ResourceGraph(blocks, source)
    return [
        _resource(address, entry, graph)
        for address, entry in blocks.items()
        if _carries_http(address.partition(".")[0], entry.value)
        and not any(_is_web_socket(graph.node(one)) for one in graph.references[address])
    ]


class _ResourceGraph:
    """The resources in a file, and the references between them."""

    def __init__(self, blocks: Mapping[str, Entry], source: Source) -> None:
        self.source = source
        self.blocks = blocks
        self.references: dict[str, list[str]] = {}
        self.users: dict[str, list[str]] = {}
        for address, entry in blocks.items():
            named = _references(entry.value, source) - {address}
            self.references[address] = sorted(named & set(blocks))
            for one in self.references[address]:
                self.users.setdefault(one, []).append(address)

    def node(self, address: str) -> Node:
        return self.blocks[address].value

    def listeners(self, address: str) -> Iterator[str]:
        """Yield the resources that refer to this one, and the rules that refer to its listeners."""
        for user in self.users.get(address, ()):
            yield user
            if "_listener" in user:
                yield from self.users.get(user, ())


def _is_web_socket(node: Node) -> bool:
    """Return whether a resource is a WebSocket API, whose messages are not held."""
    return _text(node, "protocol_type") == "WEBSOCKET"


def _carries_http(kind: str, node: Node) -> bool:
    """Return whether a resource carries HTTP. A network load balancer only relays bytes."""
    if kind not in _KINDS:
        return False
    if kind in {"aws_lb", "aws_alb"}:
        return _text(node, "load_balancer_type") in {"", "application"}
    if kind == "google_compute_backend_service":
        return _text(node, "protocol") in {"", *_HTTP}
    if kind == "google_compute_region_backend_service":
        return _text(node, "protocol") in _HTTP
    if "_integration" in kind:
        name = "type" if kind == "aws_api_gateway_integration" else "integration_type"
        return _text(node, name) in _STREAM_TYPES
    return True


def _resource(address: str, entry: Entry, graph: _ResourceGraph) -> CloudResource:
    kind = address.partition(".")[0]
    tier, title, specs = _KINDS[kind]
    node, owner = entry.value, (entry.key.start, entry.key.end)
    found = CloudResource(tier, title, address, entry.key.start)
    found.names += _names_of(node)
    found.upstreams += graph.references[address]
    for user in graph.listeners(address):
        _add_listener(found, user, graph)
    for reference in graph.references[address]:
        found.names += _names_of(graph.node(reference))
        part = _text(graph.node(reference), "path_part")
        found.paths += [f"/{part}"] if part else []
    for spec in specs:
        found.settings += spec.settings(node, owner, graph.source)
    found.settings += _buffering(kind, node, owner, graph.source)
    for behavior in blocks_at([node], ("ordered_cache_behavior",)):
        found.paths += list(filter(None, [_text(behavior, "path_pattern")]))
    for reference in graph.references[address] if kind in _INVOKERS else ():
        if reference.startswith("aws_lambda_function."):
            function = graph.blocks[reference]
            span = function.key.start, function.key.end
            found.settings += _FUNCTION_TIMEOUT.settings(function.value, span, graph.source)
    return found


def _add_listener(found: CloudResource, address: str, graph: _ResourceGraph) -> None:
    """Add the paths and targets of a listener, rule or route to a cloud resource."""
    node = graph.node(address)
    key = _text(node, "route_key")
    if " /" in key:
        found.paths.append(key.partition(" ")[2])
    if "_listener" not in address:
        return
    for reference in graph.references[address]:
        if "target_group" in reference:
            found.names += [*_names_of(graph.node(reference)), reference.partition(".")[2]]
    for pattern in blocks_at([node], ("condition", "path_pattern")):
        found.paths += [item.text.rstrip("*") for item in items_of(pattern.get("values"))]


def _names_of(node: Node) -> Iterator[str]:
    for name in _NAMES:
        if text := _text(node, name):
            yield text
    for tags in blocks_at([node], ("tags",)):
        if text := _text(tags, "Name"):
            yield text
    yield from (item.text for item in items_of(node.get("aliases")))
    for origin in blocks_at([node], ("origin",)):
        if text := _text(origin, "domain_name"):
            yield text


def _references(node: Node, source: Source) -> set[str]:
    return {
        found
        for one in walk(node)
        if one.kind == "scalar"
        for found in _REFERENCE.findall(source.text[one.start : one.end])
    }


def _text(node: Node, name: str) -> str:
    found = node.get(name)
    return found.text if found is not None and found.kind == "scalar" else ""


def _buffering(
    kind: str, node: Node, owner: tuple[int, int], source: Source
) -> Iterator[CloudSetting]:
    """Yield the setting or default that makes a resource buffer its responses."""
    if kind == "aws_api_gateway_integration":
        found = _mode(node, "response_transfer_mode", "STREAM", owner, source)
        yield from found
        if found and node.entry("timeout_milliseconds") is None:
            name = "an integration without the mode STREAM"
            yield CloudSetting(_TOTAL, name, owner, 29.0, is_explicit=False)
    elif kind == "aws_lambda_function_url":
        yield from _mode(node, "invoke_mode", "RESPONSE_STREAM", owner, source)
    elif kind == "aws_apigatewayv2_integration":
        yield CloudSetting(CloudFact.BUFFERING, "HTTP APIs cannot stream", owner, is_explicit=False)
    elif kind == "azurerm_application_gateway":
        name = "response_buffering_enabled"
        blocks = list(blocks_at([node], ("global",)))
        entries = [block.entry(name) for block in blocks]
        if not any(entry is not None and entry.value.text == "false" for entry in entries):
            entry = entries[0] if entries else None
            edit = replace_value(source, entry.value, "false") if entry is not None else None
            span = owner if entry is None else (entry.key.start, entry.value.end)
            label = "response buffering is on"
            yield CloudSetting(
                CloudFact.BUFFERING, label, span, is_explicit=entry is not None, edit=edit
            )


def _mode(
    node: Node, name: str, wanted: str, owner: tuple[int, int], source: Source
) -> list[CloudSetting]:
    """Return the setting ``name`` if it enables buffering. Expressions are not evaluated."""
    entry = node.entry(name)
    if entry is None:
        edit = insert(node, name, wanted, source)
        label = f"{name} is not {wanted}"
        return [CloudSetting(CloudFact.BUFFERING, label, owner, is_explicit=False, edit=edit)]
    if entry.value.text == wanted or not entry.value.quoted:
        return []
    edit = replace_value(source, entry.value, wanted)
    label = f"{name} is {entry.value.text}"
    return [CloudSetting(CloudFact.BUFFERING, label, (entry.key.start, entry.value.end), edit=edit)]
