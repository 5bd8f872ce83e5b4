"""Traefik rules: affected routers, severities and edits."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.dialect_harness import with_heartbeats
from support.work import count_calls
from undam.errors import ConfigSyntaxError
from undam.lint import (
    LintResult,
    RenderRequest,
    Settings,
    Source,
    dialect_named,
    fix_source,
    lint_source,
    recognise_dialect,
)
from undam.lint.dialects.traefik.parser import seconds_of
from undam.textfiles.tree import Node

HERE = Path(__file__).parents[1]
TRAEFIK = dialect_named("traefik")
CORPUS = sorted((HERE / "corpus" / "traefik").glob("*"))
CHAT = "PathPrefix(`/v1/chat`)"


def dynamic(
    rule: str = CHAT,
    *,
    router: str = "",
    middlewares: str = "",
    balancer: str = "",
    services: str = "",
    more: str = "",
) -> str:
    return f"""\
http:
  routers:
    one: {{rule: "{rule}", service: origin, {router}}}
  middlewares: {{{middlewares}}}
  services:
    {services}
    origin:
      loadBalancer: {{servers: [{{url: "http://site:80"}}, {{weight: 1}}], {balancer}}}
{more}"""


def lint(text: str, chosen: Settings | None = None, path: str = "f.yaml") -> LintResult:
    return lint_source(TRAEFIK, Source(path, text), chosen or with_heartbeats())


def reported(text: str, chosen: Settings | None = None, path: str = "f.yaml") -> list[str]:
    return [f"{one.rule.code} {one.severity}" for one in lint(text, chosen, path).diagnostics]


def fixed(text: str, path: str = "f.yaml", chosen: Settings | None = None) -> str:
    return fix_source(TRAEFIK, Source(path, text), chosen or with_heartbeats(), unsafe=True)


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_the_corpus_has_the_expected_findings(file: Path) -> None:
    text = file.read_text("utf-8")
    assert recognise_dialect(file.name, text) is TRAEFIK
    expected = {
        "still-static.yml": ["TRF401 info", "TRF402 info"],
        "still-dynamic.yml": [],
        "stream-ollama.toml": ["TRF101 error", "TRF102 info", "TRF402 warning"],
    }
    assert reported(text, path=file.name) == expected[file.name]
    if file.name.startswith("still"):
        assert fixed(text, file.name) == text


@pytest.mark.parametrize(
    ("path", "text", "ours"),
    [
        ("f.yml", "entryPoints:\n  web: {}\n", True),
        ("f.yaml", "http:\n  # c\n\n  routers: {}\n", True),
        ("f.yaml", "HTTP:\r\n  ServersTransports: {}\r\n", True),
        ("f.toml", "[http.routers.x]\n", True),
        ("f.toml", " [ entryPoints ]\n", True),
        ("-", "[[http.services.a.loadBalancer.servers]]\n", True),
        ("-", "entrypoints: {}\n", True),
        ("-", "services: {}\n", False),
        ("f.yaml", "http:\n  port: 80\n", False),
        ("f.yaml", "[http.routers.x]\n", False),
        ("f.toml", "[tool.ruff]\n", False),
        ("f.md", "entryPoints:\n", False),
    ],
)
def test_files_are_recognised(path: str, text: str, ours: bool) -> None:
    assert TRAEFIK.recognises(path, text) is ours


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("30", 30), ("30s", 30), ("1m30s", 90), ("1.5h", 5400), ("150ms", 0.15), ("0", 0)),
        *(("2µs", 2e-6), ("-1", None), ("soon", None), ("9" * 40, None), ("1d", None)),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert seconds_of(Node("scalar", 0, 0, text)) == seconds


def test_a_value_that_is_not_text_is_not_a_duration() -> None:
    assert seconds_of(None) is seconds_of(Node("list", 0, 0)) is None


BUFFER = {"router": "middlewares: [b]", "middlewares": "b: {buffering: {maxRequestBodyBytes: 9}}"}


class TestRouters:
    @pytest.mark.parametrize(
        ("rule", "streams"),
        [
            (CHAT, True),
            ("Host(`a`) && (Path(`/x`, '/sse'))", True),
            ("Host(`chat.example.com`)", False),
            ("PathPrefix(`/shop`)", False),
            ("PathPrefix()", False),
        ],
    )
    def test_routers_are_classified_by_rule(self, rule: str, streams: bool) -> None:
        assert reported(dynamic(rule, **BUFFER)) == (["TRF101 error"] if streams else [])

    @pytest.mark.parametrize(
        ("server", "expected"),
        [
            ("vllm", ["TRF101 error"]),
            ("api", ["TRF101 error"]),
            ("10.0.0.1", ["TRF101 error"]),
            ("files", ["TRF101 info"]),
            ("site", []),
            ("icecast", []),
        ],
    )
    @pytest.mark.parametrize("path", ["/stream", "^/v1/.*/stream$", "^/api/[^/]+/streaming/?$"])
    def test_the_server_decides_whether_an_ambiguous_path_streams(
        self, path: str, server: str, expected: list[str]
    ) -> None:
        text = dynamic(f"PathRegexp(`{path}`)", **BUFFER).replace("//site:", f"//{server}:")
        assert reported(text) == expected

    @pytest.mark.parametrize(
        "through",
        [
            "weighted: {services: [{weight: 1}, {name: llm}]}",
            "mirroring: {service: llm}",
            "failover: {service: origin, fallback: llm@file}",
        ],
    )
    def test_routers_are_classified_by_service(self, through: str) -> None:
        services = f"main: {{{through}}}\n    llm: {{loadBalancer: {{}}}}"
        text = dynamic("Host(`a`)", services=services, **BUFFER)
        assert reported(text) == []
        assert reported(text.replace("service: origin, mid", "service: main, mid")) == [
            "TRF101 error"
        ]

    def test_services_that_lead_to_each_other_are_followed_once(self) -> None:
        services = "main: {mirroring: {service: other}}\n    other: {mirroring: {service: main}}"
        text = dynamic("Host(`a`)", services=services).replace("service: origin,", "service: main,")
        assert reported(text) == []

    def test_a_router_without_rule_and_service_has_no_findings(self) -> None:
        text = "http:\n  routers:\n    a: {middlewares: [x]}\n    b:\n    c: []\n"
        assert lint(text, with_heartbeats(stream_paths=("/",))).diagnostics == ()

    def test_keys_are_case_insensitive(self) -> None:
        text = dynamic(**BUFFER).replace("routers:", "ROUTERS:").replace("rule:", "Rule:")
        assert reported(text.replace("buffering", "Buffering")) == ["TRF101 error"]

    def test_empty_files_have_no_findings_and_further_documents_are_unread(self) -> None:
        assert lint("") == lint("http:\n") == LintResult()
        assert [one.line for one in lint("a: 1\na: 2\n---\nb: 1\n").unread] == [2, 4]

    def test_a_template_that_cannot_be_read_is_reported(self) -> None:
        text = dynamic() + '{{ range $i := until 3 }}\n  a: "{{ $i }}"\n{{ end }}\n'
        found = lint(text)
        assert [(one.line, "template" in one.what) for one in found.unread] == [(9, True)]
        with pytest.raises(ConfigSyntaxError):
            lint("http: [")


class TestMiddlewares:
    def test_the_middleware_is_removed_only_from_the_streaming_router(self) -> None:
        text = dynamic(router="middlewares: [b, c]", middlewares=BUFFER["middlewares"] + ", c: {}")
        text = text.replace(
            "  middlewares: {", "    two: {rule: Host(`x`), middlewares: [b]}\n  middlewares: {"
        )
        assert fixed(text) == text.replace("[b, c]", "[c]")

    def test_the_middleware_is_removed_from_each_streaming_router(self) -> None:
        text = dynamic(router="middlewares: [a, b]", middlewares=BUFFER["middlewares"] + ", a: {}")
        text = text.replace(
            "  middlewares: {", f"    two: {{rule: {CHAT}, middlewares: [b, a]}}\n  middlewares: {{"
        )
        assert reported(text) == ["TRF101 error"]
        assert fixed(text) == text.replace("[a, b]", "[a]").replace("[b, a]", "[a]")

    def test_middlewares_are_found_through_chains_and_entry_points(self) -> None:
        chain = "c: {chain: {middlewares: [d@file, c]}}, d: {chain: {middlewares: [b]}}, "
        text = dynamic(router="middlewares: [c]", middlewares=chain + BUFFER["middlewares"])
        assert reported(text) == ["TRF101 error"]
        assert fixed(text) == text
        points = "entryPoints: {web: {http: {middlewares: [b]}}, other: {}}\n"
        text = dynamic(middlewares=BUFFER["middlewares"], more=points)
        assert reported(text) == ["TRF101 error"]
        assert (
            reported(text.replace("service: origin,", "service: origin, entryPoints: [other]"))
            == []
        )

    def test_middlewares_defined_elsewhere_are_reported(self) -> None:
        text = dynamic(router="middlewares: [auth@docker, b]", middlewares="b: {}")
        assert [one.what for one in lint(text).unread] == [
            "the middleware auth@docker, which is defined elsewhere"
        ]

    def test_the_ineffective_line_is_reported(self) -> None:
        buffering = "b: {buffering: {disableResponseBuffer: %s}}"
        for value, code in (("true", "TRF201 warning"), ("false", "TRF101 error")):
            text = dynamic(router="middlewares: [b]", middlewares=buffering % value)
            assert reported(text) == [code]

    @pytest.mark.parametrize(
        ("compress", "after"),
        [
            ("{}", "{excludedContentTypes: [text/event-stream]}"),
            ("{excludedContentTypes: [a/b]}", "{excludedContentTypes: [a/b, text/event-stream]}"),
            ("{includedContentTypes: [a/b, Text/Event-Stream]}", "{includedContentTypes: [a/b]}"),
            ("{includedContentTypes: [text/event-stream]}", None),
            ("true", None),
        ],
    )
    def test_compression_of_event_streams_is_reported(
        self, compress: str, after: str | None
    ) -> None:
        text = dynamic(router="middlewares: [z]", middlewares=f"z: {{compress: {compress}}}")
        assert reported(text) == ["TRF102 info"]
        assert fixed(text) == (text.replace(compress, after) if after else text)

    @pytest.mark.parametrize(
        "compress",
        [
            "false",
            "{excludedContentTypes: [' text/event-stream']}",
            "{includedContentTypes: [text/html]}",
        ],
    )
    def test_compression_of_other_types_is_not_reported(self, compress: str) -> None:
        text = dynamic(router="middlewares: [z]", middlewares=f"z: {{compress: {compress}}}")
        assert reported(text) == []

    def test_each_chain_is_followed_once(self) -> None:
        def lint(n: int) -> None:
            # There are n chains, and each one contains all n chains, so the text has n * n names.
            names = ", ".join(f"m{i}" for i in range(n))
            chains = "\n".join(f"    m{i}: {{chain: {{middlewares: [{names}]}}}}" for i in range(n))
            text = dynamic(router="middlewares: [m0]").replace(
                "middlewares: {}", f"middlewares:\n{chains}"
            )
            assert reported(text) == []

        small = count_calls(lambda: lint(20))
        # The larger text has 16 times as many names.
        assert count_calls(lambda: lint(80)) < 24 * small


class TestServices:
    @pytest.mark.parametrize(
        ("interval", "expected"),
        [("100ms", ["TRF202 info"]), ("1", ["TRF202 info"]), ("-1", []), ("0s", []), ("x", [])],
    )
    def test_a_flush_interval_is_an_info(self, interval: str, expected: list[str]) -> None:
        text = dynamic(balancer=f"responseForwarding: {{flushInterval: {interval}}}")
        assert reported(text) == expected
        assert fixed(text) == text

    @pytest.mark.parametrize(
        ("limit", "expected"),
        [("10s", ["TRF402 warning"]), ("0s", []), ("2m", []), ("x", [])],
    )
    def test_a_limit_on_the_response_head_is_reported(
        self, limit: str, expected: list[str]
    ) -> None:
        more = "  serversTransports: {t: {forwardingTimeouts: {responseHeaderTimeout: %s}}}\n"
        text = dynamic(balancer="serversTransport: t@file", more=more % limit)
        assert reported(text) == expected
        assert reported(text.replace("t@file", "other")) == []


class TestStatic:
    STATIC = """\
