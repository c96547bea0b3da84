"""What the earlier stages found, read once for the whole page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from neuron_pruning.configuration.derived import pruned_layers
from neuron_pruning.core.parquet import read_rows
from neuron_pruning.data.index import clip_of
from neuron_pruning.models.checkpoints import load_tensors
from neuron_pruning.pruning.angles import pairwise_angles
from neuron_pruning.statistics.model_comparison import (
    CONSTANT_KIND,
    NETWORK_KIND,
    NOTHING_PUBLISHED,
    compare_classifiers,
    correct_predictions,
    right_by_seed,
)
from neuron_pruning.statistics.resampling import Resampling, clips_of, ends
from neuron_pruning.statistics.significance import SIGNIFICANT
from neuron_pruning.tables.figures import paper_of

LayerAngles = Mapping[tuple[str, str, str], NDArray[np.float64]]  # by model, layer and state


@dataclass(frozen=True)
class Results:
    """What the earlier stages found, as frames.

    Attributes:
        pruned: metrics of the written networks, of all techniques.
        tables: rows of the tables by number; those of Table 7 with a ``name`` for the reader.
        leakage: what lies on both sides of the splits.
        sweeps: every technique of Table 5 at every amount.
        angles: of all pairs of units, degrees.
        paper: its figures; None beside drawn faces.
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
    angles: LayerAngles
    paper: Mapping[str, Any] | None

    @property
    def models(self) -> list[str]:
        """Networks in the order of the config."""
        return list(self.config["run_models"])

    def layers(self, model: str) -> list[str]:
        """Pruned layers of a network."""
        return pruned_layers(self.config["models"][model])

    def at_thresholds(self, model: str) -> pd.DataFrame:
        """Networks pruned by distinctiveness, whose threshold is an angle."""
        rows = self.pruned[self.pruned["technique"] == "distinctiveness"]
        return rows[rows["angle"].notna() & (rows["model"] == model)].astype({"angle": float})

    @property
    def classes(self) -> list[str]:
        """Classes in the order of the data."""
        return list(dict.fromkeys(self.confusion["label"]))

    @cached_property
    def trained(self) -> pd.DataFrame:
        """Predictions of the trained networks."""
        rows = self.predictions
        return rows[rows["state"] == "trained"].assign(baseline=None)

    @cached_property
    def standings(self) -> pd.DataFrame:
        """Rows of Table 7 about the experiment's own split; made here where it has none."""
        split, table = self.config["split"], self.tables.get(7)
        if table is not None and split in set(table["split"]):
            return table[table["split"] == split]
        split_rows = self.trained[self.trained["model"] == self.models[0]]
        right = correct_predictions(self.trained)
        return compare_classifiers(right, split_rows, NOTHING_PUBLISHED, self.tried)

    @property
    def tried(self) -> dict[str, int]:
        """Settings among which the test images chose each network's; 1 where they chose none."""
        sizes = self.selection[self.selection["selected_on"] == "test"].groupby("model").size()
        return {name: int(sizes.get(name, 1)) for name in self.models}

    def interval_by_clips(self, model: str) -> tuple[float, float] | None:
        """Ends of a bootstrap over seeds and clips of the test accuracy; None without clips."""
        rows = self.trained[self.trained["model"] == model] if len(self.predictions) else None
        if rows is None or "image" not in rows:
            return None
        tested = correct_predictions(rows).sort_values(["seed", "position"])
        tested = tested.assign(clip=[clip_of(image) for image in tested["image"]])
        if not tested.duplicated(["seed", "clip"]).any():
            return None
        right = {s: found[None].astype(np.float32) for s, found in right_by_seed(tested).items()}
        level = 1 - SIGNIFICANT / self.tried[model]
        return ends(Resampling(clips_of(tested)).accuracies(right), level)

    def standing(self, model: str) -> pd.Series:
        """The row of one of the experiment's own networks."""
        rows, cell = self.standings, self.selected(model)
        rows = rows[(rows["kind"] == NETWORK_KIND) & (rows["contender"] == model)]
        keys = ["recipe", "crop", "learning_rate", "batch_size"]
        return rows[(rows[keys] == cell[keys]).all(axis=1)].iloc[0]

    def constant(self, name: str) -> float:
        """Mean test accuracy of ``chance`` or ``majority class`` under the experiment's split."""
        rows = self.standings[self.standings["kind"] == CONSTANT_KIND]
        return float(rows.loc[rows["contender"] == name, "accuracy_mean"].iloc[0])

    @property
    def guessing(self) -> float:
        """The better of chance and the largest class: a split may leave that hardly any tests."""
        return max(self.constant("chance"), self.constant("majority class"))

    @property
    def compared_splits(self) -> dict[str, str]:
        """Protocols of the splits of Table 7, folds last: they train on fewer images."""
        table, splits = self.tables.get(7), self.config["splits"]
        names = [] if table is None else [n for n in table["split"].unique() if n in splits]
        names.sort(key=lambda name: splits[name]["folds"] is not None)
        return {name: splits[name]["protocol"] for name in names}

    def selected(self, model: str) -> pd.Series:
        """Row of the selected hyper-parameters."""
        rows = self.selection
        return rows[rows["selected"] & (rows["model"] == model)].iloc[0]

    def published(self, model: str) -> pd.DataFrame:
        """The paper's prunings of a model: angle, units, removed, before, after.

        There are none of other images than the paper's.
        """
        columns = ["model", "angle", "units", "removed", "before", "after"]
        rows = pd.DataFrame(paper_of(self.paper, self.classes)["table4"], columns=columns)
        return rows[rows["model"] == model]


def layer_angles(
    predictions: Sequence[Path], activations: Sequence[Path], config: Mapping[str, Any]
) -> LayerAngles:
    """Angles in degrees of all pairs of units of the pruned layers over the training images.

    The seeds of a model, layer and state lie in one array.
    """
    found: dict[tuple[str, str, str], list[NDArray[np.float64]]] = {}
    techniques = config["pruning"]["techniques"]
    centring = techniques.get("distinctiveness", {}).get("settings", {}).get("centring", "half")
    for images, outputs in zip(predictions, activations, strict=True):
        rows = pd.DataFrame(read_rows(images, ["model", "state", "part", "position"]))
        model, state = str(rows["model"].iloc[0]), str(rows["state"].iloc[0])
        training = rows.loc[rows["part"] == "train", "position"]
        for layer in pruned_layers(config["models"][model]):
            angles = pair_angles(
                pairwise_angles(load_tensors(outputs, [layer])[layer][training], centring)
            )
            found.setdefault((model, layer, state), []).append(angles)
    return {key: np.concatenate(angles) for key, angles in found.items()}


def pair_angles(angles: NDArray[np.float64]) -> NDArray[np.float64]:
    """The angles of all pairs i < j of an H x H matrix: H (H - 1) / 2 numbers."""
    return angles[np.triu_indices(len(angles), 1)]
