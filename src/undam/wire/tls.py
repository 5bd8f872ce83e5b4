"""TLS without sockets: conversion between ciphertext and plaintext, and errors that name a fix."""

from __future__ import annotations

import calendar
import contextlib
import re
import ssl
import time
from functools import lru_cache
from pathlib import Path

from undam.errors import NetworkError, UsageError
from undam.wire.config import ClientConfig, HttpVersion

_RECORD_BYTES = 16384
# Content types that can be the first byte of a TLS record (RFC 8446 5.1).
_RECORD_TYPES = b"\x14\x15\x16\x17"
# OpenSSL's names for alerts from servers that require or reject a client certificate.
_CERTIFICATE_ALERTS = (
    "certificate required",
    "handshake failure",
    "bad certificate",
    "unknown ca",
    "certificate unknown",
    "access denied",
)


_PROTOCOLS: dict[HttpVersion, tuple[str, ...]] = {
    "auto": ("h2", "http/1.1"),
    "1.1": ("http/1.1",),
    "2": ("h2",),
}


def make_context(config: ClientConfig) -> ssl.SSLContext:
    """Create a client context with the certificates and HTTP versions from ``config``.

    Raises:
        UsageError: a certificate file is missing or invalid.
    """
    return _make_context(
        config.cacert, config.cert, config.insecure, _PROTOCOLS[config.http_version]
    )


