"""Write the page of figures on the real data from the Parquet tables of its run.

    PYTHONPATH=scripts python docs/generate_results.py

The tables lie in docs/results/EXPERIMENT as the workflow wrote them, with a note on the run.
"""

from pathlib import Path

import pandas as pd
import yaml

from neuron_pruning.core.files import write_text
from neuron_pruning.core.parquet import read_frame
from neuron_pruning.reporting.table_notes import TABLES
from neuron_pruning.reporting.templating import environment
from neuron_pruning.statistics.significance import SIGNIFICANT
from neuron_pruning.tables.rendering import (
    display_name,
    markdown_rows,
    markdown_table,
    percent,
    signed,
)

DOCS = Path(__file__).parent
RUN = DOCS / "results" / "sfew_selected"
KEPT = range(1, 7)  # numbers of the tables
SHOWN = [  # of the techniques of Table 5
    "random", "distinctiveness", "sietsma_dow", "pelillo_fanelli_residual", "variance", "thinet",
    "karnin", "folding", "l1", "l2", "fpgm", "taylor", "apoz", "noiseout",
    "torch_pruning_magnitude", "torch_pruning_hessian",
]  # fmt: skip
COUNTS = (25, 50, 82)  # removed units of which the text speaks


def table(number: int) -> pd.DataFrame:
    """Rows of a table of the run."""
    return read_frame([RUN / f"table{number}.parquet"])


def rendered(number: int, rows: pd.DataFrame) -> str:
    """A table with its caption, as the workflow shows it."""
    made = TABLES[number]
    return markdown_table(made.display(rows), f"Table {number}. {made.caption(rows)}")


def removal_at_random() -> pd.DataFrame:
    """What random removal leaves, and the difference from the unpruned network, in points."""
    grid, techniques = table(1), table(5)
    chosen = techniques[
        (techniques["state"] == "trained")
        & techniques["technique"].isin(["random", "distinctiveness"])
        & techniques["removed"].isin(COUNTS)
    ]
    chosen = chosen[(chosen["technique"] == "random") | (chosen["compensation"] == "add")]
    unpruned = grid[grid["selected"]].set_index("model")["test_accuracy_mean"]
    lines = []
    for (model, technique, how), cells in chosen.groupby(
        ["model", "technique", "compensation"], sort=False
    ):
        line = {"Network": f"{display_name(model)} ({percent(unpruned[model], digits=1)})"}
        line |= {"Removed by": technique, "Compensation": how}
        for row in cells.sort_values("removed").to_dict("records"):
            lost = signed(row["test_accuracy_mean"] - unpruned[model])
            accuracy = percent(row["test_accuracy_mean"], row["test_accuracy_std"], digits=1)
            line[f"{row['removed']} of 100"] = f"{accuracy} ({lost})"
        lines.append(line)
    return pd.DataFrame(lines)


def better_than_random() -> pd.DataFrame:
    """By compensation, how many comparisons with random removal have a star in Table 5."""
    rows = table(5)
    rows = rows[(rows["state"] == "trained") & rows["p"].notna()]
    better = (rows["p"] < SIGNIFICANT) & (rows["difference_mean"] > 0)
    worse = (rows["p"] < SIGNIFICANT) & (rows["difference_mean"] < 0)
    counts = rows.assign(better=better, worse=worse).groupby("compensation", sort=True)
    found = counts.agg(comparisons=("p", "size"), better=("better", "sum"), worse=("worse", "sum"))
    return found.astype(str).reset_index().rename(columns=str.capitalize)


def page() -> str:
    """The whole page."""
    rows = {number: table(number) for number in KEPT}
    rows[5] = rows[5][rows[5]["technique"].isin(SHOWN)]
    return (
        environment()
        .from_string((DOCS / "results" / "sfew.md.j2").read_text(encoding="utf-8"))
        .render(
            run=yaml.safe_load((RUN / "run.yaml").read_text(encoding="utf-8")),
            removal=markdown_rows(removal_at_random()),
            stars=markdown_rows(better_than_random()),
            tables=[rendered(number, part) for number, part in rows.items()],
        )
        + "\n"
    )


if __name__ == "__main__":
    write_text(DOCS / "explanation" / "sfew.md", page())
