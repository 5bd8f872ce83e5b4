"""Configurations embedded in YAML block scalars, here-documents and Markdown code fences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from undam.lint.dialect import Dialect, has_any
from undam.lint.files import FileUse
from undam.lint.registry import recognise_dialects
from undam.textfiles.embedded import (
    EmbeddedText,
    heredocs,
    markdown_fences,
    quoted_writes,
    yaml_blocks,
)
from undam.textfiles.source import Source

# Every proxy configuration contains one of these words, whereas most embedded texts contain none.
_WORDS = (
    "proxy_pass", "_pass ", "server_name", "reverse_proxy", "frontend ", "backend ", "listen ",
    "static_resources", "type.googleapis.com/envoy", "entryPoints", "routers:", "ProxyPass",
    "proxy.server", "vcl 4", "http_access", "cache_peer", "proxy.config", "location ",
    "nginx.ingress.kubernetes.io", "gateway.networking.k8s.io", "gateway.envoyproxy.io",
    "networking.istio.io", "traefik.io/v1", "serving.kserve.io", "model_list:", "stream_interval:",
)  # fmt: skip
_HCL_NAME = re.compile(r"\.(?:tf|tofu|hcl|nomad)$", re.IGNORECASE)
_YAML_NAME = re.compile(r"\.(?:ya?ml|tpl)$", re.IGNORECASE)
# Maps a code fence's language to a typical file name.
_LANGUAGES = {
    "nginx": "nginx.conf", "caddy": "Caddyfile", "caddyfile": "Caddyfile", "haproxy": "haproxy.cfg",
    "apache": "httpd.conf", "apacheconf": "httpd.conf", "vcl": "default.vcl", "toml": "config.toml",
    "yaml": "config.yaml", "yml": "config.yaml", "lighttpd": "lighttpd.conf", "conf": "site.conf",
    "squid": "squid.conf", "": "site.conf",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class EmbeddedConfig:
    """A configuration that is embedded in a file.

    Args:
        dialect: its dialect.
        start, end: offsets in the text of the file.
    """

    dialect: Dialect
    start: int
    end: int


def find_embedded(source: Source, use: FileUse, name: str) -> Iterator[EmbeddedConfig]:
    """Yield the configurations that are embedded in a file, in text order.

    Args:
        name: the name by which the file is recognised; that of standard input is made up.
    """
    if use is FileUse.CONFIGURATION and not has_any(source.text, ": |", ":|", "- |", "<<"):
        return
    if not has_any(source.text, *_WORDS):
        return
    for one in _texts(source, use, name):
        text = source.text[one.start : one.end]
        if has_any(text, *_WORDS):
            for dialect in recognise_dialects(_name_of(one, use), _dedented(text)):
                yield EmbeddedConfig(dialect, one.start, one.end)


def _texts(source: Source, use: FileUse, name: str) -> Iterable[EmbeddedText]:
    text = source.text
    if use is FileUse.CONTAINER:
        return (*heredocs(text), *quoted_writes(text))
    if use is FileUse.MARKDOWN:
        return markdown_fences(text)
    if _HCL_NAME.search(name):
        return heredocs(text, is_indented=True)
    return _in_yaml(text) if _YAML_NAME.search(name) else ()


def _in_yaml(text: str) -> Iterator[EmbeddedText]:
    """Yield the block scalars in YAML, or the here-documents in those that are scripts."""
    for block in yaml_blocks(text):
        inner = list(heredocs(text[block.start : block.end], is_indented=True))
        for one in inner:
            yield EmbeddedText(one.name, block.start + one.start, block.start + one.end)
        if not inner:
            yield block


def _name_of(one: EmbeddedText, use: FileUse) -> str:
    """Return a file name from which the dialect can be detected; "-" if there is none."""
    if use is FileUse.MARKDOWN:
        return _LANGUAGES.get(one.name.lower(), "text.txt")
    if "." in one.name or "/" in one.name or one.name.lower() == "caddyfile":
        return one.name
    return "-"


def _dedented(text: str) -> str:
    """Remove the common indentation, because some dialects are detected by unindented lines."""
    lines = [line for line in text.split("\n") if line.strip()]
    indent = min((len(line) - len(line.lstrip(" ")) for line in lines), default=0)
    return "\n".join(line[indent:] for line in text.split("\n"))
