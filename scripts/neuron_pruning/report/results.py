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

from neuron_pruning.angles import pairwise_angles
from neuron_pruning.comparisons import per_seed
from neuron_pruning.configuration import pruned_layers
from neuron_pruning.errors import UserError
from neuron_pruning.figures import pair_angles
from neuron_pruning.records import read_rows
from neuron_pruning.tables import DISPLAY_NAMES


@dataclass(frozen=True)
class Results:
    """What the earlier stages found, as frames.

    Attributes:
        pruned: metrics of the written networks, of all techniques.
        comparison: rows of Table 5.
        sweeps: every technique of Table 5 at every amount.
        angles: of all pairs of units by model, layer and state, degrees.
    """

    config: Mapping[str, Any]
    selection: pd.DataFrame
    history: pd.DataFrame
    predictions: pd.DataFrame
    confusion: pd.DataFrame
    pruned: pd.DataFrame
    comparison: pd.DataFrame
    sweeps: pd.DataFrame
    angles: Mapping[tuple[str, str, str], NDArray[np.float64]]
    paper: Mapping[str, Any]

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
        """Sweeps by number of removed units: a row a seed, means over draws."""
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

    @property
    def largest_class(self) -> float:
        """Share of the images that always naming the largest class gets right."""
        images = self.predictions.drop_duplicates("position")
        return float(images["label"].value_counts(normalize=True).max())

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
    for answers, outputs in zip(predictions, activations, strict=True):
        rows = pd.DataFrame(read_rows(answers, ["model", "state", "part", "position"]))
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


def display_name(model: str) -> str:
    """Name of a network as the paper writes it."""
    return DISPLAY_NAMES.get(model, model)


def mean_and_deviation(values: pd.Series) -> tuple[float, float | None]:
    """Mean and sample standard deviation, which one value does not have."""
    return float(values.mean()), float(values.std()) if len(values) > 1 else None
