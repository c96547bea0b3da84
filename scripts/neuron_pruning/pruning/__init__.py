"""Which units can go, what the rest gets in return, and the cut itself."""
