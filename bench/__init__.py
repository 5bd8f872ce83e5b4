"""Benchmarks of undam against similar packages and against ground truth; see docs/bench.md."""