# The context is cached, because loading the system's CA certificates takes tens of milliseconds.
@lru_cache(maxsize=8)
def _make_context(
    cacert: str | None, cert: str | None, insecure: bool, protocols: tuple[str, ...]
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(list(protocols))
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif cacert is not None:
        _load_authorities(context, cacert)
    else:
        context.load_default_certs()
    if cert is not None:
        _load_identity(context, cert)
    return context


def _load_authorities(context: ssl.SSLContext, path: str) -> None:
    _require_file(path, "--cacert")
    try:
        context.load_verify_locations(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"--cacert {path}: does not contain a PEM certificate ({_reason(error)})"
        ) from None


def _load_identity(context: ssl.SSLContext, path: str) -> None:
    def no_password() -> str:
        # If there is no callback, OpenSSL prompts for the password on the terminal.
        raise UsageError(f"--cert {path}: its key is encrypted; use a file with an unencrypted key")

    _require_file(path, "--cert")
    try:
        context.load_cert_chain(path, password=no_password)
    except (OSError, ssl.SSLError) as error:
        raise UsageError(
            f"--cert {path}: needs a PEM certificate and its private key ({_reason(error)})"
        ) from None


def _require_file(path: str, option: str) -> None:
    try:
        with Path(path).open("rb"):
            pass
    except OSError as error:
        raise UsageError(f"{option} {path}: {error.strerror or error}") from None


class TlsEngine:
    """TLS state of one connection.

    The caller passes in the data that the socket receives, and sends the data that ``to_send``
    returns.

    Args:
        host: the name that the certificate must contain.

    Attributes:
        issuer: issuer of the peer's certificate, such as ``CN=mitmproxy, O=mitmproxy``.
        expires_s: Unix time at which the peer's certificate expires.
        closed: the peer has sent close_notify.
        fault: error from an invalid record or an alert that followed the returned plaintext.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._host = host
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._first = b""
        self.established = False
        self.issuer: str | None = None
        self.expires_s: int | None = None
        self.closed = False
        self.fault: NetworkError | None = None

    @property
    def version(self) -> str | None:
        """TLS version, such as "TLSv1.3"; ``None`` before the handshake."""
        return self._tls.version() if self.established else None

    @property
    def received(self) -> bool:
        """Return whether the peer has sent any data."""
        return bool(self._first)

    @property
    def protocol(self) -> str | None:
        """Protocol that the server selected by ALPN, such as "h2"."""
        return self._tls.selected_alpn_protocol() if self.established else None

    def to_send(self) -> bytes:
        """Return the ciphertext that is ready to be sent, which may be empty."""
        return self._outgoing.read()

    def handshake(self, data: bytes) -> bool:
        """Continue the handshake with ``data``; return whether it is complete.

        Raises:
            NetworkError: phase "tls"; the message states the reason and a remedy.
        """
        self._first = self._first or data[:1]
        self._incoming.write(data)
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except ssl.SSLError as error:
            raise self.explain(error) from None
        self.established = True
        certificate = self._tls.getpeercert(binary_form=True) or b""
        self.issuer = issuer_of(certificate) or None
        self.expires_s = expiry_of(certificate)
        return True

    def encrypt(self, data: bytes) -> bytes:
        """Encrypt ``data``; return all unsent ciphertext."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        return self.to_send()

    def decrypt(self, data: bytes) -> bytes:
        """Decrypt ``data`` and return the plaintext; set ``closed`` or ``fault`` at the end."""
        self._incoming.write(data)
        pieces = []
        try:
            while piece := self._tls.read(_RECORD_BYTES):
                pieces.append(piece)
            self.closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.fault = self.explain(error)
        return b"".join(pieces)

    def close_notify(self) -> bytes:
        """Return the close_notify alert, if it can still be sent."""
        if self.established:
            # The peer's close_notify is not awaited.
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
        return self.to_send()

    def explain(self, error: ssl.SSLError) -> NetworkError:
        """Convert an OpenSSL error to a `NetworkError` that names a fix."""
        host, reason = self._host, _reason(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            text = (
                f"the certificate of {host} cannot be verified: {error.verify_message}; trust its "
                "issuer with --cacert FILE, or accept it with --insecure"
            )
        elif not self.established and self._first and self._first not in _RECORD_TYPES:
            text = f"{host} does not use TLS on this port; try http://"
        elif any(text in reason for text in _CERTIFICATE_ALERTS):
            text = (
                f"{host} rejected the TLS connection ({reason}); it may require a client "
                "certificate: --cert FILE"
            )
        elif "no application protocol" in reason:
            text = f"{host} does not offer this version of HTTP over TLS; try --http1 or --http2"
        else:
            text = f"TLS with {host} failed: {reason}"
        return NetworkError(text, phase="tls")


# DER tags (X.690), and the name attributes that identify an issuer (RFC 5280, appendix A).
_VERSION_TAG, _BMP_STRING, _UTC_TIME = 0xA0, 0x1E, 0x17
_ATTRIBUTES = {b"\x55\x04\x03": "CN", b"\x55\x04\x0a": "O", b"\x55\x04\x0b": "OU"}


def issuer_of(der: bytes) -> str:
    """Return the issuer's common name, organization and unit from a certificate; "" if malformed.

    The ssl module parses only certificates that it has verified, and an inspecting proxy must be
    recognised with ``--insecure`` as well.
    """
    try:
        parts = [_attribute(content) for _, content in _elements(_fields(der)[2][1])]
    except (IndexError, ValueError):
        return ""
    return ", ".join(part for part in parts if part)


def expiry_of(der: bytes) -> int | None:
    """Return the Unix time at which a certificate expires; ``None`` if it is malformed."""
    try:
        kind, content = _elements(_fields(der)[3][1])[1]
        text = content.decode("ascii")
        if kind == _UTC_TIME:  # Two-digit year, 1950 to 2049 (RFC 5280 4.1.2.5.1).
            text = ("19" if text >= "50" else "20") + text
        return calendar.timegm(time.strptime(text, "%Y%m%d%H%M%SZ"))
    except (IndexError, ValueError):
        return None


def _fields(der: bytes) -> list[tuple[int, bytes]]:
    """Return a certificate's fields, from the serial number on."""
    fields = _elements(_elements(_elements(der)[0][1])[0][1])
    return fields[1:] if fields[0][0] == _VERSION_TAG else fields


def _attribute(relative_name: bytes) -> str:
    """Return a known attribute as ``NAME=value``; "" for any other attribute."""
    pair = _elements(_elements(relative_name)[0][1])
    name = _ATTRIBUTES.get(pair[0][1])
    if name is None:
        return ""
    kind, value = pair[1]
    coding = "utf-16-be" if kind == _BMP_STRING else "utf-8"
    return f"{name}={value.decode(coding, 'replace')}"


def _elements(data: bytes) -> list[tuple[int, bytes]]:
    """Return (tag, content) for each DER element in ``data``."""
    found: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        length, at_content = data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            length = int.from_bytes(data[at_content : at_content + size], "big")
            at_content += size
        end = at_content + length
        if end > len(data):
            raise ValueError("truncated")
        found.append((data[at], data[at_content:end]))
        at = end
    return found


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None)
    if reason:
        return str(reason).lower().replace("_", " ")
    # Remove the library name before the message and the source position after it.
    text = error.strerror or str(error)
    return re.sub(r"^\[.*?\] *|\(_ssl\.c:\d+\)", "", text).strip()
