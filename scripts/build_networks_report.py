"""One page about the networks that were trained elsewhere: findings, charts, Tables 9 and 10."""

from typing import Any

from neuron_pruning.core.files import write_text
from neuron_pruning.core.parquet import read_frame
from neuron_pruning.reporting.imported_networks import page_context
from neuron_pruning.reporting.provenance import package_versions
from neuron_pruning.reporting.table_notes import read_tables
from neuron_pruning.reporting.templating import render
from runtime.job_adapter import Files, TrackedResult, git_commit, run_job


def build_networks_report(input: Files, output: Files, config: dict[str, Any]) -> TrackedResult:
    """Write the page."""
    context = page_context(read_frame(input.points), read_tables(input.tables), config)
    run = {"commit": git_commit(), "packages": package_versions()}
    write_text(output.page, render("report/networks.html.j2", {**context, **run}))
    return TrackedResult()


if "snakemake" in globals():
    run_job(globals()["snakemake"], build_networks_report)
