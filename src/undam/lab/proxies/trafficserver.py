"""Apache Traffic Server with its own run root. It streams by default."""

from __future__ import annotations

from undam.lab.proxies.plan import LaunchPlan, Workspace, parse_upstream
from undam.lab.proxies.process import RunningProxy, start

_FOLDERS = ("etc", "run", "log", "cache")
_PLUGINS = "/usr/lib/trafficserver/modules"


def start_trafficserver(upstream: str, *, compress_flush: bool | None = None) -> RunningProxy:
    """Start Traffic Server in front of ``upstream`` (``http://HOST:PORT``).

    Without ``compress_flush``, responses are not compressed. Otherwise the compress plugin gzips
    event streams, with its ``flush`` option set to this value.
    """
    origin = parse_upstream(upstream)
    plugin = "" if compress_flush is None else "compress.so compress.config\n"

    def plan(workspace: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(workspace),
            config_name="etc/records.config",
            arguments=(f"--run-root={workspace.directory}/runroot.yaml",),
            files={
                "runroot.yaml": _run_root(workspace),
                "etc/remap.config": f"map / http://{origin.authority}/\n",
                "etc/plugin.config": plugin,
                "etc/compress.config": render_compress(flush=bool(compress_flush)),
                "etc/storage.config": f"{workspace.directory}/cache 16M\n",
                "etc/ip_allow.yaml": _ALLOW_LOOPBACK,
            },
            folders=_FOLDERS,
        )

    return start(
        "trafficserver",
        plan,
        program="traffic_server",
        version_flag="-V",
        accounts=("trafficserver", "nobody"),
    )


def render(workspace: Workspace) -> str:
    """Return records.config."""
    user = workspace.account.user if workspace.account else "#-1"
    return f"""\
CONFIG proxy.config.http.server_ports STRING {workspace.port}:ip-in=127.0.0.1
CONFIG proxy.config.admin.user_id STRING {user}
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.http.cache.http INT 0
CONFIG proxy.config.log.logging_enabled INT 1
CONFIG proxy.config.crash_log_helper STRING NULL
"""


def render_compress(*, flush: bool) -> str:
    """Return the configuration of the compress plugin."""
    # The plugin compares the whole Content-Type, so the asterisk is needed to match a charset.
    return f"""\
cache false
remove-accept-encoding true
compressible-content-type text/event-stream*
supported-algorithms gzip
flush {"true" if flush else "false"}
"""


_ALLOW_LOOPBACK = """\
ip_allow:
  - apply: in
    ip_addrs: 127.0.0.1
    action: allow
    methods: ALL
"""


def _run_root(workspace: Workspace) -> str:
    base = workspace.directory
    return f"""\
prefix: {base}
exec_prefix: {base}
bindir: /usr/bin
sbindir: /usr/bin
sysconfdir: {base}/etc
datadir: {base}/cache
includedir: /usr/include
libdir: /usr/lib/trafficserver
libexecdir: {_PLUGINS}
localstatedir: {base}
runtimedir: {base}/run
logdir: {base}/log
cachedir: {base}/cache
"""
