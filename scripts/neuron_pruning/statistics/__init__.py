"""Figures from predictions: metrics, tests, comparisons, the audit of the paper."""
