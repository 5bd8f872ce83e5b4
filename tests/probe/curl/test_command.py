"""A curl command line is converted into the request that curl would send."""

from __future__ import annotations

import json

import pytest

from undam.errors import UsageError
from undam.probe.curl.command import CurlCommand, parse_curl

CHROME = """curl 'https://chat.example/api/chat?x=1' \\
  -H 'accept: text/event-stream' \\
  -H 'accept-encoding: gzip, deflate, br, zstd' \\
  -H 'content-type: application/json' \\
  -b 'session=abc; theme=dark' \\
  -H 'origin: https://chat.example' \\
  -H 'user-agent: Mozilla/5.0 (X11)' \\
  --data-raw $'{"prompt":"it\\'s \\u0021 \\\\"quoted\\\\"\\\\n","id":"\\ud83d\\ude00"}' \\
  --compressed"""

CHROME_CMD = """curl ^"https://chat.example/api/chat^" ^
  -H ^"content-type: application/json^" ^
  -H ^"priority: u=1, i^" ^
  --data-raw ^"^{^\\^"prompt^\\^":^\\^"50^% ^& more^\\^",^\\^"n^\\^":1^}^" ^
  --insecure"""

FIREFOX = """curl 'https://chat.example/api/chat' --compressed -X POST -H 'User-Agent: Mozilla' \
-H 'Accept: */*' -H 'Connection: keep-alive' -H 'Content-Type: application/json' \
-H 'Cookie: a=b' --data-raw '{"q":"h\u00e9"}'"""

SAFARI = """curl 'https://chat.example/api/chat' \\
-X 'POST' \\
-H 'Content-Type: application/json' \\
-H 'Content-Length: 12' \\
--data-binary '{"q":"hi"}'"""

OPENAI_DOCS = """
$ curl https://api.example/v1/chat/completions \\
  -H "Content-Type: application/json" \\
  -H "Authorization: Bearer $OPENAI_API_KEY" \\
  -d '{
    "model": "m",
    "messages": [{"role": "user", "content": "Say \\"hi\\" for $5"}]
  }' | jq .
"""

FILES = {"body.json": b'{"a":\r\n 1}\n', "raw.bin": b"\x00\n\xff"}


def parse(text: str, **environ: str) -> CurlCommand:
    return parse_curl(text, environ=environ, read_file=FILES.__getitem__)


def header(command: CurlCommand, name: str) -> list[str]:
    return [value for key, value in command.headers if key.lower() == name.lower()]


def test_copy_as_curl_of_chrome() -> None:
    command = parse(CHROME)
    assert command.url == "https://chat.example/api/chat?x=1"
    assert json.loads(command.data or b"") == {"prompt": 'it\'s ! "quoted"\n', "id": "\U0001f600"}
    assert header(command, "cookie") == ["session=abc; theme=dark"]
    assert header(command, "accept-encoding") == ["gzip, deflate, br, zstd"]
    assert header(command, "content-type") == ["application/json"]
    assert (command.method, command.insecure, command.proxy) == (None, False, None)


def test_copy_as_curl_of_chrome_on_windows() -> None:
    command = parse(CHROME_CMD)
    assert command.url == "https://chat.example/api/chat"
    assert json.loads(command.data or b"") == {"prompt": "50% & more", "n": 1}
    assert header(command, "priority") == ["u=1, i"]
    assert command.insecure


def test_copy_as_curl_of_chrome_on_windows_with_a_line_end_in_the_body() -> None:
    command = parse('curl ^"http://h/^" ^\r\n  --data-raw ^"a^\r\n\r\nb^"')
    assert command.data == b"a\r\nb"


def test_copy_as_curl_of_firefox_and_safari() -> None:
    command = parse(FIREFOX)
    assert (command.method, json.loads(command.data or b"")) == ("POST", {"q": "h\u00e9"})
    assert header(command, "connection") == []
    assert header(command, "cookie") == ["a=b"]
    command = parse(SAFARI)
    assert (command.method, command.data) == ("POST", b'{"q":"hi"}')
    assert header(command, "content-length") == []


def test_example_of_an_api_with_a_variable_and_a_pipe() -> None:
    command = parse(OPENAI_DOCS, OPENAI_API_KEY="sk-1")
    assert header(command, "authorization") == ["Bearer sk-1"]
    body = json.loads(command.data or b"")
    assert body["messages"][0]["content"] == 'Say "hi" for $5'
    with pytest.raises(UsageError, match=r"\$OPENAI_API_KEY, which is not set"):
        parse(OPENAI_DOCS)


