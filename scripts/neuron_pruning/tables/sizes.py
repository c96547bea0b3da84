"""Size and speed of networks before and after cuts: what a smaller network gains."""

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import CELL, CELL_COLUMNS, column, schema
from neuron_pruning.evaluation.sizes import SIZES
from neuron_pruning.statistics.technique_comparison import averages
from neuron_pruning.tables.figures import averaged_columns
from neuron_pruning.tables.rendering import display_name, figures_are, percent
from neuron_pruning.tables.table import Table

SIZE_KEYS = [*CELL, "cut", "layer", "images"]
AVERAGED = {
    "test_accuracy_before": "test accuracy before the cut",
    "test_accuracy_after": "test accuracy after the cut",
    "compression": "parameters before over after",
    "speed_up": "median latency before over after",
    "median_before": "median latency of a forward pass before, s",
    "median_after": "median latency of a forward pass after, s",
}
SCHEMA = schema(
    *CELL_COLUMNS,
    column("cut", pa.string(), "name of the cut"),
    column("layer", pa.string(), "layers that lost units"),
    column("images", pa.int64(), "images of a forward pass", "images"),
    column("seeds", pa.int64(), "runs in the mean"),
    *(
        column(f"{name}_{when}", pa.float64(), f"{text} {when} the cut, mean over seeds")
        for name, text in SIZES.items()
        for when in ("before", "after")
    ),
    *averaged_columns(AVERAGED),
    column("onnx_difference", pa.float64(), "largest difference of logits, PyTorch to ONNX"),
    run=False,
)


def size_rows(measured: pd.DataFrame) -> pd.DataFrame:
    """Means over seeds, one row per cut and batch size; ``measured`` has one per seed."""
    counts = {f"{name}_{when}": "mean" for name in SIZES for when in ("before", "after")}
    rows = measured.groupby(SIZE_KEYS, sort=False).agg(
        seeds=("seed", "nunique"),
        onnx_difference=("onnx_difference", "max"),
        **{name: (name, figure) for name, figure in counts.items()},
        **averages(AVERAGED),
    )
    first = measured.iloc[0]
    return rows.reset_index().assign(repeats=first["repeats"], device=first["device"])


def caption(rows: pd.DataFrame) -> str:
    """What the figures are, and where the latency was measured."""
    first = rows.iloc[0]
    return (
        f"Size and speed before and after cuts. Latency: median of {first['repeats']} forward "
        f"passes on {first['device']}, before and after in turns. {figures_are(rows)}."
    )


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per cut; one column of latencies per batch size."""
    cuts = rows.groupby(["model", "cut", "layer"], sort=False)
    return pd.DataFrame([line(cells) for _, cells in cuts])


def line(cells: pd.DataFrame) -> dict[str, str]:
    """One cut; ``cells``: a row per batch size."""
    first, times = cells.iloc[0], ("before", "after")
    accuracies = [percent(first[f"test_accuracy_{when}_mean"], digits=1) for when in times]
    return {
        "Network": display_name(first["model"]),
        "Cut": f"{first['cut']} ({first['layer']})",
        "Parameters": change(first, "parameters", "M"),
        "Multiply-adds": change(first, "multiply_adds", "M"),
        "File": change(first, "file_bytes", "MB"),
        "Accuracy": " → ".join(accuracies),
        **{f"{row['images']} image(s)": latency(row) for _, row in cells.iterrows()},
    }


def change(row: pd.Series, name: str, unit: str) -> str:
    """``19.2 → 9.6 M (2.00 x)``; ``unit`` is of millions."""
    before, after = row[f"{name}_before"], row[f"{name}_after"]
    return f"{before / 1e6:.4g} → {after / 1e6:.4g} {unit} ({before / after:.2f} x)"


def latency(row: pd.Series) -> str:
    """``31 → 24 ms (1.29 x)``."""
    before, after = 1000 * row["median_before_mean"], 1000 * row["median_after_mean"]
    spread = row["speed_up_std"]
    text = f"{row['speed_up_mean']:.2f}" + ("" if pd.isna(spread) else f" ± {spread:.2f}")
    return f"{before:.3g} → {after:.3g} ms ({text} x)"


TABLE = Table(SCHEMA, size_rows, display, caption)
