"""Real proxies that offer HTTP/2 over TLS, and a certificate for them."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import trustme

from undam.lab.proxies import RunningProxy, caddy, envoy, haproxy, nginx
from undam.lab.proxies.plan import LaunchPlan, Workspace, parse_upstream
from undam.lab.proxies.process import start


@dataclass(frozen=True)
class Files:
    """Certificate files for localhost: authority, certificate, key, and ``pem`` with both."""

    cacert: Path
    cert: Path
    key: Path
    pem: Path


def make_files(folder: Path) -> Files:
    """Write the files to ``folder``, where the proxies' user accounts can read them."""
    folder.chmod(0o755)
    for parent in folder.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o055)
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    found = Files(*(folder / name for name in ("ca.pem", "cert.pem", "key.pem", "both.pem")))
    authority.cert_pem.write_to_path(str(found.cacert))
    found.cert.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    found.key.write_bytes(issued.private_key_pem.bytes())
    found.pem.write_bytes(issued.private_key_and_cert_chain_pem.bytes())
    for path in folder.iterdir():
        path.chmod(0o644)
    return found


def _nginx(files: Files, location: str = "") -> Callable[[str], RunningProxy]:
    def run(upstream: str) -> RunningProxy:
        def plan(workspace: Workspace) -> LaunchPlan:
            config = nginx.render(parse_upstream(upstream), workspace, location=location)
            tls = f"ssl_certificate {files.cert};\n        ssl_certificate_key {files.key};"
            port = f"listen 127.0.0.1:{workspace.port}"
            config = config.replace(f"{port};", f"{port} ssl http2;\n        {tls}")
            arguments = ("-p", f"{workspace.directory}/", "-c", "nginx.conf", "-e", "error.log")
            return LaunchPlan(config=config, config_name="nginx.conf", arguments=arguments)

        accounts = ("www-data", "nginx", "nobody")
        return start("nginx", plan, version_flag="-v", accounts=accounts)

    return run


def _haproxy(files: Files) -> Callable[[str], RunningProxy]:
    def run(upstream: str) -> RunningProxy:
        def plan(workspace: Workspace) -> LaunchPlan:
            config = haproxy.render(parse_upstream(upstream), workspace)
            bind = f"bind 127.0.0.1:{workspace.port}"
            config = config.replace(bind, f"{bind} ssl crt {files.pem} alpn h2,http/1.1")
            arguments = ("-db", "-f", "haproxy.cfg")
            return LaunchPlan(config=config, config_name="haproxy.cfg", arguments=arguments)

        return start("haproxy", plan, version_flag="-v", accounts=("haproxy", "nobody"))

    return run


def _caddy(files: Files) -> Callable[[str], RunningProxy]:
    def run(upstream: str) -> RunningProxy:
        def plan(workspace: Workspace) -> LaunchPlan:
            extra = f"tls {files.cert} {files.key}"
            config = caddy.render(parse_upstream(upstream), workspace, extra=extra)
            config = config.replace(
                f"http://:{workspace.port}", f"https://localhost:{workspace.port}"
            ).replace("auto_https off", "auto_https disable_redirects")
            home = str(workspace.directory)
            return LaunchPlan(
                config=config,
                config_name="Caddyfile",
                arguments=("run", "--config", "Caddyfile", "--adapter", "caddyfile"),
                environment={"HOME": home, "XDG_CONFIG_HOME": home, "XDG_DATA_HOME": home},
            )

        return start("caddy", plan, version_flag="version")

    return run


def _envoy(files: Files) -> Callable[[str], RunningProxy]:
    def run(upstream: str) -> RunningProxy:
        def plan(workspace: Workspace) -> LaunchPlan:
            config = json.loads(envoy.render(parse_upstream(upstream), workspace))
            (chain,) = config["static_resources"]["listeners"][0]["filter_chains"]
            pair = {
                "certificate_chain": {"filename": str(files.cert)},
                "private_key": {"filename": str(files.key)},
            }
            chain["transport_socket"] = {
                "name": "envoy.transport_sockets.tls",
                "typed_config": {
                    "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3"
                    ".DownstreamTlsContext",
                    "common_tls_context": {
                        "tls_certificates": [pair], "alpn_protocols": ["h2", "http/1.1"],
                    },
                },
            }  # fmt: skip
            arguments = ("-c", "envoy.json", "--concurrency", "1", "--disable-hot-restart")
            return LaunchPlan(
                config=json.dumps(config), config_name="envoy.json", arguments=arguments
            )

        return start("envoy", plan)

    return run


PROGRAMS: dict[str, tuple[Callable[[Files], Callable[[str], RunningProxy]], str | None]] = {
    "nginx": (_nginx, "batched"),
    "nginx-unbuffered": (lambda files: _nginx(files, "proxy_buffering off;"), "streaming"),
    "caddy": (_caddy, "streaming"),
    "envoy": (_envoy, "streaming"),
    "haproxy": (_haproxy, None),
}
"""Each program, and its verdict; ``None`` if it depends on the version of the program."""
