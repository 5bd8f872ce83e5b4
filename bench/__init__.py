"""Comparisons with peers, each in one run, as ratios: ``python -m bench [NAME…]``."""
