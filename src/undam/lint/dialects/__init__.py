"""Configuration dialects, one subpackage per dialect."""
