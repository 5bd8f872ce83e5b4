"""Reader for Traefik settings in a compose file: service labels, and options of Traefik itself."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from undam.lint.diagnostics import Diagnostic
from undam.lint.dialects.compose.parser import (
    ComposeService,
    ComposeSetting,
    add_setting,
    split_key,
)
from undam.lint.dialects.traefik.rules.compression import COMPRESS
from undam.textfiles.edits import Edit
from undam.textfiles.source import Source
from undam.textfiles.tokens import Word
from undam.textfiles.tree import Entry, Node

_LABEL = "traefik."
_VARIABLE = "TRAEFIK_"
_STATIC = ("entrypoints", "serverstransport")


def traefik_tree(services: Iterable[ComposeService], source: Source) -> Node | None:
    """Return the Traefik configuration in a compose file; ``None`` if there is none.

    A router without a service leads to the compose service that has the label.
    """
    root = Node("map", 0, 0, form="implicit", aliased=True)
    for service in services:
        labels = [one for one in service.labels(source) if one.key.text.lower().startswith(_LABEL)]
        for label in labels:
            path = list(split_key(label.key, ".", len(_LABEL)))
            if path[0].text.lower() == "http":
                add_setting(root, path, label)
        if labels:
            _link(root, service, labels)
        if "traefik" in service.text("image"):
            _add_static(root, service, source)
    return root if root.entries else None


def with_label_edits(
    one: Diagnostic, services: Iterable[ComposeService], source: Source
) -> Diagnostic:
    """Add a fix to a compression diagnostic, if the fix can be expressed in the label.

    ``compress=true`` becomes ``compress.excludedcontenttypes=text/event-stream``, which turns
    compression on for all other types.
    """
    if one.rule is not COMPRESS or one.edits:
        return one
    for service in services:
        for label in service.labels(source):
            key, value = label.key, label.value
            line, column = source.position(key.end - len("compress"))
            is_label = key.text.lower().endswith(".compress") and (line, column) == (
                one.line,
                one.column,
            )
            if is_label and label.is_exact and value.text.lower() == "true":
                renamed = Edit(key.end, key.end, ".excludedcontenttypes")
                return replace(one, edits=(renamed, Edit(*value.span, "text/event-stream")))
    return one


def _add_static(root: Node, service: ComposeService, source: Source) -> None:
    for option in service.options(source):
        path = list(split_key(option.key, ".", 2))
        if path[0].text.lower() in _STATIC:
            add_setting(root, path, option)
    for variable in service.settings(source, "environment"):
        if variable.key.text.startswith(_VARIABLE):
            path = list(split_key(variable.key, "_", len(_VARIABLE)))
            if path[0].text.lower() in _STATIC:
                add_setting(root, path, variable)


def _link(root: Node, service: ComposeService, labels: list[ComposeSetting]) -> None:
    """Add a compose service as the server of the Traefik service and routers in its labels."""
    http = root.get("http", ignore_case=True)
    if http is None:
        return
    routers = _names(labels, "routers")
    named = _names(labels, "services")
    port = ""
    for label in labels:
        if label.key.text.lower().endswith(".loadbalancer.server.port"):
            port = label.value.text
    url = f"http://{service.name}:{port}" if port else f"http://{service.name}"
    name = named[0] if named else f"{service.name}@{service.name}"
    table = _child(http, "services")
    balancer = _child(_child(table, name), "loadbalancer")
    at = labels[0].key.start
    server = Node("map", at, at, form="implicit", aliased=True)
    server.entries.append(Entry(_text("url", at), _text(url, at)))
    servers = Node("list", at, at, form="implicit", aliased=True, items=[server])
    balancer.entries.append(Entry(_text("servers", at), servers))
    for router in routers:
        node = _child(_child(http, "routers"), router)
        if node.entry("service", ignore_case=True) is None:
            node.entries.append(Entry(_text("service", at), _text(name, at)))


def _names(labels: list[ComposeSetting], kind: str) -> list[str]:
    """Return the names of the routers or services that are defined by labels."""
    found: dict[str, None] = {}
    prefix = f"{_LABEL}http.{kind}."
    for one in labels:
        if one.key.text.lower().startswith(prefix):
            found[one.key.text[len(prefix) :].partition(".")[0]] = None
    return list(found)


def _child(node: Node, name: str) -> Node:
    entry = node.entry(name.lower(), ignore_case=True)
    if entry is None:
        entry = Entry(_text(name, node.start), Node("map", node.start, node.start, form="implicit"))
        entry.value.aliased = True
        node.entries.append(entry)
    return entry.value


def _text(text: str, at: int) -> Node:
    word = Word(text, at, at)
    return Node("scalar", word.start, word.end, text, aliased=True)
