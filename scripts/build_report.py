"""One page that shows an experiment: summary, tests, tables, charts, data, provenance."""

import re
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from neuron_pruning.configuration.derived import input_size_of
from neuron_pruning.core.files import write_text
from neuron_pruning.core.parquet import read_frame, read_many, read_rows
from neuron_pruning.reporting.found_faces import faces_found
from neuron_pruning.reporting.results import Results, layer_angles
from neuron_pruning.reporting.sections import page_context
from neuron_pruning.reporting.table_notes import page_table
from neuron_pruning.reporting.templating import render
from neuron_pruning.tables import (
    compensations,
    grid,
    models,
    per_class,
    pruning,
    svm,
    techniques,
)
from runtime.job_adapter import TrackedResult, git_commit, run_job

TABLES = {
    1: grid.TABLE,
    2: per_class.TABLE,
    3: per_class.TABLE,
    4: pruning.TABLE,
    5: techniques.TABLE,
    6: compensations.TABLE,
    7: models.TABLE,
    8: svm.TABLE,
}


def build_report(
    array: Path,
    leakage: Path,
    boxes: list[Path],
    selection: Path,
    histories: list[Path],
    speeds: list[Path],
    predictions: list[Path],
    confusion: list[Path],
    activations: list[Path],
    pruned: list[Path],
    sweeps: list[Path],
    tables: list[Path],
    audit: Path,
    paper: Path,
    page: Path,
    config: dict[str, Any],
    benchmarks: str,
    folder: str | Path | None = None,
) -> TrackedResult:
    """Write the page; ``predictions`` and ``activations`` belong together, run by run.

    ``boxes`` (at most one file) and ``folder``, which its images lie in, are there where faces
    are used.
    """
    results = Results(
        config=config,
        selection=read_frame([selection]),
        history=pd.DataFrame(read_many(histories)),
        speed=read_frame(speeds),
        predictions=pd.DataFrame(read_many(predictions)),
        confusion=pd.DataFrame(read_many(confusion)),
        pruned=pd.DataFrame(read_many(pruned)),
        tables={number_of(path): read_table(path) for path in tables},
        leakage=read_frame([leakage]),
        sweeps=read_frame(sweeps),
        angles=layer_angles(predictions, activations, config),
        paper=yaml.safe_load(paper.read_text(encoding="utf-8")),
    )
    shown = config["report"]["sample_images"] > 0  # else the page is free of images
    context = page_context(
        results,
        array,
        Path(benchmarks),
        git_commit(),
        tables=[
            page_table(number, rows, TABLES[number]) for number, rows in results.tables.items()
        ],
        audit=read_rows(audit),
        faces=faces_found(
            read_frame(boxes),
            Path(folder) if shown and folder else None,
            input_size_of(config, config["run_models"][0]),
            config["dataset"]["margin"],
        )
        if boxes
        else None,
    )
    write_text(page, render("report/page.html.j2", context))
    return TrackedResult()


def number_of(path: Path) -> int:
    """Number of a table from its file name."""
    return int(re.sub(r"\D", "", path.stem))


def read_table(path: Path) -> pd.DataFrame:
    """Rows of a table; the classifiers of Table 7 with the names that it shows."""
    rows = read_frame([path])
    if number_of(path) == 7:
        return rows.assign(name=models.names_of(rows))
    return rows


if "snakemake" in globals():
    run_job(globals()["snakemake"], build_report)
