"""Replicas: warm prefixes, changing addresses, models, aliases and Unix sockets."""

from __future__ import annotations

import asyncio
import json
import random
import stat
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from support.eventually import eventually_async
from support.gateway_in_loop import (
    LoopGateway,
    LoopUpstream,
    UpstreamCall,
    json_request,
    loop_gateway,
)
from support.undam_command import ListeningCommand
from undam.gateway.config.config import UpstreamConfig, make_config, upstream_from_url
from undam.gateway.interfaces import Upstream
from undam.gateway.process.files import make_upstreams
from undam.gateway.process.members import Members

_TURNS = 6


# Case 14: consecutive turns of the same conversation.


def _conversation(number: int, turn: int, shape: str) -> dict[str, Any]:
    system = {"role": "system", "content": "S" * 3000}
    history: list[dict[str, Any]] = []
    for past in range(turn):
        history += [
            {"role": "assistant", "content": f"answer {past}"},
            {"role": "user", "content": f"question {past} of {number}"},
        ]
    first = {"role": "user", "content": f"conversation {number}"}
    if shape == "input":
        return {"input": [first, *history], "instructions": "S"}
    if shape == "stored":
        return {"input": [{"role": "user", "content": f"{turn}"}], "conversation": f"c{number}"}
    if shape == "cache key":
        return {"messages": [*history, {"role": "user"}], "prompt_cache_key": f"c{number}"}
    if shape == "user":
        return {"messages": [{"role": "user", "content": str(random.random())}],
                "user": f"u{number}"}  # fmt: skip
    if shape == "keys in another order":
        return {"messages": [{"content": m["content"], "role": m["role"]}
                             for m in (system, first, *history)]}  # fmt: skip
    if shape == "image":
        parts = [{"type": "image_url", "image_url": {"url": "data:" + "A" * 90_000}},
                 {"type": "text", "text": f"conversation {number}"}]  # fmt: skip
        return {"messages": [system, {"role": "user", "content": parts}, *history]}
    return {"messages": [system, first, *history]}


@pytest.mark.parametrize(
    ("shape", "affinity"),
    [
        ("messages", "prefix"),
        ("input", "prefix"),
        ("cache key", "prefix"),
        ("stored", "prefix"),
        ("keys in another order", "prefix"),
        ("image", "prefix"),
        ("user", "user"),
        ("user", "header:X-Session-Id"),
    ],
)
def test_the_turns_of_a_conversation_go_to_one_replica(shape: str, affinity: str) -> None:
    where: dict[int, list[int]] = {}

    async def main() -> None:
        upstreams: list[LoopUpstream] = []
        for index in range(4):

            async def handler(call: UpstreamCall, index: int = index) -> None:
                where.setdefault(int(call.header("X-Number") or -1), []).append(index)
                await call.stream("x", gap_s=0.01)

            upstreams.append(await LoopUpstream(handler).start())
        async with loop_gateway(*upstreams, affinity=affinity) as running:

            async def talk(number: int) -> None:
                headers = f"X-Number: {number}\r\nX-Session-Id: s{number}\r\n"
                for turn in range(_TURNS):
                    fields = _conversation(number, turn, shape)
                    await running.send(json_request(headers=headers, stream=True, **fields))

            await asyncio.gather(*(talk(number) for number in range(16)))

    asyncio.run(main())
    stayed = sum(visited.count(visited[0]) - 1 for visited in where.values())
    assert stayed >= 0.95 * len(where) * (_TURNS - 1)
    assert len({visited[0] for visited in where.values()}) >= 3


def test_a_prefix_that_all_requests_share_is_spread_over_the_replicas() -> None:
    async def main() -> list[int]:
        upstreams = [
            await LoopUpstream(lambda call: call.stream(*"abcde", gap_s=0.02)).start()
            for _ in range(4)
        ]
        async with loop_gateway(*upstreams) as running:
            messages = [{"role": "user", "content": "the same for all"}]

            async def client() -> None:
                for _ in range(5):
                    await running.send(json_request(stream=True, messages=messages))

            await asyncio.gather(*(client() for _ in range(16)))
        return [len(one.calls) for one in upstreams]

    counts = asyncio.run(main())
    assert max(counts) <= 0.5 * sum(counts)


