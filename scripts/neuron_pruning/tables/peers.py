"""Table 11: prunings as others put them together, beside ours, at equal multiply-adds."""

import pandas as pd

from neuron_pruning.any_network.network_schemas import METHOD, NETWORK, SHARE
from neuron_pruning.any_network.peers import OURS, PEERS
from neuron_pruning.core.parquet import schema
from neuron_pruning.tables import networks
from neuron_pruning.tables.rendering import counted
from neuron_pruning.tables.table import Table

MATCHED = ["network", "budget", "batch_norm"]  # of a line and of ours that it is compared with
SCHEMA = schema(
    NETWORK,
    SHARE,
    *METHOD,
    *networks.figures("that of ours", "lines of the network but ours"),
    run=False,
)


def peer_rows(points: pd.DataFrame) -> pd.DataFrame:
    """Means over draws, and the paired difference from ours at the same size."""
    return networks.compared(points, OURS, MATCHED)


def caption(rows: pd.DataFrame) -> str:
    """What the figures are."""
    draws = counted(int(rows["draws"].max()), "draw")
    return (
        "Prunings as others put them together, beside ours, in the layers that ours prunes, "
        "without labels and training: accuracy (agreement, without labels) in percent at the "
        f"largest network that meets each share of the multiply-adds, over {draws} of calibration "
        "images; in brackets the difference in points from ours, and its 95 % interval over draws "
        "and images; * a significant difference, as in Table 10. Deviations from their authors: "
        "residual streams stay whole; GRAIL and Model Folding are our code by theirs, and measure "
        "the unpruned network in one pass; Torch-Pruning is the library's own pruner in one step, "
        "whose Taylor importance has the network's own predictions for labels."
    )


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """One line per recipe and rule of batch normalisation, one column per budget."""
    lines = []
    for key, cells in rows.groupby(["network", "technique", "batch_norm"], sort=False):
        network, recipe, rule = map(str, key)
        line = {"Network": networks.before(network, cells.iloc[0]), "By": PEERS[recipe].title}
        line |= {"Batch norm": rule}
        line |= {f"{row['budget']:g}": networks.cell(row) for row in cells.to_dict("records")}
        lines.append(line)
    return pd.DataFrame(lines).fillna("–")


TABLE = Table(SCHEMA, peer_rows, display, caption)
