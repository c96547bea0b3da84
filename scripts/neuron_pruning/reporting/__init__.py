"""The report page: results, findings, figures, sections."""