@pytest.mark.parametrize("affinity", ["off", "user"])
def test_without_a_conversation_the_less_busy_replica_is_used(affinity: str) -> None:
    async def main() -> list[int]:
        upstreams = [await LoopUpstream().start() for _ in range(2)]
        async with loop_gateway(*upstreams, affinity=affinity) as running:
            for _ in range(20):
                await running.send(json_request(messages=[]))
        return [len(one.calls) for one in upstreams]

    assert min(asyncio.run(main())) >= 3


# Replicas that are the addresses of one host name.


class _NameServer:
    def __init__(self, *addresses: str) -> None:
        self.addresses: Sequence[str] = addresses
        self.error: OSError | None = None
        self.delay_s = 0.0
        self.lookups = 0

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        self.lookups += 1
        await asyncio.sleep(self.delay_s)
        if self.error is not None:
            raise self.error
        return self.addresses


def _members(name_server: _NameServer, log: list[str]) -> tuple[Members, list[list[Upstream]]]:
    applied: list[list[Upstream]] = []
    members = Members(applied.append, log.append, name_server)
    configs = [
        replace(upstream_from_url("http://pods.test:8000"), name="pods", resolve=True),
        upstream_from_url("http://fixed:1"),
    ]
    config = make_config({}, configs)
    members.configure(config, make_upstreams(config))
    return members, applied


def test_each_address_of_a_name_is_an_upstream() -> None:
    async def main() -> None:
        log: list[str] = []
        server = _NameServer("10.0.0.2", "10.0.0.1", "10.0.0.1")
        members, _ = _members(server, log)
        assert [one.name for one in members.upstreams] == ["fixed:1"]
        assert await members.refresh()
        assert [one.name for one in members.upstreams] == [
            "pods@10.0.0.1", "pods@10.0.0.2", "fixed:1",
        ]  # fmt: skip
        assert members.upstreams[0].address == "10.0.0.1"
        assert members.upstreams[0].authority == "pods.test:8000"
        assert not await members.refresh()
        server.addresses = [f"10.0.1.{number}" for number in range(50)]
        assert await members.refresh()
        assert len(members.upstreams) == 51
        assert log[-1] == "upstream pods.test has 50 addresses; before: 2"

    asyncio.run(main())


