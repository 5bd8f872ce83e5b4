"""Is this a configuration of nginx? By its name, or by words that only nginx writes."""

from __future__ import annotations

import re

_NAMES = re.compile(
    r"(?:^|/)(?:nginx[^/]*\.conf|[^/]+\.nginx|(?:sites-(?:available|enabled)|nginx)/[^/.]+"
    r"|nginx[^/]*\.conf\.(?:template|tmpl|tpl))$"
)
_OTHER_SUFFIXES = re.compile(
    r"\.(?:ya?ml|json|toml|vcl|hcl|tf|py|js|ts|go|rs|c|h|cc|cpp|java|rb|php|sh|md|rst|html?|css|lua)$"
)
_BLOCK = re.compile(
    r"^[ \t]*(?:http|server|upstream[ \t]+\S+|location[ \t][^\n{;#]*|map[ \t]+\S+[ \t]+\$\w+)"
    r"[ \t]*\{",
    re.MULTILINE,
)
# `name value;`, as nobody else writes inside such blocks: no `=` behind the name.
_LINE = re.compile(
    r"(?:^|[{;])[ \t]*(?:listen|server_name|proxy_\w+|grpc_\w+|uwsgi_\w+|scgi_\w+|fastcgi_\w+"
    r"|server|root|include|return|access_log|error_log)[ \t]+[^\s={;][^\n;{]*;",
    re.MULTILINE,
)


def is_nginx(path: str, text: str) -> bool:
    """Whether nginx would be given this file."""
    if _NAMES.search(path):
        return True
    if _OTHER_SUFFIXES.search(path.lower()):
        return False
    return bool(_BLOCK.search(text) and _LINE.search(text))
