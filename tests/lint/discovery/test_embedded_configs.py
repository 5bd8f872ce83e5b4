"""Detection of configurations that are embedded in other files."""

from __future__ import annotations

import pytest

from undam.lint.discovery.embedded_configs import find_embedded
from undam.lint.files import FileUse
from undam.textfiles.source import Source

NGINX = "server {\n  listen 80;\n  location / { proxy_pass http://a; }\n}\n"
CADDY = ":80 {\n\treverse_proxy a:80\n}\n"


def indented(text: str, by: str = "    ") -> str:
    return "".join(by + line for line in text.splitlines(keepends=True))


def found(text: str, use: FileUse, name: str) -> list[tuple[str, str]]:
    """Return the dialect and the first line of each embedded configuration."""
    return [
        (one.dialect.name, text[one.start : one.end].lstrip().partition("\n")[0])
        for one in find_embedded(Source(name, text), use, name)
    ]


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("map.yaml", f"data:\n  site.conf: |\n{indented(NGINX)}", [("nginx", "server {")]),
        ("map.tpl", f"data:\n  Caddyfile: |\n{indented(CADDY)}", [("caddy", ":80 {")]),
        ("map.yml", f"configs:\n  content: |\n{indented(NGINX)}", [("nginx", "server {")]),
        ("map.yaml", f"a:\n  x: |\n{indented(NGINX)}\n  y: |\n    text\n", [("nginx", "server {")]),
        ("map.yaml", "a: |\n  The listen address.\n", []),
        ("map.yaml", "a: |\n  text\n", []),
        ("map.yaml", "a: proxy_pass\n", []),
        ("site.conf", f"# a: |\n{indented(NGINX)}", []),
        (
            "run.yaml",
            f"run: |\n  cat > a.conf <<EOF\n{indented(NGINX)}  EOF\n",
            [("nginx", "server {")],
        ),
        ("main.tf", f"a = <<-EOT\n{indented(NGINX)}  EOT\n", [("nginx", "server {")]),
    ],
)
def test_block_scalars_of_yaml(name: str, text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text, FileUse.CONFIGURATION, name) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"cat > /etc/nginx/conf.d/a.conf <<'EOF'\n{NGINX}EOF\n", [("nginx", "server {")]),
        (f"COPY <<EOF /etc/caddy/Caddyfile\n{CADDY}EOF\n", [("caddy", ":80 {")]),
        (f"tee x <<EOF\n{NGINX}EOF\n", [("nginx", "server {")]),
        ("cat > a <<EOF\nlisten \nEOF\n", []),
    ],
)
def test_here_documents(text: str, expected: list[tuple[str, str]]) -> None:
    assert found(text, FileUse.CONTAINER, "setup.sh") == expected


@pytest.mark.parametrize(
    ("language", "text", "expected"),
    [
        ("nginx", NGINX, [("nginx", "server {")]),
        ("Caddyfile", CADDY, [("caddy", ":80 {")]),
        ("", NGINX, [("nginx", "server {")]),
        ("python", "proxy_pass = 1\n", []),
    ],
)
def test_code_fences(language: str, text: str, expected: list[tuple[str, str]]) -> None:
    page = f"# Page\n\n```{language}\n{text}```\n"
    assert found(page, FileUse.MARKDOWN, "page.md") == expected
