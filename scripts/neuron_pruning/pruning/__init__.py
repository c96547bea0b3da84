"""Which units of a layer can be removed, what the remaining ones get, and the cut itself."""
