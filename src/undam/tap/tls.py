"""TLS records in reassembled TCP data: sizes and times, and the content if keys are known.

Without keys, the sizes and times of application data still show how much a proxy sent at which
time. With a key log (the SSLKEYLOGFILE format of NSS), records of TLS 1.3 (RFC 8446) and of the
AEAD suites of TLS 1.2 (RFC 5246, 5288, 7905) are decrypted. This needs the package
``cryptography``.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from undam.errors import UsageError
from undam.tap.reassembly import Piece

_CHANGE_CIPHER, _HANDSHAKE, _APPLICATION = 20, 22, 23
_CLIENT_HELLO, _SERVER_HELLO = 1, 2
_MAX_RECORD_BYTES = (1 << 14) + 2048
_MAX_LINES = 1_000_000

# Cipher suites: hash, key size in bytes, and cipher. The suites for TLS 1.3 come first.
_SUITES = {
    0x1301: ("sha256", 16, "aes"),
    0x1302: ("sha384", 32, "aes"),
    0x1303: ("sha256", 32, "chacha"),
    **dict.fromkeys((0x009C, 0x009E, 0xC02B, 0xC02F), ("sha256", 16, "aes")),
    **dict.fromkeys((0x009D, 0x009F, 0xC02C, 0xC030), ("sha384", 32, "aes")),
    **dict.fromkeys((0xCCA8, 0xCCA9, 0xCCAA), ("sha256", 32, "chacha")),
}
_TLS13_LABELS = {
    True: ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", "CLIENT_TRAFFIC_SECRET_0"),
    False: ("SERVER_HANDSHAKE_TRAFFIC_SECRET", "SERVER_TRAFFIC_SECRET_0"),
}


class KeyLog:
    """Secrets of TLS connections, by the client random.

    Args:
        lines: lines of a key log; comments and unknown labels are ignored.
        name: name of the file for messages.

    Raises:
        UsageError: no line has the form of a key log, or ``cryptography`` is not installed.
    """

    def __init__(self, lines: Iterable[str], name: str) -> None:
        self._secrets: dict[bytes, dict[str, bytes]] = {}
        for number, line in enumerate(lines):
            fields = line.split()
            if number >= _MAX_LINES or len(fields) != 3 or line.startswith("#"):
                continue
            try:
                random, secret = bytes.fromhex(fields[1]), bytes.fromhex(fields[2])
            except ValueError:
                continue
            self._secrets.setdefault(random, {})[fields[0]] = secret
        if not self._secrets:
            raise UsageError(
                f"{name}: no key found; a line of a key log has a label, the client's random and a"
                f" secret (SSLKEYLOGFILE={name} PROGRAM)"
            )
        self.ciphers = _ciphers()

    def secrets(self, client_random: bytes) -> dict[str, bytes]:
        """Return the secrets for a connection by label; empty if none are known."""
        return self._secrets.get(client_random, {})


def _ciphers() -> Any:
    try:
        from cryptography.hazmat.primitives.ciphers import aead  # noqa: PLC0415 (an extra)
    except ImportError:
        raise UsageError(
            "--keylog needs the package cryptography: pip install 'undam[tap]'"
        ) from None
    return aead


@dataclass(slots=True)
class _DirectionState:
    buffer: bytearray = field(default_factory=bytearray)
    is_broken: bool = False
    is_encrypted: bool = False
    candidates: list[_Key] = field(default_factory=list)
    handshake: bytearray = field(default_factory=bytearray)


@dataclass(slots=True)
class _Key:
    """Key for one direction. TLS 1.3 has no explicit nonce."""

    cipher: Any
    iv: bytes
    is_tls13: bool
    has_explicit_nonce: bool
    sequence: int = 0

    def decrypt(self, header: bytes, body: bytes) -> tuple[int, bytes] | None:
        """Return a record's type and content; ``None`` if it was encrypted with another key."""
        number = self.sequence.to_bytes(8, "big")
        if self.has_explicit_nonce:
            nonce, body = self.iv + body[:8], body[8:]
        else:
            padded = bytes(4) + number
            nonce = bytes(a ^ b for a, b in zip(self.iv, padded, strict=True))
        extra = header if self.is_tls13 else number + header[:3] + struct.pack(">H", len(body) - 16)
        try:
            plain = self.cipher.decrypt(nonce, body, extra)
        except Exception as error:
            if type(error).__name__ != "InvalidTag":
                raise
            return None
        self.sequence += 1
        if not self.is_tls13:
            return header[0], plain
        content = plain.rstrip(b"\x00")
        return (content[-1], content[:-1]) if content else (0, b"")


