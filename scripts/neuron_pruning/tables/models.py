"""Table 7: networks, SVMs, constant predictions and published figures, split by split."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import pandas as pd
import pyarrow as pa

from neuron_pruning.core.parquet import column, schema
from neuron_pruning.statistics.model_comparison import (
    CONSTANT_KIND,
    NETWORK_KIND,
    NOTHING_PUBLISHED,
    PUBLISHED_KIND,
    SVM_KIND,
    compare_classifiers,
    concerns_any_split,
    correct_predictions,
)
from neuron_pruning.statistics.significance import SIGNIFICANT
from neuron_pruning.tables.figures import INTERVAL_COLUMNS
from neuron_pruning.tables.rendering import SVM_NAMES, display_name, figures_are, interval, percent
from neuron_pruning.tables.table import Table

PREDICTIONS = [
    *("model", "recipe", "crop", "learning_rate", "batch_size", "baseline"),
    *("split", "seed", "part", "position", "label", "predicted"),
]
SCHEMA = schema(
    column("experiment", pa.string(), "name of the experiment"),
    column("split", pa.string(), "how the images were divided; any: no training on them"),
    column("kind", pa.string(), "network, svm, constant or published"),
    column("contender", pa.string(), "model, baseline, constant or source"),
    column("recipe", pa.string(), "initialisation and optimiser recipe of a network"),
    column("crop", pa.string(), "whole frames (none) or faces"),
    column("learning_rate", pa.float64(), "initial learning rate of a network"),
    column("batch_size", pa.int64(), "images per optimiser step of a network", "images"),
    column("seeds", pa.int64(), "runs in the mean"),
    column("test_images", pa.int64(), "images of a test part, median over seeds", "images"),
    column("accuracy_mean", pa.float64(), "test accuracy, mean over seeds"),
    column("accuracy_std", pa.float64(), "test accuracy, sample standard deviation over seeds"),
    *INTERVAL_COLUMNS,
    column("recall_mean", pa.float64(), "mean over classes of the recall, mean over seeds"),
    column("p_chance", pa.float64(), "exact binomial test: better than chance (Holm)"),
    column("p_majority", pa.float64(), "the same: better than the majority class (Holm)"),
    column("reference", pa.string(), "baseline that it is compared with on the same images"),
    column("difference", pa.float64(), "accuracy less the reference's, mean over seeds"),
    column("seeds_better", pa.int64(), "seeds significantly better (McNemar, Holm)"),
    column("seeds_worse", pa.int64(), "seeds significantly worse (McNemar, Holm)"),
    column("p_images", pa.float64(), "McNemar, of the seeds that decide (Holm)"),
    column(
        "p_seeds", pa.float64(), "corrected resampled t-test over seeds (Nadeau & Bengio, Holm)"
    ),
    column("note", pa.string(), "where a published figure is from"),
    run=False,
)


def model_rows(
    selected: pd.DataFrame,
    networks: pd.DataFrame,
    svms: pd.DataFrame,
    splits: pd.DataFrame,
    experiment: str,
    published: Mapping[str, Any] | None = None,
    tried: Mapping[str, int] = MappingProxyType({}),
) -> pd.DataFrame:
    """One row per classifier and split.

    Args:
        selected: rows of the ``predictions.parquet`` of the experiment's selected networks.
        networks: the same of networks that are compared with them, and may be among them.
        svms: the same of SVMs, which have a ``baseline`` and no model.
        splits: rows of the split files.
        experiment: name of the experiment.
        published: figures from elsewhere; see :func:`compare_classifiers`.
        tried: settings among which the test images chose, by model.
    """
    predictions = pd.concat(
        [found.reindex(columns=PREDICTIONS) for found in (selected, networks, svms)]
    ).drop_duplicates(ignore_index=True)
    right = correct_predictions(predictions)
    rows = compare_classifiers(right, splits, published or NOTHING_PUBLISHED, tried)
    return rows.assign(experiment=experiment).reindex(columns=SCHEMA.names)


def caption(rows: pd.DataFrame) -> str:
    """What the figures are, and where the published ones are from."""
    published = (rows["kind"] == PUBLISHED_KIND).any()
    figures = ", constant predictions and published figures"
    others = figures if published else " and constant predictions"
    return (
        f"Networks, SVMs{others} on every split of the images: "
        "test accuracy in percent; in square brackets the 95 % interval (Wilson) of one test part "
        "of that size; * significantly better than chance and than always naming the largest "
        "training class (exact binomial tests, p < 0.05 after Holm's correction within the split). "
        "Where the test images chose the best of several settings, interval and tests are "
        "corrected for their number (Bonferroni). "
        f"{figures_are(rows)}.{sources(rows)}"
    )


def sources(rows: pd.DataFrame) -> str:
    """Where the published figures are from; empty where there are none."""
    published = rows.dropna(subset=["note"]).drop_duplicates("contender")
    noted = [f"{name}: {note}" for name, note in published[["contender", "note"]].to_numpy()]
    return f" Published figures: {'; '.join(noted)}." if noted else ""


def display(rows: pd.DataFrame) -> pd.DataFrame:
    """One row per classifier, one column per split; * better than guessing."""
    everywhere = concerns_any_split(rows)
    splits = list(rows.loc[~everywhere, "split"].unique())
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for name, of_all, row in zip(names_of(rows), everywhere, rows.to_dict("records"), strict=True):
        wanted = splits if of_all else [row["split"]]
        # By contender too: two models may go by one name.
        lines.setdefault((name, row["contender"]), {}).update(dict.fromkeys(wanted, cell(row)))
    shown = [[name, *(of.get(s, "–") for s in splits)] for (name, _), of in lines.items()]
    return pd.DataFrame(shown, columns=["Classifier", *splits])


def cell(row: Mapping[Any, Any]) -> str:
    """``42.0 ± 2.4 [34, 50] *``."""
    text = percent(row["accuracy_mean"], row["accuracy_std"], 1)
    if not pd.isna(row["low"]):
        text += f" {interval(row['low'], row['high'])}"
    return f"{text} *" if max(row["p_chance"], row["p_majority"]) < SIGNIFICANT else text


def names_of(rows: pd.DataFrame) -> list[str]:
    """Names of all classifiers; learning rate and batch size where they alone tell two apart."""
    cell = ["learning_rate", "batch_size"]
    found = rows.assign(name=[name_of(row) for row in rows.to_dict("records")])
    networks = found[found["kind"] == NETWORK_KIND].drop_duplicates(["name", *cell])
    several = found["name"].isin(networks.loc[networks["name"].duplicated(), "name"])
    return [
        f"{name}, {rate:g} / {size:g}" if one_of_several else name
        for name, one_of_several, (rate, size) in zip(
            found["name"], several, found[cell].to_numpy(), strict=True
        )
    ]


def name_of(row: Mapping[Any, Any]) -> str:
    """What a reader calls a classifier."""
    if row["kind"] == SVM_KIND:
        return SVM_NAMES.get(row["contender"], row["contender"])
    if pd.isna(row["recipe"]):
        suffix = "" if row["kind"] == CONSTANT_KIND else " (published)"
        return f"{row['contender']}{suffix}"
    seen = "face crops" if row["crop"] == "face" else "whole frames"
    return f"{display_name(row['contender'])}, {row['recipe']}, {seen}"


TABLE = Table(SCHEMA, model_rows, display, caption)
