"""Reader for caddy-docker-proxy labels, from which a Caddyfile is generated."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from undam.lint.dialects.caddy.parser import CaddyDirective
from undam.lint.dialects.caddy.routes import CaddyConfig, CaddySite
from undam.lint.dialects.compose.parser import ComposeService, ComposeSetting, split_key
from undam.textfiles.source import Source
from undam.textfiles.tokens import Word

_KEY = re.compile(r"caddy(?:_\d+)?")
# `1_encode` is the `encode` directive in first position; `handle_1` is a second `handle`.
_ORDER = re.compile(r"^\d+_")
_WORD = re.compile(r"\{\{\s*upstreams(?:\s+(?:https?\s+)?(?P<port>\d+))?\s*\}\}|\S+")


def caddy_config(services: Iterable[ComposeService], source: Source) -> CaddyConfig | None:
    """Return the Caddy configuration that the labels describe; ``None`` if there is none."""
    config = CaddyConfig()
    for service in services:
        sites: dict[str, CaddySite] = {}
        for label in service.labels(source):
            parts = list(split_key(label.key, ".", 0))
            if not _KEY.fullmatch(parts[0].text):
                continue
            known = sites.get(parts[0].text)
            if len(parts) == 1:
                names = tuple(label.value.text.replace(",", " ").split())
                sites[parts[0].text] = CaddySite(names, known.lines if known else [])
                continue
            site = sites.setdefault(parts[0].text, CaddySite((), []))
            _add(site.lines, parts[1:], label, service, source)
        config.sites += [one for one in sites.values() if one.lines]
    return config if config.sites else None


def _add(
    lines: list[CaddyDirective],
    parts: list[Word],
    label: ComposeSetting,
    service: ComposeService,
    source: Source,
) -> None:
    directive: CaddyDirective | None = None
    for part in parts:
        name = _ORDER.sub("", part.text)
        directive = next((one for one in lines if one.name == name), None)
        if directive is None:
            start = label.key.start
            directive = CaddyDirective(source, start, [Word(name, part.start, part.end)])
            lines.append(directive)
        if part is not parts[-1]:
            if directive.block is None:
                directive.block = []
            lines = directive.block
    assert directive is not None  # a label has at least one part after the prefix
    directive.words += _words(label, service)


def _words(label: ComposeSetting, service: ComposeService) -> Iterator[Word]:
    for found in _WORD.finditer(label.value.text):
        text = found[0]
        if text.startswith("{{"):
            port = found["port"]
            text = f"{service.name}:{port}" if port else service.name
        start = label.value.start + found.start()
        yield Word(text, start, label.value.start + found.end())
