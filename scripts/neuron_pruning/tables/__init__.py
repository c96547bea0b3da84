"""The tables: one module per table, all of one shape."""
