"""Experiments: the simulator behind real proxies, measured by a probe and concurrent readers."""
