"""A pruning of a stored network: how it is done, and what is written about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from neuron_pruning.core.errors import naming_network
from neuron_pruning.core.parquet import write_rows
from neuron_pruning.data.split_file import Split
from neuron_pruning.evaluation.pruned_networks import (
    PRUNED_METRICS_SCHEMA,
    UNITS_SCHEMA,
    Logits,
    Outputs,
    accuracy_change,
)
from neuron_pruning.models.architectures import Architecture, count_multiply_adds, count_parameters
from neuron_pruning.models.checkpoints import Checkpoint, save_checkpoint
from neuron_pruning.pruning.network_source import NetworkSource
from neuron_pruning.pruning.scores import ScoresByLayer
from neuron_pruning.pruning.selection import RULES, Selection, resolve_count
from neuron_pruning.pruning.surgery import prune_in_turn
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.pruning.units import UnitLayer

Selections = Mapping[str, Selection]


@dataclass(frozen=True)
class Cut:
    """What a pruning removes: a technique, an amount, and the compensation of the removed units.

    Attributes:
        technique: label, name, settings and compensation of the technique.
        amount: angle in degrees, number of units, or share of each layer below 1.
        seed: of techniques that draw.
    """

    technique: Mapping[str, Any]
    amount: float
    seed: int

    @property
    def compensation(self) -> str:
        """Name of the compensation."""
        return str(self.technique["compensation"])

    @property
    def angle(self) -> float | None:
        """The threshold; None where units are counted."""
        return self.amount if find_technique(self.technique["name"]).amount == "angle" else None

    def select(self, layer: UnitLayer) -> Selection:
        """Units or channels of one layer that go."""
        chosen, amount = find_technique(self.technique["name"]), self.amount
        if self.angle is None:
            amount = resolve_count(amount, layer.units)
        return chosen.select(layer, amount, **self.technique["settings"])

    def prune_units(
        self,
        network: Checkpoint,
        layers: Sequence[str],
        outputs: Outputs,
        split: Split,
        scores: Mapping[str, ScoresByLayer],
    ) -> tuple[Checkpoint, dict[str, Selection]]:
        """Prune hidden layers one after the other; ``outputs`` are of all layers and images."""
        rows = split.positions("train")
        training, labels = {n: values[rows] for n, values in outputs.items()}, split.labels[rows]
        return prune_in_turn(
            network, layers, self.select, self.compensation, training, labels, scores, self.seed
        )


def write_pruned(
    files: SimpleNamespace,
    source: NetworkSource,
    cut: Cut,
    pruned: Checkpoint,
    selections: Selections,
    logits: tuple[Logits, Logits],
) -> dict[str, float]:
    """Write a pruned network, its metrics and the list of removed units.

    Args:
        files: paths ``pruned``, ``metrics`` and ``units``.
        source: the unpruned network.
        cut: what was asked for.
        pruned: what came of it.
        selections: removed units by layer.
        logits: before and after, of all images, N x classes.

    Returns:
        The metrics that are numbers.

    Raises:
        UserError: logits or weights are not finite; nothing is written then.
    """
    removed = sum(len(selection.removals) for selection in selections.values())
    keys = {
        **source.run.row_keys,
        "technique": cut.technique["label"],
        "compensation": cut.compensation,
        "layer": "+".join(selections),
        "angle": cut.angle,
        "count": removed if cut.angle is None else None,
        "fine_tuning": 0,
    }
    row = size_change(source.architecture, pruned.architecture, selections)
    with naming_network(files.pruned):
        row |= accuracy_change(*logits, source.split)
    save_checkpoint(pruned, files.pruned, keys)
    write_rows(files.metrics, [row], PRUNED_METRICS_SCHEMA, keys)
    write_rows(files.units, unit_rows(selections), UNITS_SCHEMA, keys)
    return {name: value for name, value in row.items() if value is not None}


def size_change(
    before: Architecture, after: Architecture, selections: Selections
) -> dict[str, Any]:
    """Units, parameters and multiply-adds before and after."""
    found = selections.values()
    angles = [s.largest_similar_angle for s in found if s.largest_similar_angle is not None]
    return {
        "units_before": sum(s.units for s in found),
        "units_after": sum(len(s.kept) for s in found),
        **{f"removed_{rule}": sum(s.counts[rule] for s in found) for rule in RULES},
        "largest_similar_angle": max(angles, default=None),
        "parameters_before": count_parameters(before),
        "parameters_after": count_parameters(after),
        "multiply_adds_before": count_multiply_adds(before),
        "multiply_adds_after": count_multiply_adds(after),
    }


def unit_rows(selections: Selections) -> list[dict[str, Any]]:
    """One row per removed unit."""
    return [
        {
            "pruned_layer": layer,
            "unit": removal.unit,
            "rule": removal.rule,
            "partner": removal.partner,
            "pair_angle": removal.angle,
        }
        for layer, selection in selections.items()
        for removal in selection.removals
    ]
