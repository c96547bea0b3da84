"""Write the page on what works without training from the Parquet tables of its run.

    PYTHONPATH=scripts python docs/generate_what_works.py

The tables lie in docs/results/what_works as the workflow wrote them, with a note on the run. A
network that was trained in several seeds, NAME_0 and so on, is one kind of network.
"""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import yaml
from matplotlib.figure import Figure
from scipy import stats

from neuron_pruning.any_network.peers import OURS, PEERS
from neuron_pruning.core.files import write_text
from neuron_pruning.core.parquet import read_frame
from neuron_pruning.reporting.charts import LINES, STYLE
from neuron_pruning.reporting.table_notes import TABLES
from neuron_pruning.reporting.templating import environment
from neuron_pruning.statistics.significance import SIGNIFICANT
from neuron_pruning.tables.rendering import markdown_rows, percent, signed

DOCS = Path(__file__).parent
RUN = DOCS / "results" / "what_works"
EFFORT = DOCS.parent / "benchmarks" / "results" / "effort.parquet"
METHOD = ["technique", "compensation"]


def run() -> dict[str, Any]:
    """The note on the run."""
    note: dict[str, Any] = yaml.safe_load((RUN / "run.yaml").read_text(encoding="utf-8"))
    return note


def table(number: int) -> pd.DataFrame:
    """Rows of a table of the run, with the kind of each network."""
    rows = read_frame([RUN / f"table{number}.parquet"])
    return rows.assign(kind=[re.sub(r"_\d+$", "", name) for name in rows["network"]])


def measured_again(rows: pd.DataFrame) -> pd.DataFrame:
    """Lines whose batch normalisations were measured again, and of networks without them all."""
    again = rows["batch_norm"] == "reestimate"
    return rows[again | ~rows["network"].isin(rows["network"][again])]


def over_kinds(rows: pd.DataFrame, value: str) -> tuple[float, float, float]:
    """Mean over kinds of networks of the mean over their seeds, and its 95 % t interval."""
    means = rows.groupby("kind")[value].mean()
    low, high = stats.t.interval(0.95, len(means) - 1, means.mean(), stats.sem(means))
    return float(means.mean()), float(low), float(high)


def cell(rows: pd.DataFrame, value: str) -> str:
    """``+4.1 [3.0, 5.2]`` points, over kinds."""
    mean, low, high = over_kinds(rows, value)
    return f"{signed(mean)} [{signed(low)}, {signed(high)}]"