entryPoints:
  web: {transport: {respondingTimeouts: {writeTimeout: %s}}}
  other: {}
serversTransport: {forwardingTimeouts: {responseHeaderTimeout: 5s}}
"""

    @pytest.mark.parametrize(
        ("limit", "expected"),
        [("30s", "error"), ("300", "warning"), ("0", None), ("1h", None), ("x", None)],
    )
    def test_routes_that_the_user_declares_as_streaming(
        self, limit: str, expected: str | None
    ) -> None:
        sure = with_heartbeats(stream_paths=("/v1/",))
        text = self.STATIC % limit
        writes = [f"TRF401 {expected}"] if expected else []
        assert reported(text, sure) == [*writes, "TRF402 warning"]
        assert "responseHeaderTimeout: 0s" in fixed(text, chosen=sure)

    def test_without_streaming_routers_it_is_an_info_without_a_fix(self) -> None:
        text = self.STATIC % "30s"
        assert reported(text) == ["TRF401 info", "TRF402 info"]
        assert fixed(text) == text

    def test_routers_of_the_same_file_decide(self) -> None:
        text = self.STATIC % "30s" + dynamic()
        assert reported(text) == ["TRF401 error", "TRF402 warning"]
        elsewhere = text.replace("service: origin,", "service: origin, entryPoints: [other]")
        assert reported(elsewhere) == ["TRF401 info", "TRF402 warning"]

    def test_a_bare_number_stays_one(self) -> None:
        text = "[entryPoints.web.transport.respondingTimeouts]\nwriteTimeout = 30\n"
        sure = with_heartbeats(stream_paths=("/",))
        assert fixed(text, "f.toml", sure) == text.replace("30", "0")
        quoted = text.replace("30", '"30"')
        assert fixed(quoted, "-", sure) == quoted.replace("30", "0s")


def test_rendered_configurations_have_no_findings() -> None:
    for path in ("/", "/v1/"):
        request = RenderRequest(upstream="http://llm:8000", path=path, listen="[::1]:8080")
        text = TRAEFIK.render(request)
        assert lint(text, with_heartbeats(stream_paths=("/",))).diagnostics == ()
        assert recognise_dialect("traefik.yaml", text) is TRAEFIK
        assert 'address: "[::1]:8080"' in text
