"""Framings of a streamed body: how its bytes divide into events, whatever the Content-Type says."""

from undam.framing.decoder import BodyDecoder, Framing

__all__ = ["BodyDecoder", "Framing"]
