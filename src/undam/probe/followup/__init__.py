"""Further requests of a check, for questions that its first requests leave open."""
