"""The result in short: figures and sentences of one network for the top of the page."""

from collections.abc import Iterator
from typing import Any

import pandas as pd

from neuron_pruning.reporting.evidence import interval_words
from neuron_pruning.reporting.results import Results, display_name, mean_and_deviation
from neuron_pruning.reporting.sentences import free_sentences
from neuron_pruning.statistics.significance import SIGNIFICANT
from neuron_pruning.tables.rendering import count, degrees, percent


def model_summary(results: Results, model: str) -> dict[str, Any]:
    """Figures of one network for the top of the page."""
    chosen, published = results.selected(model), results.published(model)
    mean, deviation = chosen["test_accuracy_mean"], chosen["test_accuracy_std"]
    before = published["before"].iloc[0] if len(published) else None
    row = results.standing(model)
    return {
        "name": display_name(model),
        "setting": setting_text(chosen),
        "cells": int((results.selection["model"] == model).sum()),
        "fixed": model in results.config["selection"]["fixed"],
        "layer": " and ".join(results.layers(model)),
        "accuracy": percent(mean),
        "deviation": None if pd.isna(deviation) else percent(deviation),
        "standing": standing(row),
        "interval": interval_words(row["low"], row["high"]).removeprefix("95 % interval "),
        "paper": percent(before),
        "angles": list(angle_rows(results, model)),
        "free": list(free_sentences(results, model)),
    }


def standing(row: "pd.Series[Any]") -> str:
    """What the test images show of a network against guessing; a row of Table 7."""
    chance, majority = (row[key] < SIGNIFICANT for key in ("p_chance", "p_majority"))
    if chance and majority:
        return "better than guessing"
    if chance:
        return "better than chance, but not shown to be better than always naming one class"
    if majority:
        return "better than always naming one class, but not shown to be better than chance"
    return "not shown to be better than guessing"


def angle_rows(results: Results, model: str) -> Iterator[dict[str, str]]:
    """Units removed and accuracy after it at each angle, as texts: means over the seeds."""
    rows = results.at_thresholds(model)
    rows = rows.assign(removed=rows["units_before"] - rows["units_after"])
    published = results.published(model).set_index("angle")
    for angle in sorted(rows["angle"].unique()):
        found = rows[rows["angle"] == angle]
        paper = published.loc[angle].to_dict() if angle in published.index else {}
        row = {"angle": degrees(angle), "units": str(found["units_before"].max())}
        for state, runs in found.groupby("state"):
            row[f"{state}_removed"] = count(*mean_and_deviation(runs["removed"]))
            row[f"{state}_after"] = percent(*mean_and_deviation(runs["test_accuracy_after"]))
        yield {
            **row,
            "paper_removed": count(paper.get("removed")),
            "paper_units": count(paper.get("units")),
            "paper_after": percent(paper.get("after")),
        }


def setting_text(chosen: pd.Series) -> str:
    """Selected hyper-parameters in words."""
    return f"learning rate {chosen['learning_rate']:g}, batch size {chosen['batch_size']}"
