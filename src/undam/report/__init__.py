"""What was measured, as pages: one self-contained HTML file, and logs of histograms. No I/O."""
