"""Checkers that validate a configuration (`nginx -t`, `haproxy -c`, …), for ``fix --verify``.

A checker reads the configuration as the program itself does: it opens includes, certificates and
modules. It is only run on request.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

_TIMEOUT_S = 30.0
_MAX_CHARS = 300
# A file that contains one of these blocks is a complete nginx.conf. All other files are parts that
# an nginx.conf includes.
_WHOLE_NGINX = re.compile(r"^[ \t]*(?:events|http)[ \t\r\n]*\{", re.MULTILINE)


def _nginx(path: str, folder: str) -> list[str]:
    main = path
    if not _WHOLE_NGINX.search(Path(path).read_text("utf-8", "replace")):
        main = str(Path(folder, "nginx.conf"))
        Path(main).write_text(f'events {{}}\nhttp {{ include "{path}"; }}\n')
    prefix = str(Path(path).parent)
    directives = f"pid {folder}/nginx.pid; error_log stderr;"
    return ["nginx", "-t", "-q", "-p", prefix, "-g", directives, "-c", main]


_CHECKERS: dict[str, Callable[[str, str], list[str]]] = {
    "nginx": _nginx,
    "haproxy": lambda path, _: ["haproxy", "-c", "-q", "-f", path],
    "caddy": lambda path, _: ["caddy", "validate", "--adapter", "caddyfile", "--config", path],
    "apache": lambda path, _: ["apache2", "-t", "-f", path],
    "lighttpd": lambda path, _: ["lighttpd", "-tt", "-f", path],
    "varnish": lambda path, folder: ["varnishd", "-C", "-n", folder, "-f", path],
    "squid": lambda path, _: ["squid", "-k", "parse", "-f", path],
}


def has_checker(dialect: str) -> bool:
    """Return whether a checker for this dialect is installed."""
    if dialect not in _CHECKERS:
        return False
    program = "apache2" if dialect == "apache" else dialect
    return shutil.which("varnishd" if dialect == "varnish" else program) is not None


def rejection(dialect: str, path: str) -> str | None:
    """Run the dialect's checker on a file.

    Returns:
        The last line of its output if it rejects the file; ``None`` if it accepts it.
    """
    import subprocess  # noqa: PLC0415 (slow to import, and rarely needed)

    path = os.path.realpath(path)
    with tempfile.TemporaryDirectory(prefix="undam-") as folder:
        command = _CHECKERS[dialect](path, folder)
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT_S,
                check=False, cwd=Path(path).parent,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"{command[0]} could not run: {error}"
    if done.returncode == 0:
        return None
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return f"{command[0]}: {(lines or ['rejects the file'])[0][:_MAX_CHARS]}"
