"""What the earlier stages found, read once for the whole page."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from neuron_pruning.configuration.derived import pruned_layers
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import read_rows
from neuron_pruning.pruning.angles import pairwise_angles
from neuron_pruning.reporting.charts import pair_angles
from neuron_pruning.statistics.model_comparison import (
    CONSTANT_KIND,
    NETWORK_KIND,
    compare_classifiers,
    correct_predictions,
)
from neuron_pruning.statistics.technique_comparison import part_ratio, per_seed

NOTHING_PUBLISHED: Mapping[str, Any] = {"classes": [], "figures": []}


@dataclass(frozen=True)
class Results:
    """What the earlier stages found, as frames.

    Attributes:
        pruned: metrics of the written networks, of all techniques.
        tables: rows of the tables by number; those of Table 7 with a ``name`` for the reader.
        leakage: what lies on both sides of the splits.
        sweeps: every technique of Table 5 at every amount.
        angles: of all pairs of units by model, layer and state, degrees.
    """

    config: Mapping[str, Any]
    selection: pd.DataFrame
    history: pd.DataFrame
    speed: pd.DataFrame
    predictions: pd.DataFrame
    confusion: pd.DataFrame
    pruned: pd.DataFrame
    tables: Mapping[int, pd.DataFrame]
    leakage: pd.DataFrame
    sweeps: pd.DataFrame
    angles: Mapping[tuple[str, str, str], NDArray[np.float64]]
    paper: Mapping[str, Any]

    @property
    def comparison(self) -> pd.DataFrame:
        """Rows of Table 5."""
        return self.tables[5]

    @property
    def models(self) -> list[str]:
        """Networks in the order of the config."""
        return list(self.config["run_models"])

    @property
    def networks(self) -> list[tuple[str, str]]:
        """Every network and pruned layer in the order of the config."""
        return [(model, layer) for model in self.models for layer in self.layers(model)]

    def layers(self, model: str) -> list[str]:
        """Pruned layers of a network."""
        return pruned_layers(self.config["models"][model])

    @cached_property
    def by_count(self) -> pd.DataFrame:
        """Sweeps by number of removed units: one row per seed, means over draws."""
        return per_seed(self.sweeps)

    def units(self, model: str, layer: str) -> int:
        """Units of a pruned layer."""
        return int(on_layer(self.sweeps, model, layer)["units"].iloc[0])

    def at_thresholds(self, model: str) -> pd.DataFrame:
        """Networks pruned by distinctiveness, whose threshold is an angle."""
        rows = self.pruned
        ours = (rows["technique"] == "distinctiveness") & rows["angle"].notna()
        return rows[ours & (rows["model"] == model)].astype({"angle": float})

    @property
    def classes(self) -> list[str]:
        """Classes in the order of the data."""
        return list(dict.fromkeys(self.confusion["label"]))

    @cached_property
    def standings(self) -> pd.DataFrame:
        """Rows of Table 7 about the experiment's own split; made here where it has none."""
        split, table = self.config["split"], self.tables.get(7)
        if table is not None and split in set(table["split"]):
            return table[table["split"] == split]
        trained = self.predictions[self.predictions["state"] == "trained"].assign(baseline=None)
        split_rows = trained[trained["model"] == self.models[0]]
        return compare_classifiers(correct_predictions(trained), split_rows, NOTHING_PUBLISHED)

    def standing(self, model: str) -> pd.Series:
        """The row of one of the experiment's own networks."""
        rows, cell = self.standings, self.selected(model)
        rows = rows[(rows["kind"] == NETWORK_KIND) & (rows["contender"] == model)]
        for key in ("recipe", "crop", "learning_rate", "batch_size"):
            rows = rows[rows[key] == cell[key]]
        return rows.iloc[0]

    def constant(self, name: str) -> float:
        """Mean test accuracy of ``chance`` or ``majority class`` under the experiment's split."""
        rows = self.standings
        rows = rows[(rows["kind"] == CONSTANT_KIND) & (rows["contender"] == name)]
        return float(rows["accuracy_mean"].iloc[0])

    @property
    def largest_class(self) -> float:
        """Share of the test images that always naming the largest training class gets right."""
        return self.constant("majority class")

    @property
    def guessing(self) -> float:
        """The better of chance and the largest class: a split may leave that hardly any tests."""
        return max(self.constant("chance"), self.largest_class)

    @property
    def compared_splits(self) -> dict[str, str]:
        """Protocols of the splits of Table 7, folds last: they train on fewer images."""
        table, splits = self.tables.get(7), self.config["splits"]
        names = [] if table is None else [n for n in table["split"].unique() if n in splits]
        names.sort(key=lambda name: splits[name]["folds"] is not None)
        return {name: splits[name]["protocol"] for name in names}

    def classifier_name(self, classifier: str) -> str:
        """What Table 7 calls a classifier."""
        rows = self.tables[7]
        return str(rows.loc[rows["contender"] == classifier, "name"].iloc[0])

    def correct_predictions(self, model: str) -> dict[int, NDArray[np.bool_]]:
        """Which test images a trained network has right, by seed, in the order of the data."""
        rows = self.predictions
        rows = rows[(rows["model"] == model) & (rows["state"] == "trained")]
        rows = rows[rows["part"] == "test"].sort_values("position")
        return {
            int(str(seed)): (found["label"] == found["predicted"]).to_numpy()
            for seed, found in rows.groupby("seed")
        }

    @property
    def test_to_train(self) -> float:
        """Test images divided by training images."""
        return part_ratio(self.predictions)

    def selected(self, model: str) -> pd.Series:
        """Row of the selected hyper-parameters."""
        rows = self.selection
        return rows[rows["selected"] & (rows["model"] == model)].iloc[0]

    def published(self, model: str) -> pd.DataFrame:
        """The paper's prunings of a model: angle, units, removed, before, after."""
        columns = ["model", "angle", "units", "removed", "before", "after"]
        rows = pd.DataFrame(self.paper["table4"], columns=columns)
        return rows[rows["model"] == model]


