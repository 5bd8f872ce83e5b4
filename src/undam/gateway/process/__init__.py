"""Main process, workers, supervision and systemd of the gateway."""
