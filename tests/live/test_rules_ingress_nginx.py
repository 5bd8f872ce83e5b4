"""What the rules of ingress-nginx take from nginx itself; the controller would need a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.proxy_programs import NGINX, validate_config
from undam.lint.dialects.ingress_nginx.rules.ineffective import WRITTEN_BY_CONTROLLER

_VALUES = {
    "proxy_http_version": "1.1",
    "proxy_buffer_size": "4k",
    "proxy_buffers": "4 4k",
    "proxy_read_timeout": "60s",
    "proxy_send_timeout": "60s",
    "proxy_connect_timeout": "5s",
}


def _location(*lines: str) -> str:
    inside = " ".join(lines)
    return (
        "events {} http { server { listen 127.0.0.1:1; location / {"
        f" proxy_pass http://127.0.0.1:2; {inside} }} }} }}"
    )


@pytest.mark.parametrize("directive", sorted(WRITTEN_BY_CONTROLLER))
def test_nginx_refuses_a_directive_that_stands_twice(directive: str, tmp_path: Path) -> None:
    line = f"{directive} {_VALUES.get(directive, 'off')};"
    once, words = validate_config(NGINX, _location(line), tmp_path)
    assert once, words
    twice, words = validate_config(NGINX, _location(line, line), tmp_path)
    assert not twice
    assert f'"{directive}" directive is duplicate' in words


def test_nginx_takes_the_lines_that_may_be_added(tmp_path: Path) -> None:
    lines = ("proxy_set_header A b;", "proxy_set_header A b;", "chunked_transfer_encoding off;")
    accepted, words = validate_config(NGINX, _location(*lines), tmp_path)
    assert accepted, words
