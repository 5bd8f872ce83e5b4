"""Redaction of secrets in captured packets: the packet sizes do not change."""

from __future__ import annotations

import pytest

from undam.tap.capture.redacted_capture import redact_packet


@pytest.mark.parametrize(
    "line",
    [
        b"Authorization: Bearer abc123def456",
        b"cookie: session=topsecret99",
        b"X-Acme-Token: topsecret99",
        b"X-Vendor-Password:topsecret99",
        b"Api-Key: topsecret99",
    ],
)
def test_values_of_secret_headers_are_overwritten(line: bytes) -> None:
    packet = b"POST /v1 HTTP/1.1\r\nHost: h\r\n" + line + b"\r\nAccept: */*\r\n\r\n"
    redacted = redact_packet(packet)
    assert b"topsecret99" not in redacted
    assert b"abc123def456" not in redacted
    assert len(redacted) == len(packet)
    assert b"Host: h\r\n" in redacted
    assert redacted.endswith(b"Accept: */*\r\n\r\n")


@pytest.mark.parametrize(
    "target",
    [b"/v1?access_token=topsecret99&a=1", b"/v1?key=topsecret99", b"/v1?my_secret=topsecret99"],
)
def test_secret_parameters_are_overwritten(target: bytes) -> None:
    packet = b"GET " + target + b" HTTP/1.1\r\nHost: h\r\n\r\n"
    redacted = redact_packet(packet)
    assert b"topsecret99" not in redacted
    assert len(redacted) == len(packet)


def test_keys_in_a_body_are_overwritten_and_other_data_is_not() -> None:
    packet = bytes(range(256)) + b'{"key": "sk-abcdef0123456789"}\r\nX-Token-Count: 12\r\n'
    redacted = redact_packet(packet)
    assert b"abcdef0123456789" not in redacted
    assert redacted.startswith(bytes(range(256)))
    assert b"X-Token-Count: 12" in redacted