def on_layer(rows: pd.DataFrame, model: str, layer: str) -> pd.DataFrame:
    """Rows of one layer of one network."""
    return rows[(rows["model"] == model) & (rows["layer"] == layer)]


def layer_angles(
    predictions: Sequence[Path], activations: Sequence[Path], config: Mapping[str, Any]
) -> dict[tuple[str, str, str], NDArray[np.float64]]:
    """Angles in degrees of all pairs of units of the pruned layers over the training images.

    The seeds of a model, layer and state lie in one array.
    """
    found: dict[tuple[str, str, str], list[NDArray[np.float64]]] = defaultdict(list)
    techniques = config["pruning"]["techniques"]
    centring = techniques.get("distinctiveness", {}).get("settings", {}).get("centring", "half")
    for images, outputs in zip(predictions, activations, strict=True):
        rows = pd.DataFrame(read_rows(images, ["model", "state", "part", "position"]))
        model, state = str(rows["model"].iloc[0]), str(rows["state"].iloc[0])
        training = rows.loc[rows["part"] == "train", "position"]
        for layer in pruned_layers(config["models"][model]):
            patterns = read_layer(outputs, layer)[training]
            angles = pair_angles(pairwise_angles(patterns, centring))
            found[model, layer, state].append(angles)
    return {key: np.concatenate(angles) for key, angles in found.items()}


def read_layer(path: Path, layer: str) -> NDArray[np.float32]:
    """Activations of one layer, N images x H units; the others stay on the disk."""
    try:
        with safe_open(path, framework="numpy") as file:
            return file.get_tensor(layer)
    except (OSError, SafetensorError) as error:
        raise UserError(f"{path} cannot be read ({error}); delete it and run again") from error


def mean_and_deviation(values: pd.Series) -> tuple[float, float | None]:
    """Mean and sample standard deviation, which one value does not have."""
    return float(values.mean()), float(values.std()) if len(values) > 1 else None
