"""The configurations in the stack guides, run by the real programs, do not hold streams."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from support.live import RunProxy, Simulator, check, measure
from support.proxy_programs import ENVOY, NGINX, Program, start_with_config
from undam.lab.proxies import RunningProxy
from undam.lab.proxies.plan import Workspace
from undam.probe import Report

GUIDES = Path(__file__).parents[2] / "docs" / "stacks"
# The other stack guides use paths that the simulator does not serve.
NGINX_GUIDES = ("nginx", "cloudflare", "aws", "fastapi", "litellm", "vllm", "open-webui", "dify")
TRAEFIK = Program(
    name="traefik",
    config_name="traefik.yaml",
    check=(),
    run=("--configFile=traefik.yaml",),
    version_flag="version",
)

Rewrite = Callable[[str, Workspace, str], str]


def configuration(guide: str, file: str) -> str:
    text = (GUIDES / f"{guide}.md").read_text("utf-8")
    pattern = rf"(?ms)<!-- lint {re.escape(file)} -->\n```\w*\n(.*?)^```$"
    found = re.search(pattern, text)
    assert found is not None
    return found[1]


def for_nginx(text: str, place: Workspace, origin: str) -> str:
    """Replace the listening port, and replace each upstream with the simulator."""
    text = re.sub(r"listen \d+;", f"listen 127.0.0.1:{place.port};", text)
    text = re.sub(r"(upstream [\w-]+ \{\s*server )[\w.-]+:\d+", rf"\g<1>{origin}", text)
    text = re.sub(r"proxy_pass http://127\.0\.0\.1:\d+", f"proxy_pass http://{origin}", text)
    # By default, nginx writes its temporary files to a system folder.
    folders = "".join(
        f"{name}_temp_path {name.replace('client_', '')};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return text.replace("http {", f"http {{\naccess_log off;\n{folders}", 1)


def for_envoy(text: str, place: Workspace, origin: str) -> str:
    text = text.replace("port_value: 8080", f"port_value: {place.port}")
    return text.replace("port_value: 8000", f"port_value: {origin.rpartition(':')[2]}")


def for_traefik(text: str, place: Workspace, origin: str) -> str:
    text = text.replace('":8080"', f'"127.0.0.1:{place.port}"')
    return text.replace("127.0.0.1:8000", origin)


def test_the_configurations_of_the_guides_stream(model: Simulator, run_proxy: RunProxy) -> None:
    origin = urlsplit(model.url).netloc
    cases: list[tuple[str, Program, str, Rewrite]] = [
        *((guide, NGINX, "nginx.conf", for_nginx) for guide in NGINX_GUIDES),
        ("envoy-gateway", ENVOY, "envoy.yaml", for_envoy),
        ("traefik", TRAEFIK, "traefik.yaml", for_traefik),
    ]

    def started(guide: str, program: Program, file: str, rewrite: Rewrite) -> RunningProxy:
        text = configuration(guide, file)
        return run_proxy(start_with_config, program, lambda place: rewrite(text, place, origin))

    proxies = {case[0]: started(*case) for case in cases}

    async def settled(url: str) -> Report:
        await asyncio.sleep(1)  # Traefik loads its routes only after it has begun to listen.
        return await check(url, experiments=False)

    verdicts: dict[str, str] = {}
    for _ in range(3):
        # On a busy machine, the verdict may be `unknown`.
        left = [name for name in proxies if verdicts.get(name, "unknown") == "unknown"]
        if left:
            reports = measure(model, lambda names=left: [settled(proxies[n].url) for n in names])  # type: ignore[misc]
            verdicts |= dict(zip(left, (one.verdict.value for one in reports), strict=True))
    assert verdicts == dict.fromkeys(proxies, "streaming")


def test_a_configuration_without_the_fix_is_held(model: Simulator, run_proxy: RunProxy) -> None:
    """Without the lines from its guide, nginx holds the stream."""
    text = configuration("nginx", "nginx.conf")
    held = re.sub(r" *proxy_(?:buffering|http_version|set_header).*\n", "", text)
    origin = urlsplit(model.url).netloc
    proxy = run_proxy(start_with_config, NGINX, lambda place: for_nginx(held, place, origin))
    (report,) = measure(model, lambda: [check(proxy.url, experiments=False)])
    assert report.verdict.value == "batched"