@pytest.mark.parametrize("failure", ["error", "empty", "slow"])
def test_members_stay_while_the_name_server_fails(
    failure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("undam.gateway.process.members._LOOKUP_TIMEOUT_S", 0.05)

    async def main() -> None:
        log: list[str] = []
        server = _NameServer("10.0.0.1", "10.0.0.2")
        members, _ = _members(server, log)
        await members.refresh()
        before = members.upstreams
        if failure == "error":
            server.error = OSError(2, "no such name")
        elif failure == "empty":
            server.addresses = []
        else:
            server.delay_s = 0.4
        for _ in range(3):
            assert not await members.refresh()
        assert members.upstreams == before
        assert len([line for line in log if "cannot look up pods.test" in line]) == 1
        if failure == "slow":
            assert server.lookups == 2  # Only one DNS lookup runs at a time.
            await asyncio.sleep(0.4)
        server.error, server.delay_s = None, 0.0
        server.addresses = ["10.0.0.3"]
        await members.refresh()
        await members.refresh()
        assert [one.address for one in members.upstreams][:1] == ["10.0.0.3"]

    asyncio.run(main())


def test_members_come_and_go_without_losing_a_stream() -> None:
    async def main() -> None:
        upstreams = [
            await LoopUpstream(lambda call: call.stream(*"abcdefghij", gap_s=0.02)).start()
            for _ in range(4)
        ]
        rng = random.Random(3)
        async with loop_gateway(*upstreams) as running:
            everyone = list(running.router._upstreams.values())

            def change() -> None:
                present = rng.sample(everyone, rng.randrange(1, len(everyone) + 1))
                running.router.apply(running.router._config, present)
                running.gateway.context.pool.keep(present)

            async def churn() -> None:
                while True:
                    await asyncio.sleep(0.02)
                    change()

            churning = asyncio.create_task(churn())
            responses = await asyncio.gather(*(_delayed(running, rng.random()) for _ in range(300)))
            churning.cancel()
            assert all(one.count(b'"content"') >= 10 and b"[DONE]" in one for one in responses)

    asyncio.run(main())


async def _delayed(running: LoopGateway, delay_s: float) -> bytes:
    await asyncio.sleep(delay_s)
    return await running.send(json_request(stream=True), timeout_s=30)


# Models, aliases and the priority of upstreams.


def _serving(upstream: LoopUpstream, *models: str, priority: int = 0) -> UpstreamConfig:
    made = upstream_from_url(upstream.url)
    return replace(made, models=models, priority=priority)


def test_a_request_goes_to_an_upstream_that_serves_its_model() -> None:
    async def main() -> None:
        one, other = await LoopUpstream().start(), await LoopUpstream().start()
        configs = [_serving(one, "a", "shared"), _serving(other, "b", "shared")]
        async with loop_gateway(*configs, aliases={"gpt-4": "b", "big": "a"}) as running:
            for model in ("a", "b", "shared", "gpt-4", "big"):
                for _ in range(4):
                    response = await running.send(json_request(model=model))
                    assert response.startswith(b"HTTP/1.1 200 ")
            assert {call.json["model"] for call in one.calls} <= {"a", "shared"}
            assert {call.json["model"] for call in other.calls} <= {"b", "shared"}
            assert sum(call.json["model"] == "b" for call in other.calls) == 8
            response = await running.send(json_request(model="unknown"))
            assert response.startswith(b"HTTP/1.1 404 ")
            assert b"no upstream serves this model" in response
            listed = await running.send(
                b"GET /v1/models HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            )
            data = json.loads(listed.partition(b"\r\n\r\n")[2])["data"]
            assert [one["id"] for one in data] == ["a", "b", "big", "gpt-4", "shared"]
        await one.close()
        await other.close()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/audio/speech", b'{"input":"x","model":"b"}'),
        ("/v1/images/generations", b'{"model":"b"}'),
        ("/v1/fine_tuning/jobs", b'{"model":"b"}'),
        ("/app/anything", b'{"model":"alias"}'),
    ],
)
def test_the_model_decides_on_every_path_with_a_json_body(path: str, body: bytes) -> None:
    async def main() -> None:
        one, other = await LoopUpstream().start(), await LoopUpstream().start()
        configs = [_serving(one, "a"), _serving(other, "b")]
        async with loop_gateway(*configs, aliases={"alias": "b"}) as running:
            for _ in range(6):
                response = await running.send(json_request(path, body=body))
                assert response.startswith(b"HTTP/1.1 200 ")
            assert (len(one.calls), len(other.calls)) == (0, 6)
            assert other.calls[0].json["model"] == "b"
        await one.close()
        await other.close()

    asyncio.run(main())


def test_a_single_model_is_described_by_an_upstream_that_serves_it() -> None:
    async def main() -> None:
        one, other = await LoopUpstream().start(), await LoopUpstream().start()
        configs = [_serving(one, "a"), _serving(other, "org/b")]
        async with loop_gateway(*configs, aliases={"gpt-4": "a"}) as running:

            async def get(path: str, method: str = "GET") -> bytes:
                head = f"{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                return await running.send(head.encode())

            for path in ("/v1/models/org%2Fb", "/v1/models/org/b", "/models/org/b"):
                for _ in range(4):
                    assert (await get(path)).startswith(b"HTTP/1.1 200 ")
                assert other.calls[-1].target == path
            assert one.calls == []
            assert b'"id": "gpt-4"' in await get("/v1/models/gpt-4")
            assert (await get("/v1/models/unknown")).startswith(b"HTTP/1.1 404 ")
            assert b'"id": "gpt-4"' in await get("/models")
            head = await get("/v1/models", "HEAD")
            assert b"application/json" in head
            assert head.endswith(b"\r\n\r\n")
        await one.close()
        await other.close()

    asyncio.run(main())