class TlsReader:
    """TLS records of one connection.

    Args:
        keys: the key log; ``None`` without one.

    Attributes:
        sizes: application data as (time, from the client, bytes of content), if it cannot be
            decrypted.
        is_decrypted: whether a record of application data was decrypted.
    """

    def __init__(self, keys: KeyLog | None) -> None:
        self.sizes: list[tuple[int, bool, int]] = []
        self.is_decrypted = False
        self._keys = keys
        self._states = {True: _DirectionState(), False: _DirectionState()}
        self._random = b""
        self._server_random = b""
        self._suite = 0
        self._is_tls13 = False

    def receive_piece(self, piece: Piece, *, from_client: bool) -> list[Piece]:
        """Return the decrypted application data in ``piece``; empty without keys."""
        state = self._states[from_client]
        if piece.lost and not state.is_broken:
            state.is_broken = True
            return [Piece(piece.at_ns, b"", piece.lost)]
        if state.is_broken:
            return []
        state.buffer += piece.data
        found: list[Piece] = []
        at = 0
        while len(state.buffer) - at >= 5:
            header = bytes(state.buffer[at : at + 5])
            size = int.from_bytes(header[3:], "big")
            if not 20 <= header[0] <= 24 or size > _MAX_RECORD_BYTES:
                state.is_broken = True
                break
            if len(state.buffer) - at < 5 + size:
                break
            body = bytes(state.buffer[at + 5 : at + 5 + size])
            at += 5 + size
            data = self._receive_record(header, body, piece.at_ns, from_client)
            if data:
                found.append(Piece(piece.at_ns, data))
        del state.buffer[:at]
        return found

    def _receive_record(
        self, header: bytes, body: bytes, at_ns: int, from_client: bool
    ) -> bytes | None:
        state = self._states[from_client]
        kind = header[0]
        if kind == _HANDSHAKE and not state.is_encrypted:
            self._receive_hello(state, body, from_client)
            return None
        if kind == _CHANGE_CIPHER:
            state.is_encrypted = not self._is_tls13
            return None
        if not state.candidates:
            state.candidates = self._keys_of(from_client)
        for number, key in enumerate(state.candidates):
            result = key.decrypt(header, body)
            if result is not None:
                # Once a later key is in use, as after the handshake, the earlier keys are obsolete.
                del state.candidates[:number]
                self.is_decrypted |= result[0] == _APPLICATION
                return result[1] if result[0] == _APPLICATION else None
        if kind == _APPLICATION:
            overhead = 17 if self._is_tls13 else 24
            self.sizes.append((at_ns, from_client, max(0, len(body) - overhead)))
        return None

    def _receive_hello(self, state: _DirectionState, body: bytes, from_client: bool) -> None:
        """Record the randoms and the cipher suite from the handshake."""
        state.handshake += body[: 1 << 16]
        data = bytes(state.handshake)
        if len(data) < 43 or (self._random if from_client else self._server_random):
            return
        if from_client and data[0] == _CLIENT_HELLO:
            self._random = data[6:38]
        elif not from_client and data[0] == _SERVER_HELLO:
            self._server_random = data[6:38]
            at = 39 + data[38]
            self._suite = int.from_bytes(data[at : at + 2], "big")
            self._is_tls13 = self._suite >> 8 == 0x13

    def _keys_of(self, from_client: bool) -> list[_Key]:
        """Return the keys that can be in use for the next record, in order of use."""
        if self._keys is None or self._suite not in _SUITES:
            return []
        secrets = self._keys.secrets(self._random)
        if self._is_tls13:
            labels = _TLS13_LABELS[from_client]
            return [self._tls13_key(secrets[label]) for label in labels if label in secrets]
        master = secrets.get("CLIENT_RANDOM")
        return [] if master is None else [self._tls12_key(master, from_client)]

    def _tls13_key(self, secret: bytes) -> _Key:
        digest, size, kind = _SUITES[self._suite]
        key = _expand_label(digest, secret, b"key", size)
        iv = _expand_label(digest, secret, b"iv", 12)
        return _Key(self._cipher(kind, key), iv, is_tls13=True, has_explicit_nonce=False)

    def _tls12_key(self, master: bytes, from_client: bool) -> _Key:
        digest, size, kind = _SUITES[self._suite]
        iv_size = 4 if kind == "aes" else 12
        seed = b"key expansion" + self._server_random + self._random
        block = _prf(digest, master, seed, 2 * size + 2 * iv_size)
        at = 0 if from_client else 1
        key = block[at * size : (at + 1) * size]
        iv = block[2 * size + at * iv_size : 2 * size + (at + 1) * iv_size]
        return _Key(self._cipher(kind, key), iv, is_tls13=False, has_explicit_nonce=kind == "aes")

    def _cipher(self, kind: str, key: bytes) -> Any:
        assert self._keys is not None
        ciphers = self._keys.ciphers
        return ciphers.AESGCM(key) if kind == "aes" else ciphers.ChaCha20Poly1305(key)


def _expand_label(digest: str, secret: bytes, label: bytes, size: int) -> bytes:
    """HKDF-Expand-Label as in RFC 8446, section 7.1, with an empty context and one output block."""
    name = b"tls13 " + label
    info = struct.pack(">HB", size, len(name)) + name + b"\x00"
    return hmac.new(secret, info + b"\x01", digest).digest()[:size]


def _prf(digest: str, secret: bytes, seed: bytes, size: int) -> bytes:
    """P_hash as in RFC 5246, section 5."""
    out, link = b"", seed
    while len(out) < size:
        link = hmac.new(secret, link, getattr(hashlib, digest)).digest()
        out += hmac.new(secret, link + seed, getattr(hashlib, digest)).digest()
    return out[:size]
