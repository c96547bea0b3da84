"""One page that shows an experiment: summary, tests, tables, charts, data, provenance."""

from pathlib import Path
from typing import Any

import yaml

from neuron_pruning.configuration.derived import input_size_of
from neuron_pruning.core.files import write_text
from neuron_pruning.core.parquet import read_frame, read_rows
from neuron_pruning.reporting.found_faces import faces_found
from neuron_pruning.reporting.provenance import provenance
from neuron_pruning.reporting.results import Results, layer_angles
from neuron_pruning.reporting.sample_images import samples
from neuron_pruning.reporting.sections import page_context
from neuron_pruning.reporting.table_notes import page_table, read_tables
from neuron_pruning.reporting.templating import render
from runtime.job_adapter import Files, TrackedResult, git_commit, run_job

LISTS = ("history", "speed", "predictions", "confusion", "pruned", "sweeps")  # one file per run


def build_report(
    input: Files,
    output: Files,
    config: dict[str, Any],
    benchmarks: str,
    paper: Path | None = None,
    folder: str | None = None,
) -> TrackedResult:
    """Write the page; ``paper``: the published figures, unless the faces are drawn.

    ``folder``: where the images lie, unless the workflow draws them.

    ``predictions`` and ``activations`` belong together, run by run. Where no faces are used,
    ``boxes`` is empty.
    """
    results = Results(
        config=config,
        tables=read_tables(input.tables),
        angles=layer_angles(input.predictions, input.activations, config),
        paper=None if paper is None else yaml.safe_load(paper.read_text(encoding="utf-8")),
        selection=read_frame([input.selection]),
        leakage=read_frame([input.leakage]),
        **{name: read_frame(getattr(input, name)) for name in LISTS},
    )
    context = {
        **page_context(results),
        "tables": [page_table(number, rows) for number, rows in results.tables.items()],
        "audit": read_rows(input.audit),
        "samples": list(samples(results, input.array)),
        "faces": None,
        "run": provenance(results.speed, Path(benchmarks), git_commit()),
    }
    if input.boxes:
        images = folder or getattr(input, "folder", None)
        shown = images if config["report"]["sample_images"] else None  # else free of images
        size = input_size_of(config, config["run_models"][0])
        context["faces"] = faces_found(
            read_frame(input.boxes), shown, size, config["dataset"]["margin"]
        )
    write_text(output.page, render("report/page.html.j2", context))
    return TrackedResult()


if "snakemake" in globals():
    run_job(globals()["snakemake"], build_report)