@pytest.mark.parametrize(
    ("options", "data", "content_type"),
    [
        ("-d a=1 -d b=2", b"a=1&b=2", "application/x-www-form-urlencoded"),
        ("-d @body.json", b'{"a": 1}', "application/x-www-form-urlencoded"),
        ("--data-binary @raw.bin", b"\x00\n\xff", "application/x-www-form-urlencoded"),
        ("--data-raw @raw.bin", b"@raw.bin", "application/x-www-form-urlencoded"),
        ("""--json '{"a":1}'""", b'{"a":1}', "application/json"),
        ("-d x -H content-type:text/x", b"x", "text/x"),
        ("--data-urlencode 'q=a b&c'", b"q=a%20b%26c", "application/x-www-form-urlencoded"),
        ("--data-urlencode 'a b'", b"a%20b", "application/x-www-form-urlencoded"),
        ("--data-urlencode '=a b'", b"a%20b", "application/x-www-form-urlencoded"),
        ("--data-urlencode q@raw.bin", b"q=%00%0A%FF", "application/x-www-form-urlencoded"),
    ],
)
def test_bodies(options: str, data: bytes, content_type: str) -> None:
    command = parse(f"curl http://h/x {options}")
    assert command.data == data
    assert header(command, "content-type") == [content_type]


def test_get_puts_the_data_into_the_query() -> None:
    command = parse("curl -G 'http://h/x?a=1' -d b=2")
    assert (command.url, command.data) == ("http://h/x?a=1&b=2", None)
    assert header(command, "content-type") == []


@pytest.mark.parametrize(
    ("options", "name", "value"),
    [
        ("-u user:pass", "authorization", "Basic dXNlcjpwYXNz"),
        ("--oauth2-bearer tok", "authorization", "Bearer tok"),
        ("-A agent", "user-agent", "agent"),
        ("-e http://from", "referer", "http://from"),
        ("-b a=b", "cookie", "a=b"),
        ("-H 'X-Empty;'", "x-empty", ""),
        ("-HX-A:b", "x-a", "b"),
    ],
)
def test_options_that_set_a_header(options: str, name: str, value: str) -> None:
    assert header(parse(f"curl {options} h"), name) == [value]


def test_headers_that_belong_to_the_client_are_dropped() -> None:
    command = parse(
        "curl h -H ':authority: h' -H 'If-None-Match: x' -H 'Accept:' -H 'TE: trailers' -b jar.txt"
    )
    assert command.headers == ()


def test_connection_options() -> None:
    command = parse(
        "curl -sSNkL -XPUT --proxy=http://p:1 --cacert ca.pem -E me.pem --resolve a:1:2 "
        "--resolve=b:1:2 --http2 -m 5 -o /dev/null -w '%{time_total}' --compressed h:8000/x 2>&1"
    )
    assert (command.url, command.method, command.insecure) == ("http://h:8000/x", "PUT", True)
    assert (command.proxy, command.cacert, command.cert) == ("http://p:1", "ca.pem", "me.pem")
    assert (command.resolve, command.http_version) == (("a:1:2", "b:1:2"), "2")
    assert parse("curl --http1.1 h").http_version == "1.1"
    assert parse("curl --socks5 p:1080 h").proxy == "socks5://p:1080"
    assert parse("curl --socks5-hostname p:1080 --url h").proxy == "socks5h://p:1080"


def test_what_is_behind_the_command_is_ignored() -> None:
    for end in ("; echo", "&& echo", "& echo", "> file", "| cat", ">/dev/null"):
        assert parse(f"curl 'http://h/?a=1&b=2' -d x {end} http://other").data == b"x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "does not begin with curl"),
        ("wget http://h", "does not begin with curl"),
        ("curl", "has no URL"),
        ("curl -H", "-H has no value"),
        ("curl --data", "--data has no value"),
        ("curl h -H x", "expected 'Name: value'"),
        ("curl h other", "seems to have 2 URLs"),
        ("curl 'http://h", "' is not closed"),
        ('curl "http://h', '" is not closed'),
        ("curl $'http://h", r"\$' is not closed"),
        ("curl -F a=b h", "multipart forms"),
        ("curl -I h", "HEAD requests"),
        ("curl -T file h", "uploads"),
        ("curl -K file h", "config files"),
        ("curl -? h", r"unknown option -\?"),
    ],
)
def test_commands_that_cannot_be_used(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse(text)


def test_no_message_and_no_repr_contains_a_value() -> None:
    command = parse("curl http://secret/ -H 'Authorization: secret' -d secret -x http://secret")
    assert "secret" not in repr(command)
    with pytest.raises(UsageError) as raised:
        parse("curl secret-a secret-b -H 'K: secret'")
    assert "secret" not in str(raised.value)
