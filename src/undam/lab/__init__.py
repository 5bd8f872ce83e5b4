"""Experiments: the simulator behind real proxies, with a probe and a crowd before them."""
