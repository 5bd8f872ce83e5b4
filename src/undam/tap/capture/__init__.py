"""Packets: reading, writing, live capture, and decoding to TCP segments."""
