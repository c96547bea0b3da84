"""The config: checks and what follows from it."""
