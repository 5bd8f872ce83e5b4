"""Parser for curl command lines, such as from a browser's "Copy as cURL" or an API's documentation.

The parser does no I/O: the caller passes the environment, and a function that reads files.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from undam.errors import UsageError
from undam.probe.curl.shell_words import shell_words

# undam sets the HTTP/1 framing headers itself. The other headers depend on a browser's cache.
_DROPPED_HEADERS = frozenset({
    "connection", "content-length", "if-modified-since", "if-none-match", "keep-alive",
    "proxy-connection", "te", "transfer-encoding", "upgrade-insecure-requests",
})  # fmt: skip

_SHORT_WITH_VALUE = {
    "H": "header", "d": "data", "X": "request", "A": "user-agent", "b": "cookie", "e": "referer",
    "u": "user", "x": "proxy", "E": "cert", "m": "max-time", "o": "output", "w": "write-out",
    "c": "cookie-jar", "D": "dump-header", "F": "form", "T": "upload-file", "U": "proxy-user",
    "r": "range", "y": "speed-time", "Y": "speed-limit", "K": "config",
}  # fmt: skip
_SHORT_FLAGS = {
    "k": "insecure", "G": "get", "I": "head", "s": "silent", "S": "show-error", "N": "no-buffer",
    "v": "verbose", "i": "include", "L": "location", "f": "fail", "#": "progress-bar", "O": "",
    "g": "globoff", "0": "http1.0", "4": "ipv4", "6": "ipv6", "1": "tlsv1", "j": "", "q": "",
    "n": "", "J": "", "a": "", "l": "", "R": "", "Z": "",
}  # fmt: skip

_DATA = ("data", "data-ascii", "data-raw", "data-binary", "data-urlencode", "json")
_WITH_VALUE = frozenset({
    *_DATA, *_SHORT_WITH_VALUE.values(), "url", "resolve", "cacert", "key", "cert-type", "key-type",
    "oauth2-bearer", "socks5", "socks5-hostname", "connect-timeout", "max-redirs", "retry",
    "retry-delay", "retry-max-time", "ciphers", "tls-max", "interface", "form-string", "stderr",
    "trace", "trace-ascii", "keepalive-time", "limit-rate", "proto", "noproxy", "connect-to",
    "tls13-ciphers", "expect100-timeout", "max-filesize", "proxy-header", "curves",
})  # fmt: skip
_UNSUPPORTED = {
    "form": "multipart forms", "form-string": "multipart forms", "upload-file": "uploads",
    "config": "config files", "head": "HEAD requests",
}  # fmt: skip

_FORM = ("Content-Type", "application/x-www-form-urlencoded")
_EXAMPLE = "--curl 'curl https://…', or --curl @FILE"


@dataclass(frozen=True, slots=True, kw_only=True)
class CurlCommand:
    """Request options and connection options from a curl command line.

    ``repr`` leaves out URL, headers, body and proxy, because they may contain secrets.

    Args:
        method: as given with ``-X``, or as curl derives it; ``None`` for curl's default.
        headers: all request headers, including those of ``-A``, ``-b``, ``-e`` and ``-u``.
        data: request body; ``None`` without one.
        http_version: "1.1" or "2" if the command asks for one, else ``None``.
        resolve: values of ``--resolve``, as written.
    """

    url: str = field(repr=False)
    method: str | None = None
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    data: bytes | None = field(default=None, repr=False)
    insecure: bool = False
    proxy: str | None = field(default=None, repr=False)
    cacert: str | None = None
    cert: str | None = None
    resolve: tuple[str, ...] = ()
    http_version: str | None = None


def parse_curl(
    text: str, *, environ: Mapping[str, str], read_file: Callable[[str], bytes]
) -> CurlCommand:
    """Parse a curl command line in the syntax of a POSIX shell or of cmd on Windows.

    Options that do not change the request (``-s``, ``-N``, ``-o FILE`` …) are ignored. Variables
    outside of single quotes are replaced from ``environ``.

    Args:
        read_file: returns the content of a file that an option names (``-d @FILE``).

    Raises:
        UsageError: the text is not a curl command, or uses an option that changes the request in
            a way that is not supported. The message repeats no value of the command.
    """
    words = shell_words(text, environ)
    if not words or words[0].rpartition("/")[2] not in {"curl", "curl.exe"}:
        raise UsageError(f"--curl: the text does not begin with curl; expected {_EXAMPLE}")
    parsed = _Parsed()
    for name, value in _options(words[1:]):
        parsed.apply(name, value, read_file)
    return parsed.result()


def _options(words: list[str]) -> Iterator[tuple[str, str]]:
    """Yield (long name, value) for each option; the name of the URL is "url"."""
    rest = iter(words)
    for word in rest:
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            if name not in _WITH_VALUE:
                yield name, ""
            else:
                yield name, value if equals else _value_of(f"--{name}", rest)
        elif word.startswith("-") and len(word) > 1:
            yield from _short_options(word[1:], rest)
        else:
            yield "url", word


def _short_options(letters: str, rest: Iterator[str]) -> Iterator[tuple[str, str]]:
    """Yield the options in a word of short options, such as ``-sSNXPOST``."""
    for index, letter in enumerate(letters):
        if letter in _SHORT_WITH_VALUE:
            value = letters[index + 1 :] or _value_of(f"-{letter}", rest)
            yield _SHORT_WITH_VALUE[letter], value
            return
        if letter not in _SHORT_FLAGS:
            raise UsageError(f"--curl: unknown option -{letter} of curl")
        yield _SHORT_FLAGS[letter], ""


def _value_of(option: str, rest: Iterator[str]) -> str:
    value = next(rest, None)
    if value is None:
        raise UsageError(f"--curl: {option} has no value; is the command complete?")
    return value


@dataclass(slots=True)
class _Parsed:
    """Options parsed so far from a command line."""

    urls: list[str] = field(default_factory=list)
    headers: list[tuple[str, str]] = field(default_factory=list)
    removed: set[str] = field(default_factory=set)
    defaults: list[tuple[str, str]] = field(default_factory=list)
    data: list[bytes] = field(default_factory=list)
    query: bool = False
    command: CurlCommand = field(default_factory=lambda: CurlCommand(url=""))

    def apply(self, name: str, value: str, read_file: Callable[[str], bytes]) -> None:
        """Apply one option."""
        if name in _UNSUPPORTED:
            raise UsageError(f"--curl: {_UNSUPPORTED[name]} (--{name}) are not supported")
        if name == "url":
            self.urls.append(value)
        elif name in _DATA:
            self._add_data(name, value, read_file)
        elif name == "header":
            self._add_header(value)
        elif name == "get":
            self.query = True
        elif name in _HEADER_OPTIONS:
            header, render = _HEADER_OPTIONS[name]
            # Without an equals sign, the value is the name of a cookie file.
            if name != "cookie" or "=" in value:
                self.headers.append((header, render(value)))
        elif change := _CHANGES.get(name):
            self.command = change(self.command, value)

    def _add_data(self, name: str, value: str, read_file: Callable[[str], bytes]) -> None:
        if name == "data-urlencode":
            self.data.append(_urlencoded(value, read_file))
        elif value.startswith("@") and name != "data-raw":
            content = read_file(value[1:])
            if name in {"data", "data-ascii"}:  # curl does the same.
                content = content.translate(None, b"\r\n\x00")
            self.data.append(content)
        else:
            self.data.append(value.encode("utf-8", "surrogateescape"))
        if name == "json":
            json = "application/json"
            self.defaults += [("Content-Type", json), ("Accept", json)]

    def _add_header(self, line: str) -> None:
        name, colon, value = line.partition(":")
        if not colon and line.endswith(";"):  # `Name;` is how curl denotes an empty header.
            name, colon = line[:-1], ":"
        name = name.strip()
        if not colon or not name:
            if line.startswith(":"):  # HTTP/2 pseudo-header
                return
            raise UsageError("--curl: -H: expected 'Name: value'")
        if colon and not value.strip() and not line.endswith(";"):
            self.removed.add(name.lower())  # `-H 'Name:'` removes a default header.
        elif name.lower() not in _DROPPED_HEADERS:
            self.headers.append((name, value.strip()))

    def result(self) -> CurlCommand:
        """Return the finished command.

        Raises:
            UsageError: there is not exactly one URL.
        """
        if not self.urls:
            raise UsageError("--curl: the command has no URL; is it complete, and quoted?")
        if len(self.urls) > 1:
            raise UsageError(
                f"--curl: the command seems to have {len(self.urls)} URLs; perhaps a value with "
                "spaces is not quoted, or undam does not support an option of curl"
            )
        url = self.urls[0] if "://" in self.urls[0] else f"http://{self.urls[0]}"
        # curl joins several -d values with an ampersand, and several --json values without one.
        joiner = b"" if self.defaults else b"&"
        data = joiner.join(self.data) if self.data else None
        if data is not None and self.query:
            url += ("&" if "?" in url else "?") + data.decode("utf-8", "replace")
            data = None
        elif data is not None:
            self.defaults.append(_FORM)
        return replace(self.command, url=url, data=data, headers=tuple(self._all_headers()))

    def _all_headers(self) -> list[tuple[str, str]]:
        headers = list(self.headers)
        for name, value in self.defaults:
            given = {key.lower() for key, _ in headers} | self.removed
            if name.lower() not in given:
                headers.append((name, value))
        return headers


def _urlencoded(value: str, read_file: Callable[[str], bytes]) -> bytes:
    """Encode a ``--data-urlencode`` value: ``text``, ``name=text`` or ``name@file``."""
    name, equals, text = value.partition("=")
    if not equals:
        name, at, file = value.partition("@")
        if not at:
            return quote(value, safe="").encode()
        content = quote(read_file(file), safe="")
    else:
        content = quote(text, safe="")
    return (f"{name}={content}" if name else content).encode()


def _basic(user: str) -> str:
    return "Basic " + base64.b64encode(user.encode("utf-8", "surrogateescape")).decode()


_HEADER_OPTIONS: dict[str, tuple[str, Callable[[str], str]]] = {
    "user-agent": ("User-Agent", str),
    "cookie": ("Cookie", str),
    "referer": ("Referer", str),
    "user": ("Authorization", _basic),
    "oauth2-bearer": ("Authorization", "Bearer {}".format),
}

_CHANGES: dict[str, Callable[[CurlCommand, str], CurlCommand]] = {
    "request": lambda command, value: replace(command, method=value),
    "insecure": lambda command, _: replace(command, insecure=True),
    "proxy": lambda command, value: replace(command, proxy=value),
    "socks5": lambda command, value: replace(command, proxy=f"socks5://{value}"),
    "socks5-hostname": lambda command, value: replace(command, proxy=f"socks5h://{value}"),
    "cacert": lambda command, value: replace(command, cacert=value),
    "cert": lambda command, value: replace(command, cert=value),
    "resolve": lambda command, value: replace(command, resolve=(*command.resolve, value)),
    "http1.1": lambda command, _: replace(command, http_version="1.1"),
    "http2": lambda command, _: replace(command, http_version="2"),
    "http2-prior-knowledge": lambda command, _: replace(command, http_version="2"),
}
