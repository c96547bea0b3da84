"""Table 1: accuracy of every cell of the hyper-parameter grid, beside the paper's."""

from pathlib import Path

import pandas as pd
import pyarrow as pa
import yaml

from adapter import Mirrored, run_job
from neuron_pruning.records import column, read_rows, schema
from neuron_pruning.tables import DISPLAY_NAMES, over_seeds, percent, write_table
from select_hyperparameters import SELECTION_SCHEMA

TABLE_SCHEMA = schema(
    *SELECTION_SCHEMA,
    column("paper_train_accuracy", pa.float64(), "the paper's average train accuracy"),
    column("paper_test_accuracy", pa.float64(), "the paper's average test accuracy"),
    run=False,
)


def table1(
    selection: Path, paper: Path, table: Path, rendered: list[Path], caption: str
) -> Mirrored:
    """Write the table; the selected cells carry a star."""
    rows = pd.DataFrame(read_rows(selection))
    published = pd.DataFrame(yaml.safe_load(paper.read_text(encoding="utf-8"))["table1"])
    published = published.rename(columns=lambda c: f"paper_{c}" if "accuracy" in c else c)
    rows = rows.merge(published, how="left", on=["model", "learning_rate", "batch_size"])
    size = "/".join(str(n) for n in sorted(set(rows["test_images"])))
    text = f"Table 1. {caption} In percent, {over_seeds(rows['seeds'].max())}; "
    text += f"{size} test images; * selected."
    write_table(rows[TABLE_SCHEMA.names], display(rows), text, TABLE_SCHEMA, table, rendered)
    return Mirrored()


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """The paper's columns with its own values beside ours."""
    return pd.DataFrame(
        {
            "Model": [DISPLAY_NAMES.get(m, m) for m in rows["model"]],
            "Learning Rate": [f"{value:g}" for value in rows["learning_rate"]],
            "Batch Size": [
                f"{size}{' *' if chosen else ''}"
                for size, chosen in zip(rows["batch_size"], rows["selected"], strict=True)
            ],
            **{
                f"Average {part.title()} Acc.": map(
                    percent, rows[f"{part}_accuracy_mean"], rows[f"{part}_accuracy_std"]
                )
                for part in ("train", "test")
            },
            "Paper Train": map(percent, rows["paper_train_accuracy"]),
            "Paper Test": map(percent, rows["paper_test_accuracy"]),
        }
    )


if "snakemake" in globals():
    run_job(snakemake, table1)  # noqa: F821
