"""Apache Traffic Server in a run root of its own. Default: streams."""

from __future__ import annotations

from undam.lab.proxies.plan import LaunchPlan, Workspace, upstream_of
from undam.lab.proxies.process import Proxy, start

_FOLDERS = ("etc", "run", "log", "cache")
_PLUGINS = "/usr/lib/trafficserver/modules"


def start_trafficserver(upstream: str, *, compress_flush: bool | None = None) -> Proxy:
    """Start Traffic Server before ``upstream`` (``http://HOST:PORT``).

    ``compress_flush`` left out means no compression; otherwise the compress plugin gzips event
    streams, with its ``flush`` as given.
    """
    origin = upstream_of(upstream)
    plugin = "" if compress_flush is None else "compress.so compress.config\n"

    def plan(place: Workspace) -> LaunchPlan:
        return LaunchPlan(
            config=render(place),
            config_name="etc/records.config",
            arguments=(f"--run-root={place.directory}/runroot.yaml",),
            files={
                "runroot.yaml": _run_root(place),
                "etc/remap.config": f"map / http://{origin.authority}/\n",
                "etc/plugin.config": plugin,
                "etc/compress.config": render_compress(flush=bool(compress_flush)),
                "etc/storage.config": f"{place.directory}/cache 16M\n",
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


def render(place: Workspace) -> str:
    """The text of records.config."""
    user = place.account.user if place.account else "#-1"
    return f"""\
CONFIG proxy.config.http.server_ports STRING {place.port}:ip-in=127.0.0.1
CONFIG proxy.config.admin.user_id STRING {user}
CONFIG proxy.config.exec_thread.autoconfig INT 0
CONFIG proxy.config.exec_thread.limit INT 1
CONFIG proxy.config.url_remap.pristine_host_hdr INT 1
CONFIG proxy.config.http.cache.http INT 0
CONFIG proxy.config.log.logging_enabled INT 1
CONFIG proxy.config.crash_log_helper STRING NULL
"""


def render_compress(*, flush: bool) -> str:
    """The text of the compress plugin's configuration."""
    # The star is for a charset: the plugin matches the whole of Content-Type.
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


def _run_root(place: Workspace) -> str:
    base = place.directory
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
