"""TLS without sockets: ciphertext in, plaintext out, and the words for what goes wrong."""

from __future__ import annotations

import contextlib
import re
import ssl
from functools import lru_cache
from pathlib import Path

from undam.errors import NetworkError, UsageError
from undam.wire.config import ClientConfig

_RECORD_BYTES = 16384
# Content types with which a TLS record can begin (RFC 8446 5.1).
_RECORD_TYPES = b"\x14\x15\x16\x17"
# What servers say, in OpenSSL's words, when they miss a client certificate or don't like it.
_NO_CERTIFICATE = (
    "certificate required",
    "handshake failure",
    "bad certificate",
    "unknown ca",
    "certificate unknown",
    "access denied",
)


def make_context(config: ClientConfig) -> ssl.SSLContext:
    """A client context for HTTP/1.1 that trusts and presents what ``config`` says.

    Raises:
        UsageError: a certificate file is missing or is not what it should be.
    """
    return _make_context(config.cacert, config.cert, config.insecure)


# Reading the system's authorities takes tens of milliseconds, which no later stream should pay.
@lru_cache(maxsize=8)
def _make_context(cacert: str | None, cert: str | None, insecure: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["http/1.1"])
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
        raise UsageError(f"--cacert {path}: holds no PEM certificate ({_reason(error)})") from None


def _load_identity(context: ssl.SSLContext, path: str) -> None:
    def no_password() -> str:
        # Without this OpenSSL asks on the terminal.
        raise UsageError(f"--cert {path}: its key is encrypted; give a file with a plain key")

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


class TlsPump:
    """One TLS connection: feed it what the socket gave, send what ``to_send`` returns.

    Args:
        host: the name the certificate must bear.
    """

    def __init__(self, context: ssl.SSLContext, host: str) -> None:
        self._host = host
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._first = b""
        self.established = False
        self.closed = False
        self.fault: NetworkError | None = None

    @property
    def version(self) -> str | None:
        """For instance "TLSv1.3"; ``None`` before the handshake."""
        return self._tls.version() if self.established else None

    def to_send(self) -> bytes:
        """Ciphertext that must go out now, perhaps none."""
        return self._outgoing.read()

    def shake_hands(self, data: bytes) -> bool:
        """Go on with the handshake after ``data``; true when it is done.

        Raises:
            NetworkError: phase "tls"; the text says why and what to do.
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
        return True

    def encrypt(self, data: bytes) -> bytes:
        """Ciphertext that carries ``data``, with anything else that must go out before it."""
        view = memoryview(data)
        while view:
            view = view[self._tls.write(view) :]
        return self.to_send()

    def decrypt(self, data: bytes) -> bytes:
        """The plaintext that ``data`` completes.

        ``closed`` tells that the peer has said goodbye, and ``fault`` that TLS broke behind that
        plaintext, by a bad record or an alert.
        """
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

    def goodbye(self) -> bytes:
        """The close_notify alert, if one can still be sent."""
        if self.established:
            # The peer's own is not waited for.
            with contextlib.suppress(ssl.SSLError):
                self._tls.unwrap()
        return self.to_send()

    def explain(self, error: ssl.SSLError) -> NetworkError:
        """An error of OpenSSL in words that say what to do."""
        host, reason = self._host, _reason(error)
        if isinstance(error, ssl.SSLCertVerificationError):
            text = (
                f"the certificate of {host} cannot be verified: {error.verify_message}; name its "
                "authority with --cacert FILE, or accept it with --insecure"
            )
        elif not self.established and self._first and self._first not in _RECORD_TYPES:
            text = f"{host} does not speak TLS on this port; try http://"
        elif any(word in reason for word in _NO_CERTIFICATE):
            text = (
                f"{host} refused the TLS connection ({reason}); it may want a client "
                "certificate: --cert FILE"
            )
        elif "no application protocol" in reason:
            text = f"{host} offers no HTTP/1.1 over TLS"
        else:
            text = f"TLS with {host} failed: {reason}"
        return NetworkError(text, phase="tls")


def _reason(error: OSError) -> str:
    reason = getattr(error, "reason", None)
    if reason:
        return str(reason).lower().replace("_", " ")
    # OpenSSL's text stands between the library's name and a place in Python's source.
    text = error.strerror or str(error)
    return re.sub(r"^\[.*?\] *|\(_ssl\.c:\d+\)", "", text).strip()
