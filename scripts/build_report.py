"""One page that shows an experiment: what ran, the tables, the charts, the data."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from adapter import Mirrored, git_commit, run_job
from neuron_pruning.files import write_text
from neuron_pruning.records import read_frame, read_many, read_rows
from neuron_pruning.report.page import page_context, render
from neuron_pruning.report.results import Results, layer_angles
from neuron_pruning.report.tables import page_table
from table1 import display as display_settings
from table4 import display as display_prunings
from table5 import display as display_techniques
from table6 import display as display_compensations
from table_classes import display as display_classes


def build_report(
    array: Path,
    selection: Path,
    histories: list[Path],
    predictions: list[Path],
    confusion: list[Path],
    activations: list[Path],
    pruned: list[Path],
    sweeps: list[Path],
    comparison: Path,
    tables: list[Path],
    audit: Path,
    paper: Path,
    template: Path,
    page: Path,
    config: dict[str, Any],
    benchmarks: str,
) -> Mirrored:
    """Write the page; ``predictions`` and ``activations`` belong together, run by run."""
    results = Results(
        config=config,
        selection=pd.DataFrame(read_rows(selection)),
        history=pd.DataFrame(read_many(histories)),
        predictions=pd.DataFrame(read_many(predictions)),
        confusion=pd.DataFrame(read_many(confusion)),
        pruned=pd.DataFrame(read_many(pruned)),
        comparison=read_frame([comparison]),
        sweeps=read_frame(sweeps),
        angles=layer_angles(predictions, activations, config),
        paper=yaml.safe_load(paper.read_text(encoding="utf-8")),
    )
    context = page_context(
        results,
        array,
        Path(benchmarks),
        git_commit(),
        tables=[table_of(path) for path in tables],
        audit=read_rows(audit),
    )
    write_text(page, render(template, context))
    return Mirrored()


def table_of(path: Path) -> dict[str, Any]:
    """A table as headings, rows of texts and a caption."""
    rows = pd.DataFrame(read_rows(path))
    number = int(re.sub(r"\D", "", path.stem))
    displays = {
        1: display_settings,
        4: display_prunings,
        5: display_comparison,
        6: display_compensations,
    }
    return page_table(number, rows, displays.get(number, display_classes))


def display_comparison(rows: pd.DataFrame) -> pd.DataFrame:
    """Table 5 with a column a number of removed units that some layer can lose."""
    return display_techniques(rows, sorted(rows["removed"].unique()))


if "snakemake" in globals():
    run_job(snakemake, build_report)  # noqa: F821
