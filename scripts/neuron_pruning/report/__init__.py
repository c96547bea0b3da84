"""The report page: what earlier stages found, as facts, tables, charts and sentences."""
