"""Chromium: ten EventSources at once over HTTP/2, a preflighted stream, and a readable error."""

from __future__ import annotations

import asyncio
import json
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from support.browser import chromium
from support.gateway_in_loop import LoopUpstream, UpstreamCall, loop_gateway
from undam.gateway.config.config import upstream_from_url

pytestmark = pytest.mark.live

_SOURCES = 10
_PAGE = """<!doctype html><script>
const gateway = "GATEWAY", counts = Array(SOURCES).fill(0);
const sleep = ms => new Promise(done => setTimeout(done, ms));
async function run() {
  const sources = counts.map((_, n) => {
    const source = new EventSource(`${gateway}/events?${n}`);
    source.onmessage = () => counts[n] += 1;
    return source;
  });
  for (let n = 0; n < 200 && Math.min(...counts) < 3; n++) await sleep(50);
  const open = sources.filter(source => source.readyState === 1).length;
  const options = model => ({method: "POST", headers: {"Authorization": "Bearer x",
    "Content-Type": "application/json"}, body: JSON.stringify({model, stream: true})});
  const reader = (await fetch(`${gateway}/v1/chat/completions`, options("m"))).body.getReader();
  let reads = 0, text = "";
  for (let part; !(part = await reader.read()).done; reads++)
    text += new TextDecoder().decode(part.value);
  const refused = await fetch(`${gateway}/v1/chat/completions`, options("unknown"));
  const error = (await refused.json()).error.message;
  sources.forEach(source => source.close());
  return {counts, open, reads, complete: text.includes("[DONE]"), status: refused.status, error};
}
run().catch(error => ({failed: String(error)})).then(result =>
  fetch("/report", {method: "POST", body: JSON.stringify(result)}));
</script>"""


def test_a_page_uses_the_gateway_of_another_origin(tmp_path: Path) -> None:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    server.set_alpn_protocols(["h2", "http/1.1"])
    page, report = "", asyncio.Queue[dict[str, Any]]()

    async def site(call: UpstreamCall) -> None:
        if call.target == "/report":
            report.put_nowait(call.json)
        await call.respond(body=page.encode(), head="Content-Type: text/html\r\n")

    async def model(call: UpstreamCall) -> None:
        if call.target.startswith("/events"):
            await call.stream(*"abcdefghij" * 20, gap_s=0.1)
        else:
            await call.stream(*"abcdefghij", gap_s=0.05)

    async def main() -> None:
        nonlocal page
        origin = await LoopUpstream(site).start()
        upstream = await LoopUpstream(model).start()
        config = replace(upstream_from_url(upstream.url), models=("m",))
        async with loop_gateway(config, tls=server, cors_origins=(origin.url,)) as running:
            page = _PAGE.replace("GATEWAY", f"https://127.0.0.1:{running.port}")
            page = page.replace("SOURCES", str(_SOURCES))
            with chromium(origin.url + "/", tmp_path, "--ignore-certificate-errors"):
                result = await asyncio.wait_for(report.get(), 50)
            print(json.dumps(result))
            assert "failed" not in result
            assert min(result["counts"]) >= 3
            assert result["open"] == _SOURCES
            assert result["complete"]
            assert result["reads"] >= 5
            assert result["status"] == 404
            assert "no upstream serves this model" in result["error"]
            # All requests used the same connection.
            assert len(running.gateway.context.sessions) == 1
        await origin.close()
        await upstream.close()

    asyncio.run(main())
