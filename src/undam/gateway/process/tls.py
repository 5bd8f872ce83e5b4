"""TLS contexts for the listener and for connections to upstreams."""

from __future__ import annotations

import ssl

from undam.errors import UsageError
from undam.gateway.config.config import Config


def listener_context(config: Config) -> ssl.SSLContext | None:
    """Return the TLS context for the listener, or ``None`` for plain text.

    Raises:
        UsageError: the certificate or key cannot be read.
    """
    if not config.tls_cert:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    load_certificate(context, config)
    return context


def load_certificate(context: ssl.SSLContext, config: Config) -> None:
    """Load the listener's certificate and key into ``context``; raise UsageError on failure."""

    def no_password() -> str:
        raise UsageError(f"tls_key {config.tls_key} is encrypted; use an unencrypted key")

    try:
        context.load_cert_chain(config.tls_cert, config.tls_key, password=no_password)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or "cannot be read"
        files = f"tls_cert {config.tls_cert}, tls_key {config.tls_key}"
        raise UsageError(f"{files}: {reason}") from None


def upstream_context(cacert: str) -> ssl.SSLContext:
    """Return a TLS context that verifies upstreams with ``cacert``, or with the system's CAs.

    Raises:
        UsageError: the file cannot be read or contains no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=cacert or None)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror or "contains no certificate"
        raise UsageError(f"upstream_cacert {cacert}: {reason}") from None
    context.set_alpn_protocols(["http/1.1"])
    return context
