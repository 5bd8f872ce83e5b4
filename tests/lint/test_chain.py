"""Chains of programs: how hops are joined, and which hops limit, compress or buffer a stream."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from undam.lint import AssessedRoute, Assessment, Chain, Hop, RouteOutcome, Tier
from undam.lint.chain import chains_of, join_hops

NGINX = Hop(
    Tier.PROXY, "nginx", "deploy/nginx.conf", 4, (":443", "chat.example.org"), ("http://api:8000",)
)
API = Hop(Tier.APP, "Uvicorn", "compose.yaml", 9, ("api", ":9000"), ("http://vllm:8000/v1",))
VLLM = Hop(Tier.ENGINE, "vLLM", "compose.yaml", 20, ("vllm", ":8000"))


def drawn(*hops: Hop) -> list[str]:
    """Return the titles in each chain; ``~`` marks a program that was joined only by position."""
    return [
        " ".join(f"{'~' if link.is_assumed else ''}{link.hop.title}" for link in chain.links)
        for chain in join_hops(hops)
    ]


def chain_of(*hops: Hop) -> Chain:
    (chain,) = join_hops(hops)
    return chain


def test_hops_are_joined_by_names_in_any_order() -> None:
    assert drawn(VLLM, NGINX, API) == ["nginx Uvicorn vLLM"]


@pytest.mark.parametrize(
    ("upstream", "names"),
    [
        ("http://vllm:8000/v1", ("vllm",)),
        ("vllm.models.svc.cluster.local:80", ("vllm",)),
        ("vllm.models", ("vllm",)),
        ("VLLM", ("vLLM",)),
        ("http://127.0.0.1:8000", (":8000",)),
        (":8000", (":8000",)),
        ("http://host.docker.internal:8000/v1", (":8000",)),
        ("aws_lb.main", ("aws_lb.main",)),
    ],
)
def test_an_upstream_matches_the_names_of_a_server(upstream: str, names: tuple[str, ...]) -> None:
    app = replace(API, upstreams=(upstream,))
    assert drawn(app, replace(VLLM, names=names)) == ["Uvicorn vLLM"]


@pytest.mark.parametrize("upstream", ["http://localhost", "10.0.0.4:8000", "vllm.example.org"])
def test_other_hosts_do_not_match_by_name(upstream: str) -> None:
    app = replace(API, upstreams=(upstream,))
    assert "Uvicorn vLLM" not in drawn(app, replace(VLLM, names=("vllm", ":8001")))


def test_programs_without_matching_names_are_joined_by_tier() -> None:
    balancer = Hop(Tier.LOAD_BALANCER, "AWS load balancer", "infra/main.tf", 1, ("aws_lb.a",))
    app = replace(API, names=("backend",), upstreams=())
    assert drawn(balancer, NGINX, app, VLLM) == ["AWS load balancer ~nginx ~Uvicorn ~vLLM"]


def test_two_candidates_of_the_next_tier_are_not_guessed() -> None:
    second = replace(NGINX, path="other/nginx.conf", title="Caddy")
    balancer = Hop(Tier.LOAD_BALANCER, "ALB", "infra/main.tf", 1)
    assert drawn(balancer, NGINX, second, API, VLLM) == ["nginx Uvicorn vLLM", "Caddy Uvicorn vLLM"]


def test_a_candidate_in_the_same_folder_is_preferred() -> None:
    near = Hop(Tier.PROXY, "Caddy", "infra/Caddyfile", 1, (), ("api",))
    balancer = Hop(Tier.LOAD_BALANCER, "ALB", "infra/main.tf", 1)
    assert "ALB ~Caddy Uvicorn vLLM" in drawn(balancer, near, NGINX, API, VLLM)


def test_a_program_in_front_of_a_hosted_api_ends_its_chain() -> None:
    hosted = replace(API, upstreams=("https://api.openai.com/v1",))
    assert drawn(NGINX, hosted, VLLM) == ["nginx Uvicorn"]


def test_one_program_alone_is_not_a_chain() -> None:
    assert drawn(NGINX) == []
    assert drawn() == []


def test_cycles_and_self_references_end() -> None:
    first = Hop(Tier.PROXY, "one", "a.conf", 1, ("one",), ("two", "one"))
    second = Hop(Tier.PROXY, "two", "b.conf", 1, ("two",), ("one",))
    outer = Hop(Tier.CDN, "cdn", "c.tf", 1, ("cdn",), ("one",))
    assert drawn(outer, first, second) == ["cdn one two"]


def test_resources_of_one_gateway_are_alternatives() -> None:
    one = Hop(Tier.GATEWAY, "Envoy AI Gateway", "a.yaml", 1, ("a", "model"), ("model",))
    other = replace(one, path="b.yaml", names=("b", "model"))
    assert drawn(one, other) == []
    ingress = replace(other, tier=Tier.INGRESS, title="Istio")
    assert drawn(one, ingress) == ["Istio Envoy AI Gateway"]


def test_requests_are_not_sent_outwards() -> None:
    engine = replace(VLLM, upstreams=("api",))
    assert drawn(replace(API, upstreams=()), engine) == ["Uvicorn ~vLLM"]


def test_hops_that_differ_only_in_their_line_are_one() -> None:
    again = replace(NGINX, line=30)
    elsewhere = replace(NGINX, line=40, names=("admin.example.org",))
    assert drawn(NGINX, again, elsewhere, API, VLLM) == ["nginx Uvicorn vLLM"] * 2


def test_long_chains_and_many_programs_are_bounded() -> None:
    line = [Hop(Tier.PROXY, str(n), "a.conf", n, (f"p{n}",), (f"p{n + 1}",)) for n in range(30)]
    (chain,) = join_hops(line)
    assert len(chain.links) == 12
    wide = [Hop(Tier.PROXY, "edge", "a.conf", 1, (), tuple(f"p{n}" for n in range(50)))]
    wide += [Hop(Tier.APP, "app", "b.conf", n, (f"p{n}",), (f"u{n}",)) for n in range(50)]
    assert len(join_hops(wide)) == 20
    many = [Hop(Tier.PROXY, "p", "a.conf", n, (f"p{n}",), (f"u{n}",)) for n in range(201)]
    assert join_hops(many) == ()


def test_the_shortest_limit_counts_with_its_position() -> None:
    proxy = replace(NGINX, idle_limit_s=60.0, total_limit_s=math.inf, idle_at=("deploy/a.conf", 7))
    app = replace(API, idle_limit_s=0.0, total_limit_s=30.0)
    chain = chain_of(proxy, app, VLLM)
    assert chain.idle_limit is not None
    assert (chain.idle_limit.seconds, chain.idle_limit.position) == (60.0, ("deploy/a.conf", 7))
    assert chain.total_limit is not None
    assert chain.total_limit.at is None
    assert chain.total_limit.position == ("compose.yaml", 9)


def test_unknown_and_infinite_limits_are_none() -> None:
    chain = chain_of(replace(NGINX, idle_limit_s=math.inf), API)
    assert (chain.idle_limit, chain.total_limit) == (None, None)


def test_holding_and_compressing_programs_are_listed() -> None:
    chain = chain_of(replace(NGINX, buffers=True), replace(API, compresses=True), VLLM)
    assert [one.title for one in chain.buffering] == ["nginx"]
    assert [one.title for one in chain.compressing] == ["Uvicorn"]


def test_heartbeats_count_only_from_behind_the_weakest_limit() -> None:
    beating = replace(VLLM, heartbeat_s=15.0)
    limited = replace(NGINX, idle_limit_s=60.0)
    assert chain_of(limited, API, beating).heartbeat == beating
    assert chain_of(limited, API, VLLM).heartbeat is None
    outside = replace(NGINX, heartbeat_s=15.0)
    assert chain_of(outside, replace(API, idle_limit_s=60.0), VLLM).heartbeat is None


def test_heartbeats_behind_a_program_that_drops_comments_do_not_count() -> None:
    gateway = replace(API, tier=Tier.GATEWAY, title="LiteLLM", drops_heartbeats=True)
    beating = replace(VLLM, heartbeat_s=15.0)
    assert chain_of(NGINX, gateway, beating).heartbeat is None
    own = replace(gateway, heartbeat_s=10.0)
    assert chain_of(NGINX, own, beating).heartbeat == own


def test_programs_that_may_stream_count_in_front_of_one_that_does() -> None:
    front = Hop(Tier.APP, "Next.js", "web/next.config.js", 2, ("web",), ("http://api:9000",))
    other = Hop(Tier.APP, "Express", "shop/server.js", 1, ("shop",), ("http://db:5432",))
    (chain,) = join_hops([API, VLLM], [front, other])
    assert [one.title for one in chain.hops] == ["Next.js", "Uvicorn", "vLLM"]


def test_one_service_that_two_files_describe_is_one_program() -> None:
    image = Hop(
        *(Tier.APP, "Gunicorn", "api/Dockerfile", 3, ("api", ":8000")),
        total_limit_s=30.0,
        total_at=("api/Dockerfile", 3),
    )
    code = Hop(Tier.APP, "FastAPI application", "api/main.py", 9, ("API",), heartbeat_s=10.0)
    limited = replace(API, idle_limit_s=600.0, compresses=True)
    chain = chain_of(NGINX, image, code, limited, VLLM)
    (_, merged, engine) = chain.hops
    assert engine == VLLM
    assert (merged.title, merged.total_limit_s, merged.total_at) == (
        *("Uvicorn", 30.0, ("api/Dockerfile", 3)),
    )
    assert (merged.idle_limit_s, merged.compresses, merged.heartbeat_s) == (600.0, True, 10.0)
    assert chain.heartbeat == merged


def test_chains_of_routes_leave_out_those_that_do_not_stream() -> None:
    def route(hop: Hop | None, outcome: RouteOutcome) -> AssessedRoute:
        return AssessedRoute("f", 1, "/", "", Assessment(outcome), hop=hop)

    routes = [
        route(VLLM, RouteOutcome.STREAMS),
        route(replace(NGINX, upstreams=("db",)), RouteOutcome.MAYBE),
        route(API, RouteOutcome.STREAMS),
        route(replace(NGINX, title="other"), RouteOutcome.UNKNOWN),
        route(None, RouteOutcome.STREAMS),
    ]
    joined = [[one.title for one in chain.hops] for chain in chains_of(routes)]
    assert joined == [["Uvicorn", "vLLM"]]
    named = replace(NGINX, upstreams=("api",))
    (chain,) = chains_of([*routes, route(named, RouteOutcome.MAYBE)])
    assert [one.title for one in chain.hops] == ["nginx", "Uvicorn", "vLLM"]
