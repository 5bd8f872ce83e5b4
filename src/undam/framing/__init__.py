"""Framings of a streamed body: how its bytes are divided into events, whatever its Content-Type."""

from undam.framing.decoder import BodyDecoder, Framing

__all__ = ["BodyDecoder", "Framing"]
