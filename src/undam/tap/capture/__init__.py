"""Packets: capture files, live capture, and decoding into TCP segments."""
