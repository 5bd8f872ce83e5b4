"""Real proxies accept the suggested fixes. They only parse a configuration and do not start."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from undam.intermediaries import Trouble, intermediary

pytestmark = pytest.mark.live

_PATH = os.pathsep.join((str(Path(sys.prefix) / "bin"), os.environ["PATH"], "/usr/sbin"))

# name -> (command, configuration per `Trouble`; "" applies to all others). @ is replaced by the fix
# text.
_PARSERS: dict[str, tuple[list[str], dict[str, str]]] = {
    "nginx": (
        ["nginx", "-t", "-p", "{dir}", "-c", "{conf}"],
        {
            "": "pid {dir}/pid; error_log stderr; events {} http { access_log off;\n"
            "server { listen 127.0.0.1:1; location / {\nproxy_pass http://127.0.0.1:2;\n@\n} } }"
        },
    ),
    "haproxy": (
        ["haproxy", "-c", "-f", "{conf}"],
        {
            "": "defaults\n mode http\n timeout connect 5s\n timeout client 1h\n"
            " timeout server 50s\n"
            "listen l\n bind 127.0.0.1:1\n compression algo gzip\n @\n server s 127.0.0.1:2\n"
        },
    ),
    "lighttpd": (
        ["lighttpd", "-tt", "-f", "{conf}"],
        {"": 'server.document-root = "{dir}"\nserver.port = 1\n@\n'},
    ),
    "varnish": (
        ["varnishd", "-j", "none", "-C", "-n", "{dir}", "-f", "{conf}"],
        {
            "": 'vcl 4.1;\nbackend b { .host = "127.0.0.1"; .port = "2"; }\n'
            "sub vcl_backend_response {\n@\n}\n",
            Trouble.IDLE_LIMIT: 'vcl 4.1;\nbackend b { .host = "127.0.0.1"; .port = "2"; }\n'
            "sub vcl_backend_fetch {\n@\n}\n",
        },
    ),
    "apache": (
        ["apache2", "-t", "-f", "{conf}"],
        {
            "": 'ServerRoot "{dir}"\nServerName localhost\nListen 127.0.0.1:1\nErrorLog "{dir}/e"\n'
            'PidFile "{dir}/pid"\nDefine M /usr/lib/apache2/modules\n'
            "LoadModule mpm_event_module ${M}/mod_mpm_event.so\n"
            "LoadModule authz_core_module ${M}/mod_authz_core.so\n"
            "LoadModule env_module ${M}/mod_env.so\n"
            "LoadModule proxy_module ${M}/mod_proxy.so\n"
            "LoadModule proxy_fcgi_module ${M}/mod_proxy_fcgi.so\n@\n"
        },
    ),
    "caddy": (
        ["caddy", "adapt", "--adapter", "caddyfile", "--config", "{conf}"],
        {
            "": ":1 {\n\treverse_proxy 127.0.0.1:2 {\n\t\t@\n\t}\n}\n",
            Trouble.COMPRESSION: ":1 {\n\t@\n\treverse_proxy 127.0.0.1:2\n}\n",
        },
    ),
    "squid": (
        ["squid", "-k", "parse", "-f", "{conf}"],
        {"": "http_port 127.0.0.1:1\npid_filename none\n@\n"},
    ),
    "envoy": (
        ["envoy", "--mode", "validate", "-l", "error", "-c", "{conf}"],
        {
            "": "static_resources:\n"
            "  clusters:\n"
            "  - {name: c, connect_timeout: 1s, type: STATIC}\n"
            "  listeners:\n"
            "  - address: {socket_address: {address: 127.0.0.1, port_value: 1}}\n"
            "    filter_chains:\n"
            "    - filters:\n"
            "      - name: h\n"
            "        typed_config:\n"
            '          "@type": type.googleapis.com/envoy.extensions.filters.network'
            ".http_connection_manager.v3.HttpConnectionManager\n"
            "          stat_prefix: s\n"
            "          http_filters:\n"
            "          - name: r\n"
            "            typed_config:\n"
            '              "@type": type.googleapis.com/envoy.extensions.filters.http'
            ".router.v3.Router\n"
            "          route_config:\n"
            "            virtual_hosts:\n"
            '            - name: v\n              domains: ["*"]\n'
            "              routes:\n"
            '              - match: {prefix: "/"}\n'
            "                route:\n"
            "                  cluster: c\n"
            "                  @@\n"
        },
    ),
}
_PLACEHOLDERS = {"envoy": "@@"}

_CASES = [
    (program, entry, trouble)
    for program, entry in [*((name, name) for name in _PARSERS), ("apache", "apache-fcgi")]
    for trouble, fix in intermediary(entry).fixes.items()
    if fix.where == program
]


def _parse(program: str, trouble: Trouble, text: str, folder: Path) -> tuple[int, str]:
    """Return the exit code and the output when the program parses a configuration with ``text``."""
    if shutil.which(program_command := _PARSERS[program][0][0], path=_PATH) is None:
        message = f"{program_command} is not installed, so its fixes were not tested"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    command, surroundings = _PARSERS[program]
    template = surroundings.get(trouble, surroundings[""])
    conf = folder / "conf.yaml"  # Envoy derives the format from the file name.
    filled = template.replace(_PLACEHOLDERS.get(program, "@"), text).replace("{dir}", str(folder))
    conf.write_text(filled)
    done = subprocess.run(
        [part.replace("{dir}", str(folder)).replace("{conf}", str(conf)) for part in command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": _PATH, "HOME": str(folder)},
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize(("program", "entry", "trouble"), _CASES)
def test_the_program_accepts_its_fix(
    program: str, entry: str, trouble: Trouble, tmp_path: Path
) -> None:
    code, output = _parse(program, trouble, intermediary(entry).fixes[trouble].text, tmp_path)
    assert code == 0, output
    assert "unrecognized" not in output.lower()  # Squid only prints a warning for unknown lines.


@pytest.mark.parametrize("program", _PARSERS)
def test_the_program_rejects_an_unknown_directive(program: str, tmp_path: Path) -> None:
    code, output = _parse(program, Trouble.HOLD, "no_such_directive: 1;", tmp_path)
    assert code != 0 or "unrecognized" in output.lower(), output
    # The output must name the directive, so that no other error can have caused the rejection.
    assert "no_such_directive" in output or program == "lighttpd", output
