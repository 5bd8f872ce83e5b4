"""HTML pages on sweeps, searches, comparisons, captures and monitoring."""
