"""Certificates for command-line tests."""

from __future__ import annotations

import ssl
from dataclasses import dataclass


@dataclass(frozen=True)
class Certificates:
    """Certificate authority, with files for command-line options and TLS contexts for servers."""

    cacert: str
    client: str
    good: ssl.SSLContext
    wrong_host: ssl.SSLContext
    expired: ssl.SSLContext
    strict: ssl.SSLContext
