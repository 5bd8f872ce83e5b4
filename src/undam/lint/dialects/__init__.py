"""Configuration dialects, one package each."""