def by_budget(rows: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """Rows of each share of the multiply-adds, the largest first."""
    for budget, cells in sorted(rows.groupby("budget"), reverse=True):
        yield f"{budget:g}", cells


def networks() -> pd.DataFrame:
    """The kinds of networks, and what they are."""
    found, note = table(10), run()["networks"]
    lines = []
    for kind, rows in found.groupby("kind", sort=False):
        before = rows.groupby("network")["accuracy_before"].first()
        accuracy = percent(before.mean(), before.std() if len(before) > 1 else None, digits=1)
        lines.append({
            "Network": note[kind]["name"], "Images": note[kind]["images"],
            "Trained": note[kind]["trained"], "Seeds": len(before), "Accuracy, %": accuracy,
        })  # fmt: skip
    return pd.DataFrame(lines)


def ranking() -> pd.DataFrame:
    """Points of accuracy that are lost by each method, over kinds of networks; least lost first."""
    rows = measured_again(table(10))
    rows = rows.assign(lost=rows["accuracy_mean"] - rows["accuracy_before"])
    lines = []
    for (technique, compensation), of_method in rows.groupby(METHOD):
        line = {"Chosen by": technique, "The rest gets": compensation}
        line |= {budget: cell(cells, "lost") for budget, cells in by_budget(of_method)}
        lines.append((over_kinds(of_method, "lost")[0], line))
    return pd.DataFrame([line for _, line in sorted(lines, key=lambda pair: -pair[0])])


def choice() -> pd.DataFrame:
    """Points above random removal of as many units, over kinds; how many networks are decided."""
    rows = measured_again(table(10))
    rows = rows[rows["technique"] != "random"]
    lines = []
    for (compensation, technique), of_method in rows.groupby(METHOD[::-1]):
        line = {"The rest gets": compensation, "Chosen by": technique}
        line |= {budget: compared(cells) for budget, cells in by_budget(of_method)}
        lines.append(line)
    return pd.DataFrame(lines)


def compared(rows: pd.DataFrame) -> str:
    """``+4.1 [3.0, 5.2], 3 better and 1 worse of 9``: over kinds, and networks with a star."""
    decided = rows["p"] < SIGNIFICANT
    better, worse = (decided & (rows["difference"] * sign > 0) for sign in (1, -1))
    return f"{cell(rows, 'difference')}; {better.sum()} ↑ {worse.sum()} ↓ of {len(rows)}"


def compensation() -> pd.DataFrame:
    """Accuracy of each kind without and with compensation, units chosen by L1 and at random."""
    rows = table(10)
    rows = rows[rows["technique"].isin(["l1", "random"])]
    note, lines = run()["networks"], []
    for (kind, technique, rule), cells in rows.groupby(
        ["kind", "technique", "batch_norm"], sort=False
    ):
        line = {"Network": note[kind]["name"], "Chosen by": technique, "Batch norm": rule}
        for budget, of_size in by_budget(cells):
            means = of_size.groupby("compensation")["accuracy_mean"].mean()
            line[budget] = " → ".join(percent(means[how], digits=1) for how in ("none", "auto"))
        lines.append(line)
    return pd.DataFrame(lines).fillna("–")


def peers() -> pd.DataFrame:
    """Points of others' prunings from ours, over kinds; how many networks are decided."""
    rows = measured_again(table(11))
    rows = rows[rows["technique"] != OURS]
    lines = []
    for recipe, of_recipe in rows.groupby("technique", sort=False):
        line = {"By": PEERS[recipe].title}
        line |= {budget: compared(cells) for budget, cells in by_budget(of_recipe)}
        lines.append(line)
    return pd.DataFrame(lines)


def by_kind(recipes: Sequence[str]) -> pd.DataFrame:
    """Accuracy of ours and of some of others' prunings, kind by kind."""
    rows = measured_again(table(11))
    note, lines = run()["networks"], []
    for (kind, recipe), cells in rows[rows["technique"].isin(recipes)].groupby(
        ["kind", "technique"], sort=False
    ):
        line = {"Network": note[kind]["name"], "By": PEERS[recipe].title}
        for budget, of_size in by_budget(cells):
            means = of_size["accuracy_mean"]
            line[budget] = percent(means.mean(), means.std() if len(means) > 1 else None, digits=1)
        lines.append(line)
    return pd.DataFrame(lines).fillna("–")


def accuracy(kind: str, technique: str, how: str, budget: float, rule: str = "reestimate") -> str:
    """Accuracy in percent of one kind at one size, mean over its seeds."""
    rows = table(10).query("kind == @kind and technique == @technique and compensation == @how")
    return percent(rows.query("budget == @budget and batch_norm == @rule")["accuracy_mean"].mean(),
                   digits=1)  # fmt: skip


def unpruned(kind: str) -> str:
    """Accuracy in percent of the unpruned networks of a kind."""
    return percent(table(10).query("kind == @kind")["accuracy_before"].mean(), digits=1)


def lost(technique: str, how: str, budget: float) -> str:
    """Points of accuracy that a method loses, mean over kinds."""
    rows = measured_again(table(10)).query("technique == @technique and compensation == @how")
    rows = rows[rows["budget"] == budget]
    losses = rows.assign(lost=rows["accuracy_before"] - rows["accuracy_mean"])
    return percent(over_kinds(losses, "lost")[0], digits=1)


def points(number: int, technique: str, budget: float, **same: str) -> str:
    """Cell of a table of differences, over kinds: from random removal (10), or from ours (11)."""
    rows = measured_again(table(number))
    for column, value in {"technique": technique, **same}.items():
        rows = rows[rows[column] == value]
    return cell(rows[rows["budget"] == budget], "difference")


def timed(network: str, runtime: str, budget: float) -> "pd.Series[Any]":
    """The row of Table 12 for the largest batch."""
    rows = table(12).query("network == @network and runtime == @runtime and budget == @budget")
    return rows.loc[rows["images"].idxmax()]


def speed_up(network: str, runtime: str) -> str:
    """How many times faster half of the multiply-adds are."""
    return f"{timed(network, runtime, 0.5)['speed_up']:.2f}"


def milliseconds(network: str, runtime: str) -> str:
    """Of a pass of the whole network."""
    return f"{1000 * timed(network, runtime, 1.0)['median']:.0f}"


def speed() -> str:
    """Table 12 as the workflow shows it."""
    rows = table(12).drop(columns="kind")
    return markdown_rows(TABLES[12].display(rows)) + "\n" + TABLES[12].caption(rows)


def effort(part: str, columns: str, line: Sequence[str]) -> str:
    """Accuracy in percent, mean over draws, of a part of benchmarks.effort."""
    rows = pd.read_parquet(EFFORT).query("part == @part")
    seconds = rows.groupby([*line, columns], sort=False)["seconds"].mean()
    means = 100 * rows.groupby([*line, columns], sort=False)["accuracy"].mean()
    shown = means.round(1).astype(str)
    if part == "fine-tuning":
        shown += " (" + seconds.round(0).astype(int).astype(str) + " s)"
    return markdown_rows(shown.unstack(columns).reset_index().astype(str))


def picture(path: Path) -> None:
    """Accuracy against the multiply-adds that stay, a panel for each kind of network."""
    rows = measured_again(table(10)).query("technique in ['l1', 'random']")
    names = {kind: about["name"] for kind, about in run()["networks"].items()}
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(10.5, 2.6), layout="constrained")
        for axes, (kind, name) in zip(figure.subplots(1, len(names)), names.items(), strict=True):
            found = rows[rows["kind"] == kind]
            whole = 100 * found["accuracy_before"].mean()
            lines = found.groupby(["compensation", "technique"])
            for look, ((how, technique), cells) in zip(LINES, lines, strict=False):
                means = 100 * cells.groupby("budget")["accuracy_mean"].mean()
                axes.plot([*means.index, 1.0], [*means, whole], label=f"{technique}, {how}", **look)
            axes.set(title=name, xlabel="multiply-adds", ylim=(0, 100), xlim=(0.3, 1.03))
        figure.axes[0].set_ylabel("accuracy (%)")
        handles = figure.axes[0].get_legend_handles_labels()
        figure.legend(*handles, loc="outside lower center", ncols=4)
        figure.savefig(path, dpi=160, facecolor="white")


def page() -> str:
    """The whole page."""
    template = (RUN.parent / "what-works.md.j2").read_text(encoding="utf-8")
    tables = {
        "networks": networks(), "ranking": ranking(), "choice": choice(),
        "compensation": compensation(), "peers": peers(), "by_kind": by_kind(list(PEERS)),
    }  # fmt: skip
    shown = {name: markdown_rows(rows) for name, rows in tables.items()}
    made = environment().from_string(template)
    functions = {
        "accuracy": accuracy, "unpruned": unpruned, "points": points, "lost": lost,
        "images": effort("calibration", "images", ["network", "batch_norm"]),
        "tuning": effort("fine-tuning", "epochs", ["network", "images", "compensation"]),
        "speed_up": speed_up, "milliseconds": milliseconds,
    }  # fmt: skip
    return made.render(run=run(), speed=speed(), **functions, **shown) + "\n"


if __name__ == "__main__":
    write_text(DOCS / "explanation" / "what-works.md", page())
    picture(DOCS / "pictures" / "what_works.png")
