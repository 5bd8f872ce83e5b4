"""Apache rules, with configurations that are more complex than those in tests/rules."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from support.dialect_harness import DialectHarness, include_opener, with_heartbeats
from support.mutations import damaged_texts, robustness_faults
from support.work import assert_linear
from undam.errors import ConfigSyntaxError, UsageError
from undam.lint import RenderRequest, Source, fix_sources, recognise_dialect
from undam.lint.dialect import no_includes
from undam.lint.dialects.apache.parser import MAX_INCLUDES, MAX_SECTIONS, read_config
from undam.rules import Severity

APACHE = DialectHarness("apache", "APA")
HELD = "ProxyPass /v1/chat/ fcgi://10.0.0.1/"
MATCHED = """\
ExtFilterDefine f cmd=x
<LocationMatch /v1/chat/.*>
    SetOutputFilter f
</LocationMatch>
"""
INNER = "ProxyPass http://a/\n"
LIMITED = "SetOutputFilter RATE_LIMIT\nSetEnv rate-limit 4\n"
CHAT = "ProxyPass /v1/chat/ http://10.0.0.1/"


# parsing


@pytest.mark.parametrize(
    ("text", "line", "column", "what"),
    [
        ("A b\n</Location>", 2, 1, "no matching"),
        ("<Location /a>\n</Files>", 2, 1, "no matching"),
        ("A\n <Location /a>\n", 2, 2, "is not closed"),
        ("<Location /a", 1, 1, "> of this section is missing"),
        ("<>", 1, 1, "has no name"),
        ("<A>\n" * (MAX_SECTIONS + 1), MAX_SECTIONS + 1, 1, "deep"),
    ],
)
def test_syntax_errors_have_a_position(text: str, line: int, column: int, what: str) -> None:
    with pytest.raises(ConfigSyntaxError, match=what) as error:
        APACHE.lint(text)
    assert (error.value.line, error.value.column) == (line, column)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('A "b c" \'d\' e"f', ["b c", "d", 'e"f']),
        ('A "b \\" c" "d', ['b " c', "d"]),
        ("\ufeffA b \\\n  c\\\r\n d\n", ["b", "c", "d"]),
        ("A b\\c d\\", ["b\\c", "d\\"]),
        ("# x \\\n y\nA b\r\n", ["b"]),
        ("A b # c", ["b", "#", "c"]),
        ("A\tb\n\n  \n", ["b"]),
    ],
)
def test_lines_are_split_as_httpd_splits_them(text: str, expected: list[str]) -> None:
    (one,) = read_config(Source("f", text), no_includes).root.directives
    assert list(one.texts) == expected
    assert one.name == "a"


def test_an_empty_continued_line_is_ignored() -> None:
    assert APACHE.lint("\\\n") == APACHE.lint("")


def test_includes_are_expanded_in_place() -> None:
    inside = include_opener(**{"a.conf": HELD, "b.conf": "ProxyTimeout 5\n"})
    text = "<VirtualHost *>\nInclude a.conf\n</VirtualHost>\n"
    found = APACHE.lint(text, inside)
    assert [(one.path, one.rule.code) for one in found.diagnostics] == [("a.conf", "APA101")]
    assert [one.path for one in found.included] == ["a.conf"]
    changed = fix_sources(APACHE.dialect, Source("f", text), with_heartbeats(), open_include=inside)
    assert changed == {"a.conf": f"{HELD} flushpackets=on"}


def test_a_limit_of_another_file_is_reported_at_the_route() -> None:
    inside = include_opener(limits="ProxyTimeout 5")
    (found,) = APACHE.lint(f"IncludeOptional limits\n{CHAT}", inside).diagnostics
    assert (found.path, found.line, found.rule.code) == ("f", 2, "APA401")


def test_unread_parts_are_reported() -> None:
    text = "<Macro m $x>\nA $x\n</Macro>\nUse m 1\nInclude ${D}/x\nInclude gone.conf\n"
    found = APACHE.lint(text).unread
    assert [(one.line, one.what) for one in found] == [
        (1, "the macro m"), (4, "Use m"), (5, "${D}/x, which contains an unknown variable"),
    ]  # fmt: skip


@pytest.mark.parametrize("times", [1, 20])
def test_recursive_includes_terminate(times: int) -> None:
    found = APACHE.lint("Include a", include_opener(a="Include a\n" * times))
    assert len(found.included) <= MAX_INCLUDES
    assert "too many includes" in found.unread[0].what


def test_the_number_of_included_files_is_limited() -> None:
    found = APACHE.lint("Include *", lambda _: [Source("a", "A b")] * (MAX_INCLUDES + 1))
    assert len(found.included) == MAX_INCLUDES
    assert [one.what for one in found.unread] == ["a: too many includes"]


# routes


@pytest.mark.parametrize(
    "text",
    [
        HELD,
        "ProxyPass / fcgi://vllm:80/",
        'ProxyPassMatch "^/v1/chat/(.*)$" "fcgi://10.0.0.1/$1"',
        "<Location /v1/chat/>\nProxyPass fcgi://10.0.0.1/\n</Location>",
        '<Location ~ "/v1/chat$">\nProxyPass fcgi://10.0.0.1/\n</Location>',
        "<LocationMatch ^/v1/chat/>\nProxyPassMatch fcgi://10.0.0.1/\n</LocationMatch>",
        '<Location /v1/chat/>\n<If "true">\nSetHandler "proxy:fcgi://10.0.0.1"\n</If>\n</Location>',
        "<Files sse.php>\nSetHandler proxy:unix:/run/x|fcgi://10.0.0.1\n</Files>",
        "RewriteRule ^/v1/chat/ fcgi://10.0.0.1/ [L,P]",
        "RewriteCond %{REQUEST_URI} ^/v1/chat\nRewriteRule ^ fcgi://10.0.0.1/ [proxy]",
        "<Location /v1/chat>\nRewriteRule . ajp://10.0.0.1/ [P]\n</Location>",
        "<IfModule a>\n<VirtualHost *>\nProxyPass /v1/chat ajp://10.0.0.1/\n</VirtualHost>\n</IfModule>",
        "ProxyPass /v1/chat fcgi://10.0.0.1/ flushpackets=auto",
        f"<Proxy fcgi://10.0.0.2 flushpackets=on>\n</Proxy>\n{HELD}",
        f"<Proxy *>\nProxySet flushpackets=off\n</Proxy>\n{HELD}",
        "Define U fcgi://10.0.0.1/\nProxyPass /v1/chat ${U}",
        "<Proxy balancer://b>\nBalancerMember fcgi://10.0.0.1\n</Proxy>\nProxyPass /v1/chat balancer://b/",
        "BalancerMember balancer://b fcgi://10.0.0.1\nProxyPass /v1/chat balancer://b",
    ],
)
def test_routes_that_stream_are_found(text: str) -> None:
    assert APACHE.codes(text) == ["APA101"]
    if "RewriteRule" not in text and "SetHandler" not in text:
        assert APACHE.codes(APACHE.fix(text)) == []
        assert "flushpackets=on" in APACHE.fix(text)


@pytest.mark.parametrize(
    "text",
    [
        "ProxyPass /shop fcgi://10.0.0.1/",
        "ProxyPass /v1/chat/ !\nProxyPass /v1/chat\nProxyPass",
        "<Location /v1/chat>\nProxyPass !\nProxyPass\n</Location>",
        "ProxyPass /v1/chat uwsgi://10.0.0.1/\nProxyPass /v1/chat scgi://10.0.0.1/",
        "ProxyPass /v1/chat balancer://unknown/",
        "RewriteRule ^/v1/chat/ fcgi://10.0.0.1/ [L]\nRewriteRule ^/v1/chat/ /x",
        "RewriteCond %{REQUEST_URI} ^/v1/chat\nRewriteRule ^/x /y\nRewriteRule ^/z fcgi://a/ [P]",
        "<Files x>\nSetHandler proxy:fcgi://10.0.0.1\n</Files>\nSetHandler server-status",
        "<Files>\nSetHandler proxy:fcgi://10.0.0.1\n</Files>",
        "<Location>\nSetHandler proxy:fcgi://10.0.0.1\n</Location>",
        f"<Proxy fcgi://10.0.0.1/ flushpackets=on>\n</Proxy>\n{HELD}",
        f"<Proxy *>\nProxySet flushpackets=on\n</Proxy>\n{HELD}",
        "<Proxy fcgi://10.0.0.1/>\nProxyPass /v1/chat fcgi://10.0.0.1/\n</Proxy>",
        "BalancerMember balancer://b\nBalancerMember\n<Proxy>\n</Proxy>",
    ],
)
def test_other_routes_have_no_findings(text: str) -> None:
    assert APACHE.codes(text) == []


def test_user_paths_select_the_relay() -> None:
    text = f"{HELD}\nProxyPass /api fcgi://10.0.0.1/"
    assert APACHE.codes_and_lines(text, stream_paths=("/api/x",)) == [("APA101", 2)]


# filters, cache, headers


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"SetOutputFilter DEFLATE;RATE_LIMIT\nSetEnvIf A b rate-limit=4\n{CHAT}", ["APA102"]),
        (f"SetOutputFilter RATE_LIMIT\n{CHAT}", []),
        (
            f"{LIMITED}<Location /v1/chat/>\nSetOutputFilter NONE\n</Location>\n{CHAT}",
            [],
        ),
        (f"<Location /shop>\n{LIMITED}</Location>\n{CHAT}", []),
        (f"ExtFilterDefine f cmd=x\nAddOutputFilterByType f text/event-stream\n{CHAT}", ["APA103"]),
        (f"ExtFilterDefine f cmd=x mode=input\nSetOutputFilter f\n{CHAT}", []),
        (f"ExtFilterDefine f cmd=x\nAddOutputFilterByType f text/html\n{CHAT}", []),
        (
            f"{MATCHED}ProxyPassMatch /v1/chat/.* http://10.0.0.1/",
            ["APA103"],
        ),
        (f"CacheEnable disk\n{CHAT}", ["APA104"]),
        (f"CacheEnable disk http://\n{CHAT}", ["APA104"]),
        (f"CacheEnable disk /v1/chat/\nCacheDisable /\n{CHAT}", []),
        (f"CacheEnable disk /shop\n{CHAT}", []),
        ("<Location /v1/chat>\nCacheEnable disk\nProxyPass http://a/\n</Location>", ["APA104"]),
        (f"<Location /v1/chat>\nCacheEnable disk\nCacheDisable on\n{INNER}</Location>", []),
        (
            f"CacheEnable disk /\n<Location /v1/chat>\nCacheDisable on\n{INNER}</Location>",
            ["APA104"],
        ),
        (f"Header always set X-Accel-Buffering no\n{CHAT}", ["APA202"]),
        (f"RequestHeader set x-accel-buffering no\n{CHAT}", ["APA202"]),
        (f"Header unset X-Accel-Buffering\nHeader echo X-Accel-Buffering\n{CHAT}", []),
        (f"Header always unset X-Accel-Buffering\nHeader set A b\n{CHAT}", []),
        (f"SetEnv force-proxy-request-1.0 1\nSetEnv a b\n{CHAT}", ["APA105"]),
        (f"SetEnv force-proxy-request-1.0 1\n{HELD} flushpackets=on", []),
        (f"{CHAT} flushwait=5", ["APA201"]),
        ("<VirtualHost *>\nHeader set X-Accel-Buffering no\n</VirtualHost>\n" + CHAT, []),
    ],
)  # fmt: skip
def test_outer_settings_apply_to_the_route(text: str, expected: list[str]) -> None:
    assert APACHE.codes(text) == expected


def test_a_continued_line_is_not_edited() -> None:
    text = f"SetEnv \\\nforce-proxy-request-1.0 1\n{CHAT}\n"
    assert APACHE.codes_and_lines(text) == [("APA105", 1)]
    assert APACHE.fix(text) == text


def test_lines_shared_by_many_routes_are_reported_once() -> None:
    member = "<Proxy balancer://b>\nBalancerMember http://10.0.0.1 timeout=5\n</Proxy>\n"
    text = f"Header set X-Accel-Buffering no\n{member}ProxyPass /v1/chat balancer://b\n"
    text += "ProxyPass /v1 balancer://b\n"
    assert APACHE.codes_and_lines(text) == [("APA202", 1), ("APA401", 3)]


# limits


@pytest.mark.parametrize(
    ("limit", "severity"),
    [("11", Severity.ERROR), ("20", Severity.WARNING), ("30", None), ("5ms", None), ("x", None)],
)
@pytest.mark.parametrize(
    "text",
    [
        "Timeout @\n%s",
        "ProxyTimeout @\nTimeout 5\n%s",
        "Timeout 5\n<VirtualHost *>\nProxyTimeout @\n%s\n</VirtualHost>",
        "Timeout 5\n%s timeout=@",
        "<Proxy http://10.0.0.1>\nProxySet retry=1 timeout=@\n</Proxy>\n%s",
    ],
)
def test_limits_are_compared_with_the_heartbeat(
    text: str, limit: str, severity: Severity | None
) -> None:
    asked = (text % CHAT).replace("@", limit)
    found = APACHE.lint(asked).diagnostics
    expected = [] if severity is None else [("APA401", severity)]
    assert [(one.rule.code, one.severity) for one in found] == expected
    if found:
        assert f"{CHAT} timeout=3600" in APACHE.fix(asked)
        assert APACHE.codes(APACHE.fix(asked)) == []


def test_the_default_limit_is_one_minute() -> None:
    assert APACHE.codes(CHAT) == []
    assert APACHE.codes_and_lines(CHAT, heartbeat_s=40.0) == [("APA401", 1)]
    inner = f"<Proxy http://10.0.0.1/ timeout=5>\n</Proxy>\n{CHAT}"
    # It has not been measured whether a timeout in the opening line applies, so there is no
    # finding.
    assert APACHE.codes(inner) == []


def test_a_rewrite_takes_no_parameter() -> None:
    text = "ProxyTimeout 5\nRewriteRule ^/v1/chat http://10.0.0.1/ [P]\n"
    assert APACHE.codes_and_lines(text) == [("APA401", 1)]
    assert APACHE.fix(text) == text


# Corpus, dialect detection, rendering, and damaged texts.


def test_routes_that_do_not_stream_have_no_findings() -> None:
    assert APACHE.corpus_faults("still-shop.conf") == []
    assert APACHE.corpus_faults("still-tools.conf") == []
    assert APACHE.corpus_findings("stream-chat.conf") == [("APA401", 11), ("APA101", 22)]


def test_every_file_of_the_corpus_is_recognised() -> None:
    for text in APACHE.texts:
        assert recognise_dialect("-", text) is APACHE.dialect


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("/etc/apache2/sites-enabled/a.conf", "", True),
        ("httpd.conf", "", True),
        ("a.conf", "<VirtualHost *:80>\n", True),
        ("a.xml", "<Location /x>\n", False),
        ("nginx.conf", "server { listen 80; }", False),
    ],
)
def test_httpd_is_recognised(path: str, text: str, expected: bool) -> None:
    assert APACHE.dialect.recognises(path, text) is expected


@pytest.mark.parametrize("path", ["/", "/v1/", "chat"])
def test_rendered_configurations_have_no_findings(path: str) -> None:
    for scheme in ("http", "https"):
        text = APACHE.dialect.render(RenderRequest(upstream=f"{scheme}://vllm", path=path))
        assert APACHE.codes(text) == []
        assert ("SSLProxyEngine on" in text) is (scheme == "https")


def test_values_with_a_special_meaning_are_rejected() -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        APACHE.dialect.render(RenderRequest(upstream="http://a", path='/"'))


@pytest.mark.slow
@pytest.mark.parametrize(
    "part",
    [
        "\\\n", '"', "'\\", f"{HELD}\n", "<Location /v1/chat>\nCacheEnable disk\n</Location>\n",
        "Header set X-Accel-Buffering no\n", " \t", "RewriteCond a b\n",
        "<Location /v1/chat/>\nProxyPass http://a/ timeout=1\n</Location>\n",
    ],
)  # fmt: skip
def test_work_is_linear_in_the_length(part: str) -> None:
    def lint(n: int) -> None:
        assert robustness_faults(APACHE.dialect, f"{CHAT}\n{part * n}\n") == []
        recognise_dialect("-", part * n)

    assert_linear(lint, 128)


@pytest.mark.slow
@given(text=damaged_texts(APACHE.texts))
@settings(max_examples=50, deadline=None)
def test_damaged_text_gives_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(APACHE.dialect, text) == []


@pytest.mark.deep
@given(text=damaged_texts(APACHE.texts))
@settings(max_examples=10_000, deadline=None)
def test_ten_thousand_damaged_texts_give_findings_or_a_syntax_error(text: str) -> None:
    assert robustness_faults(APACHE.dialect, text) == []
