"""The audit of the paper as one Markdown page: its figures recomputed, its text compared."""

from pathlib import Path

from neuron_pruning.core.files import write_text
from neuron_pruning.reporting.audit_page import audit_page, read_findings, read_paper
from runtime.job_adapter import TrackedResult, run_job


def audit_paper(paper: Path, audit: Path, document: Path) -> TrackedResult:
    """Write the page from the paper's figures and the findings on its text."""
    findings = read_findings(audit)
    write_text(document, audit_page(read_paper(paper), findings))
    return TrackedResult(metrics={"contradictions": len(findings["contradictions"])})


if "snakemake" in globals():
    run_job(globals()["snakemake"], audit_paper)
