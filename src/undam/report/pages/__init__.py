"""Pages of sweeps, searches and comparisons."""
