"""The numbers of every section of the page; templates/report/ has the words."""

import json
from collections.abc import Mapping
from typing import Any

import pandas as pd
import yaml

from neuron_pruning.core.parquet import PARTS
from neuron_pruning.reporting.findings import against_guessing, evidence, leakage_by_split
from neuron_pruning.reporting.panels import figures
from neuron_pruning.reporting.results import Results
from neuron_pruning.reporting.sweep_findings import layers


def page_context(results: Results) -> dict[str, Any]:
    """What the results alone give to the template."""
    pruned_layers = layers(results)
    return {
        "config": results.config,
        "config_text": config_text(results.config),
        "data": data_summary(results),
        "models": [model_summary(results, model) for model in results.models],
        "evidence": evidence(results),
        "leakage": leakage_by_split(results.leakage),
        "figures": figures(results, pruned_layers),
        "layers": pruned_layers,
    }


def data_summary(results: Results) -> dict[str, Any]:
    """Numbers about the data that several sections quote; images are those of the first seed."""
    rows = results.predictions
    images = rows[rows["seed"] == rows["seed"].iloc[0]].drop_duplicates("position")["part"]
    return {
        **{f"{part}_images": int((images == part).sum()) for part in PARTS},
        "classes": len(results.classes),
        "seeds": rows["seed"].nunique(),
        "untrained": "untrained" in set(rows["state"]),
        "clips": bool(results.leakage.query("check == 'clip'")["sets"].any()),
        "published": any(len(results.published(model)) for model in results.models),
        "drawn": results.config["dataset"]["path"] is None,
        "fine_tuning": int(results.pruned["fine_tuning"].max()),
    }


def model_summary(results: Results, model: str) -> dict[str, Any]:
    """Figures of one network for the top of the page."""
    published = results.published(model)
    return {
        "name": model,
        "selected": results.selected(model),
        "settings": int((results.selection["model"] == model).sum()),
        "fixed": model in results.config["selection"]["fixed"],
        "layers": results.layers(model),
        "guessing": against_guessing(results, model),
        "paper": published.iloc[0] if len(published) else None,
        "angles": angle_rows(results.tables[4], model),
    }


def angle_rows(table: pd.DataFrame, model: str) -> list[dict[str, pd.Series]]:
    """Rows of Table 4 by state, one item per threshold angle, the narrowest first."""
    rows = table[(table["model"] == model) & (table["technique"] == "distinctiveness")]
    angles = rows[rows["angle"].notna()].groupby("angle")
    return [{row["state"]: row for _, row in found.iterrows()} for _, found in angles]


def config_text(config: Mapping[str, Any]) -> str:
    """The configuration as YAML, short lists and mappings on one line."""
    unshared = json.loads(json.dumps(config))  # else YAML writes a list met twice as a reference
    return yaml.safe_dump(
        unshared, sort_keys=False, allow_unicode=True, width=90, default_flow_style=None
    )
