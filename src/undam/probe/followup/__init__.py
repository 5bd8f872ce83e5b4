"""Further requests of a check that settle questions left open by its first requests."""
