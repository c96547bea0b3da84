"""The audit of the paper as one page: figures and findings read, checked and filled in."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from neuron_pruning.core.errors import UserError
from neuron_pruning.reporting.templating import fill_markdown, render
from neuron_pruning.statistics.paper_audit import (
    Paper,
    flattened_alexnet,
    pairing_bounds,
    parameters,
    smallest_loss_interval,
    unit_parameters,
    unpaired_p,
)

PAPER_KEYS = {"table1", "classes", "table4", "protocol", "baseline", "selected", "networks"}
ENTRIES = {
    "contradictions": {"topic", "weight", "quotes", "finding"},
    "unsupported": {"quote", "missing"},
    "unstated": {"what", "assumed"},
    "conclusions": {"claim", "quotes", "paper", "verdict", "runs", "command"},
}  # keys of an entry of each list of findings
WEIGHTS = ("result", "method", "wording")


def audit_page(paper: Paper, findings: Mapping[str, Any]) -> str:
    """The page in Markdown; ``findings``: on the text, as ``resources/audit.yaml`` has them."""
    functions = (flattened_alexnet, pairing_bounds, parameters, unit_parameters, unpaired_p)
    context: dict[str, Any] = {of.__name__: of for of in functions}
    context |= {"paper": paper, "findings": findings}
    context["smallest_loss"] = smallest_loss_interval(1, paper.test_images)
    return fill_markdown(render("paper_audit/page.md.j2", context))


def read_paper(path: Path) -> Paper:
    """The published figures.

    Raises:
        UserError: the file is missing, is not YAML, or lacks a key.
    """
    return Paper(_read_yaml(path, PAPER_KEYS))


def read_findings(path: Path) -> dict[str, Any]:
    """The findings on the text.

    Raises:
        UserError: the file cannot be read; an entry lacks a key or has an unknown weight.
    """
    findings = _read_yaml(path, set(ENTRIES))
    for name, keys in ENTRIES.items():
        for number, entry in enumerate(findings[name], 1):
            missing = ", ".join(sorted(keys - set(entry)))
            if missing:
                raise UserError(f"{path}: number {number} of {name} lacks {missing}; add it")
            if entry.get("weight", "result") not in WEIGHTS:
                raise UserError(
                    f"{path}: {entry['weight']!r} of number {number} of {name} is no weight; "
                    f"choose one of {', '.join(WEIGHTS)}"
                )
    return findings


def _read_yaml(path: Path, keys: set[str]) -> dict[str, Any]:
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; restore it from the repository") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    missing = keys - set(found or {})
    if missing:
        raise UserError(f"{path} lacks {', '.join(sorted(missing))}; add what the audit reads")
    return dict(found)
