"""Images: index, arrays, splits, leakage, faces."""