def test_metrics_of_replicas_that_were_removed_are_dropped() -> None:
    def names(running: LoopGateway) -> set[str]:
        labels = [json.loads(key)[1:] for key in running.metrics.snapshot()]
        return {one[0] for one in labels if one and one[0].startswith("pods@")}

    async def main() -> None:
        upstream = await LoopUpstream(lambda call: call.stream("x")).start()
        async with loop_gateway(upstream) as running:
            [base] = running.router._upstreams.values()
            for number in range(6):
                pods = [replace(base, name=f"pods@10.0.0.{number + more}") for more in (0, 1)]
                running.router.apply(running.router._config, pods)
                for _ in range(4):
                    assert b"[DONE]" in await running.send(json_request(stream=True), b"[DONE]")
                await asyncio.sleep(0.05)
                present = {one.name for one in pods}
                assert present <= names(running)
                assert len(names(running)) <= 3  # The last removed replica is still exported.

    asyncio.run(main())


def test_an_alias_is_replaced_in_a_body_of_any_layout() -> None:
    bodies = [
        b'{"messages":[{"model":"alias"}],"model" : "alias" ,"x":"alias"}',
        b'{"model":"al\\u0069as","messages":[]}',
        b'{"messages":["' + b"A" * 200_000 + b'"],"model":"alias"}',
    ]

    async def main() -> None:
        upstream = await LoopUpstream().start()
        config = _serving(upstream, "m\u00f6del")
        async with loop_gateway(config, aliases={"alias": "m\u00f6del"}) as running:
            for body in bodies:
                response = await running.send(json_request(body=body))
                assert response.startswith(b"HTTP/1.1 200 ")
                sent, received = json.loads(body), upstream.calls[-1].json
                assert received == {**sent, "model": "m\u00f6del"}
        await upstream.close()

    asyncio.run(main())


def test_an_upstream_with_a_higher_number_is_a_fallback() -> None:
    async def main() -> None:
        first, second = await LoopUpstream().start(), await LoopUpstream().start()
        configs = [_serving(second, priority=1), _serving(first)]
        async with loop_gateway(*configs) as running:
            for _ in range(5):
                await running.send(json_request())
            assert (len(first.calls), len(second.calls)) == (5, 0)
            first.handler = lambda call: call.respond(503)
            for _ in range(5):
                assert b" 200 " in await running.send(json_request())
            assert len(second.calls) == 5
        await first.close()
        await second.close()

    asyncio.run(main())


# Unix sockets.


def test_an_upstream_may_be_a_unix_socket(tmp_path: Path) -> None:
    async def main() -> None:
        path = str(tmp_path / "model.sock")
        upstream = await LoopUpstream(lambda call: call.stream("x")).start(path)
        async with loop_gateway(f"unix:{path}:/openai/v1") as running:
            response = await running.send(json_request(stream=True))
            assert b"[DONE]" in response
            assert upstream.calls[0].target == "/openai/v1/chat/completions"
            assert upstream.calls[0].header("Host") == "localhost"
        await upstream.close()

    asyncio.run(main())


@pytest.mark.live
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_gateway_may_listen_on_a_unix_socket(tmp_path: Path, workers: str) -> None:
    path = tmp_path / "gateway.sock"

    async def main() -> None:
        upstream = await LoopUpstream().start()
        # The second gateway replaces the socket file that the first one left behind.
        for _ in range(2):
            gateway = await asyncio.to_thread(
                ListeningCommand,
                "gateway", "--upstream", upstream.url, "--listen", f"unix:{path}",
                "--workers", workers, log=tmp_path / "log",
            )  # fmt: skip
            assert gateway.url == f"unix:{path}"
            assert stat.S_ISSOCK(path.stat().st_mode)
            reader, writer = await asyncio.open_unix_connection(path)
            writer.write(json_request())
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            writer.close()
            assert await asyncio.to_thread(gateway.stop) == 0
            await eventually_async(lambda: not path.exists())
            path_of_dead = asyncio.start_unix_server(lambda *_: None, path)
            (await path_of_dead).close()
        await upstream.close()

    asyncio.run(main())
