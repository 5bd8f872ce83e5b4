"""Framings of a streamed body: how its bytes divide into events, independent of Content-Type."""

from undam.framing.decoder import BodyDecoder, Framing

__all__ = ["BodyDecoder", "Framing"]
