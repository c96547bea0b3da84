"""Errors, files, numbers and devices: what every other folder stands on."""
