"""Benchmarks against peers and ground truth; see docs/bench.md."""
