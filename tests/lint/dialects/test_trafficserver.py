"""Traffic Server rules for compress.config, records.config, records.yaml and remap.config."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.dialect_harness import with_heartbeats
from support.work import assert_linear
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
from undam.lint.dialect import IncludeOpener, no_includes
from undam.versions import Version

HERE = Path(__file__).parents[1]
ATS = dialect_named("trafficserver")
CORPUS = sorted((HERE / "corpus" / "trafficserver").glob("*"))
CERTAIN = with_heartbeats(stream_paths=("/v1/",))
IDLE = "CONFIG proxy.config.http.transaction_no_activity_timeout_out INT"
ACTIVE = "CONFIG proxy.config.http.transaction_active_timeout_in INT"


def lint(
    text: str, chosen: Settings | None = None, files: IncludeOpener = no_includes
) -> LintResult:
    return lint_source(ATS, Source("f.config", text), chosen or with_heartbeats(), files)


def reported(
    text: str, chosen: Settings | None = None, files: IncludeOpener = no_includes
) -> list[str]:
    return [f"{one.rule.code} {one.severity}" for one in lint(text, chosen, files).diagnostics]


def fixed(text: str, chosen: Settings | None = None) -> str:
    return fix_source(ATS, Source("f.config", text), chosen or with_heartbeats(), unsafe=True)


def beside(maps: str) -> IncludeOpener:
    """Return an opener that finds a remap.config in the same folder."""
    return lambda name: [Source(name, maps)] if name == "remap.config" else []


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_the_corpus_has_the_expected_findings(file: Path) -> None:
    text = file.read_text("utf-8")
    assert recognise_dialect(file.name, text) is ATS
    expected = {
        "still-compress.config": ["ATS101 info"],
        "still-records.config": ["ATS401 info", "ATS402 info"],
        "still-records.yaml": ["ATS401 info", "ATS402 info"],
        "stream-remap.config": ["ATS401 warning"],
    }
    assert reported(text) == expected[file.name]
    if file.name.startswith("still"):
        assert fixed(text) == text


@pytest.mark.parametrize(
    ("path", "text", "ours"),
    [
        ("etc/records.config", "", True),
        ("C:\\ats\\remap.config", "", True),
        ("-", "CONFIG proxy.config.x INT 1", True),
        ("my.config", "flush true\ncompressible-content-type text/*", True),
        ("maps", "map / http://a/", True),
        ("a.yaml", "records:\n  http:\n    server_ports: 80\n", True),
        ("a.yaml", "records:\n  - 1\n", False),
        ("a.md", "CONFIG proxy.config.x INT 1", False),
        ("a.config", "<configuration/>", False),
    ],
)
def test_files_are_recognised(path: str, text: str, ours: bool) -> None:
    assert ATS.recognises(path, text) is ours


def test_files_of_another_kind_are_skipped() -> None:
    assert lint("# nothing\n") == LintResult()


class TestCompress:
    @pytest.mark.parametrize(
        ("types", "expected"),
        [
            ("text/event-stream", ["ATS101 error"]),
            ("text/event-stream*", ["ATS101 error"]),
            ("*event-stream; charset*  # c", ["ATS101 error"]),
            ("text/*", ["ATS101 info"]),
            ("TEXT/***", ["ATS101 info"]),
            ("text/html", []),
            ("text/[e]vent-stream", []),
            ("!text/event-stream*", []),
            ("*" * 200, []),
        ],
    )
    def test_type_patterns_that_match_event_streams_are_reported(
        self, types: str, expected: list[str]
    ) -> None:
        assert reported(f"compressible-content-type {types}\nflush false\n") == expected

    def test_the_last_pattern_that_matches_decides(self) -> None:
        wide, not_streams = "compressible-content-type text/*\n", "!text/event-stream*\n"
        text = f"{wide}compressible-content-type {not_streams}"
        assert reported(text) == []
        assert reported(text + wide) == ["ATS101 info"]
        assert reported(f"{wide}compressible-content-type !text/event-stream\n") == ["ATS101 info"]

    def test_routes_that_the_user_declares_as_streaming_are_linted(self) -> None:
        text = "compressible-content-type text/*\n"
        assert reported(text, CERTAIN) == ["ATS101 error"]
        assert fixed(text, CERTAIN) == "compressible-content-type text/*\nflush true\n"
        assert fixed(text) == text

    def test_sites_are_independent(self) -> None:
        kind = "compressible-content-type text/event-stream\n"
        text = f"flush true\n{kind}[a]\n{kind}enabled FALSE\n[b]\n  {kind}[c]\n{kind}flush true\n"
        assert reported(text) == ["ATS101 error"]
        assert fixed(text) == text.replace("[c]", "  flush true\n[c]")


class TestRecords:
    @pytest.mark.parametrize(
        ("line", "expected"),
        [
            (f"{IDLE} 10", ["ATS401 error"]),
            (f"{IDLE} 29", ["ATS401 warning"]),
            (f"{IDLE} 30", []),
            (f"{IDLE} 0", []),
            (f"{IDLE} 1K", []),
            (f"{ACTIVE} 60", ["ATS402 error"]),
            (f"{ACTIVE} 900", ["ATS402 warning"]),
            (f"{ACTIVE} 0", []),
            (f"{ACTIVE} 3600", []),
            (f"{ACTIVE.replace('_in', '_out')} 5", []),
            ("CONFIG proxy.config.http.cache.http INT 1", []),
            (f"#{IDLE} 10\nCONFIG proxy.config.x INT 1", []),
        ],
    )
    def test_severity(self, line: str, expected: list[str]) -> None:
        assert reported(f"{line}\n", CERTAIN) == expected
        assert [one.split()[0] for one in reported(f"{line}\n")] == [
            one.split()[0] for one in expected
        ]

    def test_the_last_of_two_records_is_effective(self) -> None:
        assert reported(f"{IDLE} 10\n{IDLE} 60\n", CERTAIN) == []

    def test_the_default_is_reported_if_heartbeats_are_rare(self) -> None:
        rare = with_heartbeats(stream_paths=("/",), heartbeat_s=40)
        text = "# c\nCONFIG proxy.config.http.cache.http INT 0\n"
        assert reported(text, rare) == ["ATS401 error"]
        assert fixed(text, rare).count("INT 3600\n") == 2
        assert reported(fixed(text, rare), rare) == []
        assert reported(text, with_heartbeats(heartbeat_s=40)) == []
        assert reported("LOCAL proxy.config.http.cache.http INT 0\n", rare) == []

    @pytest.mark.parametrize(
        ("maps", "expected"),
        [
            ("map /v1/ http://a:80/", ["ATS401 error"]),
            ("regex_map http://x/ http://vllm:80/", ["ATS401 error"]),
            ("map http://x http://site/", ["ATS401 info"]),
            ("", ["ATS401 info"]),
        ],
    )
    def test_the_maps_of_remap_config_decide(self, maps: str, expected: list[str]) -> None:
        for text in (
            f"{IDLE} 10\n",
            "ts:\n  http:\n    transaction_no_activity_timeout_out: 10\n",
        ):
            assert reported(text, files=beside(maps)) == expected

    def test_records_yaml_is_linted(self) -> None:
        name = "transaction_active_timeout_in"
        text = f"records:\n  http:\n    {name}: 5\n---\nrecords:\n  http:\n    {name}: 50\n"
        assert [one.line for one in lint(text, CERTAIN).diagnostics] == [7]
        assert fixed(text, CERTAIN) == text.replace("50", "0")
        aliased = text.replace("50", "&a 50")
        assert fixed(aliased, CERTAIN) == aliased
        assert reported("records:\n  exec_thread: {}\n") == []
        twice = f"records:\n  http:\n    {name}: 0\n    {name}: 0\n"
        assert [one.line for one in lint(twice, CERTAIN).unread] == [4]
        assert len(lint(twice, files=beside("")).unread) == 1


class TestMaps:
    def test_parameters_of_streaming_maps_are_linted(self) -> None:
        param = "@plugin=conf_remap.so @pparam=proxy.config.http.%s=%s"
        idle = param % ("transaction_no_activity_timeout_in", 5)
        active = param % ("transaction_active_timeout_in", 5)
        other = param % ("cache.http", 0)
        text = f"map http://a/v1/ http://b/ {idle} {active} {other}\nmap / http://c/ {idle}\n"
        assert reported(text) == ["ATS401 error", "ATS402 error"]
        assert fixed(text) == text.replace("=5", "=3600", 1).replace(
            "_active_timeout_in=5", "_active_timeout_in=0"
        )


@pytest.mark.parametrize(
    ("start", "part", "end", "parts"),
    [
        ("compressible-content-type a\nflush", " ", "\n", 20_000),
        ("compressible-content-type ", "*a", "", 5_000),
        ("CONFIG proxy.", " ", "", 20_000),
        ("map / http://", "@pparam=proxy.config.http.", "", 1_000),
        ("", "[", "\ncompressible-content-type x\n", 10_000),
        ("", "compressible-content-type text/*\n", "", 1_000),
    ],
    ids=range(6),
)
def test_work_is_linear_in_the_length(start: str, part: str, end: str, parts: int) -> None:
    assert_linear(lambda n: reported(start + part * n + end, CERTAIN), parts)


def test_rendered_configurations_have_no_findings() -> None:
    for path in ("/", "v1/"):
        request = RenderRequest(upstream="http://llm:8000/", path=path, idle_s=60.5)
        text = ATS.render(request)
        assert lint(text, CERTAIN) == LintResult()
        assert f"map /{path.strip('/')}" in text
        assert "_out INT 61" in text
        assert recognise_dialect("records.config", text) is ATS


@pytest.mark.parametrize("path", ["/", "v1/"])
def test_from_version_10_on_records_are_rendered_as_yaml(path: str) -> None:
    def rendered(version: str = "") -> str:
        return ATS.render(
            RenderRequest(
                upstream="http://llm:8000/", path=path, idle_s=60.5, target=Version.parse(version)
            )
        )

    text = rendered("10.0")
    assert "transaction_no_activity_timeout_out: 61\n" in text
    assert f"map /{path.strip('/')}" in text
    assert recognise_dialect("records.yaml", text) is ATS
    assert lint_source(ATS, Source("records.yaml", text), CERTAIN).diagnostics == ()
    assert rendered("9.2") == rendered()
