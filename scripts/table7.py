"""Table 7: networks, support vector machines, constants and published figures, split by split."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import yaml

from neuron_pruning.core.parquet import column, read_frame, schema
from neuron_pruning.statistics.model_comparison import (
    ANY_SPLIT,
    CONSTANT,
    MACHINE,
    NETWORK,
    compare_contenders,
    right_answers,
)
from neuron_pruning.statistics.significance import SIGNIFICANT
from neuron_pruning.tables.rendering import (
    DISPLAY_NAMES,
    interval,
    over_seeds,
    percent,
    write_table,
)
from runtime.job_adapter import TrackedResult, run_job

KEYS = ["model", "recipe", "crop", "learning_rate", "batch_size", "baseline"]
ANSWERS = ["split", "seed", "part", "position", "label", "predicted"]
TABLE_SCHEMA = schema(
    column("experiment", pa.string(), "name of the experiment"),
    column("split", pa.string(), "how the images were divided; any: no training on them"),
    column("kind", pa.string(), "network, svm, constant or published"),
    column("contender", pa.string(), "model, baseline, constant or source"),
    column("recipe", pa.string(), "initialisation and optimiser recipe of a network"),
    column("crop", pa.string(), "whole frames (none) or faces"),
    column("learning_rate", pa.float64(), "initial learning rate of a network"),
    column("batch_size", pa.int64(), "images an optimiser step of a network", "images"),
    column("seeds", pa.int64(), "runs in the mean"),
    column("test_images", pa.int64(), "images of a test part, median over seeds", "images"),
    column("accuracy_mean", pa.float64(), "share right, mean over seeds"),
    column("accuracy_std", pa.float64(), "share right, sample standard deviation over seeds"),
    column("low", pa.float64(), "lower end of the 95 % interval of one test part (Wilson)"),
    column("high", pa.float64(), "upper end of it"),
    column("recall_mean", pa.float64(), "mean over classes of the recall, mean over seeds"),
    column("p_chance", pa.float64(), "exact binomial test: better than chance (Holm)"),
    column("p_majority", pa.float64(), "the same: better than the majority class (Holm)"),
    column("reference", pa.string(), "baseline that it is compared with on the same images"),
    column("difference", pa.float64(), "accuracy less the reference's, mean over seeds"),
    column("seeds_better", pa.int64(), "seeds whose McNemar test shows it to be better (Holm)"),
    column("seeds_worse", pa.int64(), "seeds whose McNemar test shows it to be worse (Holm)"),
    column("p_images", pa.float64(), "McNemar, of the seeds that decide (Holm)"),
    column("p_seeds", pa.float64(), "corrected resampled t-test over seeds (Nadeau & Bengio)"),
    column("note", pa.string(), "where a published figure is from"),
    run=False,
)


def table7(
    networks: list[Path],
    machines: list[Path],
    splits: list[Path],
    published: Path,
    table: Path,
    rendered: list[Path],
    experiment: str,
    caption: str,
) -> TrackedResult:
    """Write the table."""
    answers = pd.concat([_answers(networks), _answers(machines)], ignore_index=True)
    figures = yaml.safe_load(published.read_text(encoding="utf-8"))
    rows = compare_contenders(right_answers(answers), read_frame(splits), figures)
    rows = rows.assign(experiment=experiment).reindex(columns=TABLE_SCHEMA.names)
    write_table(_plain(rows), display(rows), text_of(rows, caption), TABLE_SCHEMA, table, rendered)
    return TrackedResult()


def _answers(predictions: list[Path]) -> pd.DataFrame:
    """Answers of several files with all the keys that a contender may have."""
    if not predictions:
        return pd.DataFrame(columns=[*KEYS, *ANSWERS])
    return pd.concat(
        [read_frame([path]).reindex(columns=[*KEYS, *ANSWERS]) for path in predictions],
        ignore_index=True,
    )


def _plain(rows: pd.DataFrame) -> pd.DataFrame:
    """Whole numbers where there are some, None where there are none: Parquet's integers."""
    return rows.astype(object).where(rows.notna(), None).replace({np.nan: None})


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """A row a contender, a column a split; * better than guessing."""
    splits = [split for split in rows["split"].unique() if split != ANY_SPLIT]
    lines: dict[str, dict[str, str]] = {}
    for name, row in zip(names_of(rows), rows.to_dict("records"), strict=True):
        line = lines.setdefault(name, {})
        wanted = splits if row["split"] == ANY_SPLIT else [row["split"]]
        line.update(dict.fromkeys(wanted, _cell(row)))
    table = pd.DataFrame.from_dict(lines, orient="index", columns=splits).fillna("–")
    return table.rename_axis("Contender").reset_index()


def _cell(row: dict[str, Any]) -> str:
    """``42.0 ± 2.4 [34, 50] *``."""
    text = percent(row["accuracy_mean"], row["accuracy_std"], 1)
    if not pd.isna(row["low"]):
        text += f" {interval(row['low'], row['high'])}"
    return f"{text} *" if max(row["p_chance"], row["p_majority"]) < SIGNIFICANT else text


MACHINES = {
    "images": "SVM on LPQ and PHOG of the faces",
    "feature_table": "SVM on the published features",
}


def names_of(rows: pd.DataFrame) -> list[str]:
    """Names of all contenders; learning rate and batch size where they alone tell two apart."""
    found = rows.to_dict("records")
    cells = {
        (name_of(row), row["learning_rate"], row["batch_size"])
        for row in found
        if row["kind"] == NETWORK
    }
    several = {name for name, count in Counter(name for name, *_ in cells).items() if count > 1}
    return [
        f"{name}, {row['learning_rate']:g} / {row['batch_size']:g}" if name in several else name
        for name, row in zip(map(name_of, found), found, strict=True)
    ]


def name_of(row: dict[str, Any]) -> str:
    """What a reader calls a contender."""
    if row["kind"] == MACHINE:
        return MACHINES.get(row["contender"], row["contender"])
    if pd.isna(row["recipe"]):
        suffix = "" if row["kind"] == CONSTANT else " (published)"
        return f"{row['contender']}{suffix}"
    model = DISPLAY_NAMES.get(row["contender"], row["contender"])
    seen = "face crops" if row["crop"] == "face" else "whole frames"
    return f"{model}, {row['recipe']}, {seen}"


def text_of(rows: pd.DataFrame, caption: str) -> str:
    """Caption with what the cells hold."""
    seeds = int(rows["seeds"].max())
    return (
        f"Table 7. {caption} Test accuracy in percent, {over_seeds(seeds)}; in brackets the 95 % "
        "interval of one test part of that size (Wilson); * better than chance and "
        "than the majority class (exact binomial tests, p < 0.05 after Holm's correction within "
        "the split)."
    )


if "snakemake" in globals():
    run_job(globals()["snakemake"], table7)
