"""Size and speed of all cuts: what a smaller network gains."""

from pathlib import Path

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import CELL, CELL_COLUMNS, column, read_frame, schema
from neuron_pruning.evaluation.sizes import SIZES
from neuron_pruning.tables.rendering import DISPLAY_NAMES, over_seeds, percent, write_table
from runtime.job_adapter import TrackedResult, run_job

KEYS = [*CELL, "cut", "layer"]
FIGURES = {
    "test_accuracy_before": "share right before the cut",
    "test_accuracy_after": "share right after it",
    "compression": "parameters before over after",
    "speed_up": "median latency before over after",
    "median_before": "median latency of a forward pass before, s",
    "median_after": "median latency of a forward pass after, s",
}
TABLE_SCHEMA = schema(
    *CELL_COLUMNS,
    column("cut", pa.string(), "name of the cut"),
    column("layer", pa.string(), "layers that lost units or channels"),
    column("images", pa.int64(), "images of a forward pass", "images"),
    column("seeds", pa.int64(), "runs in the mean"),
    *(
        column(f"{name}_{when}", pa.float64(), f"{text} {when} the cut, mean over seeds")
        for name, text in SIZES.items()
        for when in ("before", "after")
    ),
    *(
        column(f"{name}_{figure}", pa.float64(), f"{text}, {figure} over seeds")
        for name, text in FIGURES.items()
        for figure in ("mean", "std")
    ),
    column("onnx_difference", pa.float64(), "largest difference of logits, PyTorch to ONNX"),
    run=False,
)


def table_sizes(
    measured: list[Path], table: Path, rendered: list[Path], caption: str
) -> TrackedResult:
    """Write the table."""
    found = read_frame(measured)
    grouped = found.groupby([*KEYS, "images"], sort=False)
    counts = {f"{name}_{when}": "mean" for name in SIZES for when in ("before", "after")}
    rows = grouped.agg(
        seeds=("seed", "nunique"),
        onnx_difference=("onnx_difference", "max"),
        **{name: (name, figure) for name, figure in counts.items()},
        **{f"{n}_{figure}": (n, figure) for n in FIGURES for figure in ("mean", "std")},
    ).reset_index()
    text = (
        f"{caption} Latency: median of {found['repeats'].iloc[0]} forward passes on "
        f"{found['device'].iloc[0]}, before and after in turns; {over_seeds(rows['seeds'].max())}."
    )
    write_table(rows[TABLE_SCHEMA.names], display(rows), text, TABLE_SCHEMA, table, rendered)
    return TrackedResult()


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """A line a cut; latencies by batch size."""
    lines = []
    for (model, cut, layer), cells in rows.groupby(["model", "cut", "layer"], sort=False):
        first = cells.iloc[0]
        lines.append(
            {
                "Network": DISPLAY_NAMES.get(model, model),
                "Cut": f"{cut} ({layer})",
                "Parameters": change(first, "parameters", 1e6, "M"),
                "Multiply-adds": change(first, "multiply_adds", 1e6, "M"),
                "File": change(first, "file_bytes", 1e6, "MB"),
                "Accuracy": " → ".join(
                    percent(first[f"test_accuracy_{when}_mean"], digits=1)
                    for when in ("before", "after")
                ),
                **{f"{row['images']} image(s)": latency(row) for _, row in cells.iterrows()},
            }
        )
    return pd.DataFrame(lines)


def change(row: pd.Series, name: str, scale: float, unit: str) -> str:
    """``19.2 → 9.6 M (2.00 x)``."""
    before, after = row[f"{name}_before"], row[f"{name}_after"]
    return f"{before / scale:.4g} → {after / scale:.4g} {unit} ({before / after:.2f} x)"


def latency(row: pd.Series) -> str:
    """``31 → 24 ms (1.29 x)``."""
    before, after = 1000 * row["median_before_mean"], 1000 * row["median_after_mean"]
    spread = row["speed_up_std"]
    text = f"{row['speed_up_mean']:.2f}" + ("" if pd.isna(spread) else f" ± {spread:.2f}")
    return f"{before:.3g} → {after:.3g} ms ({text} x)"


if "snakemake" in globals():
    run_job(globals()["snakemake"], table_sizes)
