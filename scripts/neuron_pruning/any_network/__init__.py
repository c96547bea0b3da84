"""Pruning of any trained network: its unit layers, what the rest gets for them, the answer."""
