"""The numbers of every section of the page; templates/report/ has the words."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from neuron_pruning.reporting.comparison_chart import classifier_panels
from neuron_pruning.reporting.findings import against_guessing, evidence, leakage_by_split
from neuron_pruning.reporting.panels import figures, sweep_figures
from neuron_pruning.reporting.provenance import provenance
from neuron_pruning.reporting.results import Results, mean_and_deviation
from neuron_pruning.reporting.sample_images import samples
from neuron_pruning.reporting.sweep_findings import (
    at_angles,
    at_half,
    compensation_lines,
    free_by_line,
    most_free,
    removed_by_angle,
    shown_lines,
)
from neuron_pruning.tables.rendering import display_name

PART_NAMES = {"train": "training", "validation": "validation", "test": "test"}


def page_context(
    results: Results,
    array: Path,
    benchmarks: Path,
    commit: str,
    tables: Sequence[Mapping[str, Any]],
    audit: Sequence[Mapping[str, Any]],
    faces: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """All that the template shows; ``faces``: what was found, where faces are used."""
    return {
        "config": results.config,
        "config_text": config_text(results.config),
        "data": data_summary(results),
        "models": [model_summary(results, model) for model in results.models],
        "run": provenance(results.speed, benchmarks, commit),
        "tables": tables,
        "evidence": evidence(results),
        "leakage": leakage_by_split(results.leakage),
        "figures": {**figures(results), "classifiers": classifier_panels(results)},
        "sweeps": sweeps(results),
        "audit": audit,
        "faces": faces,
        "samples": list(samples(results, array)),
    }


def data_summary(results: Results) -> dict[str, Any]:
    """Numbers about the data that several sections quote."""
    seeds = results.predictions["seed"].unique()
    first = results.predictions[results.predictions["seed"] == seeds[0]]
    images = first.drop_duplicates("position")
    return {
        **{
            f"{name}_images": int((images["part"] == part).sum())
            for part, name in PART_NAMES.items()
        },
        "classes": len(results.classes),
        "seeds": len(seeds),
        "untrained": "untrained" in set(results.predictions["state"]),
        "drawn": results.config["dataset"]["path"] is None,
        "fine_tuning": int(results.pruned["fine_tuning"].max()),
    }


def model_summary(results: Results, model: str) -> dict[str, Any]:
    """Figures of one network for the top of the page."""
    chosen, published = results.selected(model), results.published(model)
    deviation = chosen["test_accuracy_std"]
    return {
        "name": display_name(model),
        "learning_rate": chosen["learning_rate"],
        "batch_size": chosen["batch_size"],
        "settings": int((results.selection["model"] == model).sum()),
        "fixed": model in results.config["selection"]["fixed"],
        "layers": results.layers(model),
        "accuracy": chosen["test_accuracy_mean"],
        "deviation": None if pd.isna(deviation) else deviation,
        "guessing": against_guessing(results, model),
        "paper": published["before"].iloc[0] if len(published) else None,
        "angles": list(angle_rows(results, model)),
        "most_free": list(most_free(results, model)),
    }


def angle_rows(results: Results, model: str) -> Iterator[dict[str, Any]]:
    """Removed units and accuracy after it at each angle, by state: mean and deviation."""
    rows = results.at_thresholds(model)
    rows = rows.assign(removed=rows["units_before"] - rows["units_after"])
    published = results.published(model).set_index("angle")
    for angle, found in rows.groupby("angle"):
        states = found.groupby("state")
        yield {
            "angle": angle,
            "units": found["units_before"].max(),
            "removed": {s: mean_and_deviation(of["removed"]) for s, of in states},
            "after": {s: mean_and_deviation(of["test_accuracy_after"]) for s, of in states},
            "paper": published.loc[angle].to_dict() if angle in published.index else {},
        }


def sweeps(results: Results) -> dict[str, Any]:
    """What the sweeps show, one record per question, network and layer, and their charts."""
    networks = results.networks
    shown = {n: shown_lines(results, *n) for n in networks}
    compensated = {n: compensation_lines(results, *n) for n in networks}
    return {
        "how_much": [free_by_line(results, *n, lines) for n, lines in shown.items()],
        "compensation": [
            at_half(results, *n, lines, "test_accuracy") for n, lines in compensated.items()
        ],
        "agreement": [at_half(results, *n, lines, "agreement") for n, lines in shown.items()],
        "at_angles": [at_angles(results, *n) for n in networks if removed_by_angle(results, *n)],
        "figures": sweep_figures(results),
    }


def config_text(config: Mapping[str, Any]) -> str:
    """The configuration as YAML, short lists and mappings on one line."""
    unshared = json.loads(json.dumps(config))  # else YAML writes a list met twice as a reference
    return yaml.safe_dump(
        unshared, sort_keys=False, allow_unicode=True, width=90, default_flow_style=None
    )
