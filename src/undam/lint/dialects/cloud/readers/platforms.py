"""Readers for application platforms: vercel.json, fly.toml, app.yaml and web.config."""

from __future__ import annotations

from collections.abc import Iterator

from undam.lint.dialects.cloud.parser import read_xml
from undam.lint.dialects.cloud.routes import (
    CloudFact,
    CloudResource,
    CloudSetting,
    LimitSpec,
    blocks_at,
)
from undam.lint.evidence.hop import Tier
from undam.textfiles.source import Source
from undam.textfiles.toml_reader import read_toml
from undam.textfiles.tree import Entry, Node, walk
from undam.textfiles.tree_edit import replace_value

_MAX_DURATION = LimitSpec(CloudFact.TOTAL, ("maxDuration",), None, "800", max_s=800.0)
_FLY_IDLE = LimitSpec(CloudFact.IDLE, ("idle_timeout",), 60.0, "3600")


def read_vercel(root: Node, source: Source) -> list[CloudResource]:
    """Return the functions in a vercel.json, each named by its file pattern."""
    table = root.get("functions")
    found = []
    for entry in table.entries if table is not None else ():
        path = "/" + entry.key.text.strip("/").rpartition(".")[0].removeprefix("app/")
        one = CloudResource(Tier.APP, "Vercel", entry.key.text, entry.key.start)
        one.paths.append(path.removesuffix("/route").replace("*", ""))
        owner = entry.key.start, entry.key.end
        one.settings += _MAX_DURATION.settings(entry.value, owner, source)
        found.append(one)
    return found


def read_fly(source: Source) -> list[CloudResource]:
    """Return the services in a fly.toml.

    Raises:
        ConfigSyntaxError: the text is not TOML.
    """
    root = read_toml(source)
    app = root.get("app")
    services = [
        *((entry, entry.value) for entry in root.entries if entry.key.text == "http_service"),
        *((entry, item) for entry, item in _services(root)),
    ]
    found = []
    for entry, node in services:
        address = app.text if app is not None else "fly"
        one = CloudResource(Tier.LOAD_BALANCER, "Fly.io", address, entry.key.start)
        owner = entry.key.start, entry.key.end
        options = [*blocks_at([node], ("http_options",)), *_port_options(node)]
        one.settings += [
            setting for each in options for setting in _FLY_IDLE.settings(each, owner, source)
        ]
        if not options:
            one.settings.append(
                CloudSetting(CloudFact.IDLE, "idle_timeout", owner, 60.0, is_explicit=False)
            )
        one.settings += [setting for each in options for setting in _compressed(each, source)]
        found.append(one)
    return found


def _services(root: Node) -> Iterator[tuple[Entry, Node]]:
    for entry in root.entries:
        if entry.key.text == "services":
            yield from ((entry, item) for item in entry.value.items)


def _port_options(service: Node) -> Iterator[Node]:
    yield from blocks_at([service], ("ports", "http_options"))


def _compressed(options: Node, source: Source) -> Iterator[CloudSetting]:
    entry = options.entry("compress")
    if entry is not None and entry.value.text == "true":
        edit = replace_value(source, entry.value, "false")
        span = entry.key.start, entry.value.end
        yield CloudSetting(CloudFact.COMPRESSION, "compress = true", span, edit=edit)


def read_app_engine(root: Node, _source: Source) -> list[CloudResource]:
    """Return the service in an app.yaml. Only the flexible environment supports streaming."""
    runtime, environment = root.entry("runtime"), root.get("env")
    if runtime is None:
        return []
    service = root.get("service")
    address = service.text if service is not None else "app"
    one = CloudResource(Tier.APP, "App Engine", address, runtime.key.start)
    if environment is None or environment.text not in {"flex", "flexible"}:
        span = runtime.key.start, runtime.value.end
        label = "the standard environment cannot stream"
        one.settings.append(CloudSetting(CloudFact.BUFFERING, label, span, is_explicit=False))
    return [one]


def read_web_config(source: Source) -> list[CloudResource]:
    """Return IIS as configured in a web.config: as a proxy or as an application server.

    Raises:
        ConfigSyntaxError: the text is not XML.
    """
    root = read_xml(source)
    elements = [(entry.key, entry.value) for node in walk(root) for entry in node.entries]
    targets = [
        (key, url)
        for key, node in elements
        if key.text == "action"
        and (url := node.get("url")) is not None
        and url.text.startswith(("http://", "https://"))
    ]
    hosted = [key for key, node in elements if key.text == "iisnode" or _runs_iisnode(key, node)]
    if not targets and not hosted:
        return []
    first = targets[0][0] if targets else hosted[0]
    one = CloudResource(Tier.PROXY, "IIS", "iis", first.start)
    one.upstreams += [url.text for _, url in targets]
    one.paths += [
        "/" + url.text.strip("^/")
        for key, node in elements
        if key.text == "match"
        and (url := node.get("url")) is not None
        and url.text.strip("^(.*)$/")
    ]
    for key, node in elements:
        one.settings += _iis_settings(key, node, source)
    return [one]


def _runs_iisnode(key: Node, node: Node) -> bool:
    """Return whether an element registers iisnode, the handler for Node.js applications."""
    modules = node.get("modules") if key.text == "add" else None
    return modules is not None and "iisnode" in modules.text.lower()


def _iis_settings(key: Node, node: Node, source: Source) -> Iterator[CloudSetting]:
    if _runs_iisnode(key, node):
        limit = node.get("responseBufferLimit")
        if limit is None or limit.text != "0":
            label = 'the handler iisnode has no responseBufferLimit="0"'
            yield CloudSetting(CloudFact.BUFFERING, label, (key.start, key.end))
    elif key.text == "proxy":
        entry = node.entry("responseBufferLimit")
        if entry is not None and entry.value.text != "0":
            span = entry.key.start, entry.value.end
            label = f"responseBufferLimit is {entry.value.text} KB"
            edit = replace_value(source, entry.value, "0")
            yield CloudSetting(CloudFact.BUFFERING, label, span, edit=edit)
    elif key.text == "iisnode":
        entry = node.entry("flushResponse")
        if entry is None or entry.value.text != "true":
            span = (key.start, key.end) if entry is None else (entry.key.start, entry.value.end)
            label = "iisnode does not set flushResponse"
            edit = replace_value(source, entry.value, "true") if entry is not None else None
            yield CloudSetting(
                CloudFact.BUFFERING, label, span, is_explicit=entry is not None, edit=edit
            )
    elif key.text == "urlCompression":
        entry = node.entry("doDynamicCompression")
        if entry is not None and entry.value.text == "true":
            span = entry.key.start, entry.value.end
            label = "dynamic compression"
            edit = replace_value(source, entry.value, "false")
            yield CloudSetting(CloudFact.COMPRESSION, label, span, edit=edit)
