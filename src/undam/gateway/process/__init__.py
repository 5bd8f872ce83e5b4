"""Processes of the gateway: entry point, workers, supervisor and systemd notification."""
