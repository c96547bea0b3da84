"""What is known of a pruned network: schemas of its files, and the figures in them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from neuron_pruning.core.parquet import column, schema
from neuron_pruning.data.split_file import Split
from neuron_pruning.models.checkpoints import Checkpoint
from neuron_pruning.pruning.selection import RULES
from neuron_pruning.statistics.metrics import before_and_after

Outputs = Mapping[str, NDArray[np.float32]]
Logits = NDArray[np.floating]

EFFECT_COLUMNS = (
    column("test_images", pa.int64(), "images of the test part", "images"),
    column("test_accuracy_before", pa.float64(), "test accuracy before pruning"),
    column("test_accuracy_after", pa.float64(), "test accuracy after pruning"),
    column("test_loss_before", pa.float64(), "mean cross-entropy before pruning", "nats"),
    column("test_loss_after", pa.float64(), "mean cross-entropy after pruning", "nats"),
    column("agreement", pa.float64(), "share of test images with the unpruned prediction"),
    column("divergence", pa.float64(), "from the unpruned network's probabilities", "nats"),
    column("lost", pa.int64(), "test images right before pruning alone", "images"),
    column("gained", pa.int64(), "test images right after pruning alone", "images"),
)  # what pruning does to the predictions for the test images
PRUNING_COLUMNS = (
    column("state", pa.string(), "trained or untrained"),
    column("technique", pa.string(), "label of the technique that selected the units"),
    column("compensation", pa.string(), "what the remaining units got in return"),
    column("layer", pa.string(), "pruned layers"),
    column("angle", pa.float64(), "threshold; none where units were counted", "degrees"),
    column("count", pa.int64(), "units counted out; none where there was a threshold"),
    column("fine_tuning", pa.int64(), "epochs of fine-tuning"),
)
ROW_KEYS = [field.name for field in PRUNING_COLUMNS]
PRUNED_METRICS_SCHEMA = schema(
    *PRUNING_COLUMNS,
    column("units_before", pa.int64(), "units of the layers before pruning"),
    column("units_after", pa.int64(), "units of the layers after pruning"),
    *(column(f"removed_{rule}", pa.int64(), f"units removed as {rule}") for rule in RULES),
    column("largest_similar_angle", pa.float64(), "of a unit and its merge target", "degrees"),
    *EFFECT_COLUMNS,
    column("parameters_before", pa.int64(), "parameters of the whole network"),
    column("parameters_after", pa.int64(), "parameters of the pruned network"),
    column("multiply_adds_before", pa.int64(), "multiply-adds per image"),
    column("multiply_adds_after", pa.int64(), "multiply-adds per image of the pruned network"),
)
UNITS_SCHEMA = schema(
    *PRUNING_COLUMNS,
    column("pruned_layer", pa.string(), "layer of the unit"),
    column("unit", pa.int64(), "removed unit, from 0"),
    column("rule", pa.string(), f"one of {', '.join(RULES)}"),
    column("partner", pa.int64(), "merge target, or other half of the pair"),
    column("pair_angle", pa.float64(), "between unit and partner", "degrees"),
)


def logits_after(pruned: Checkpoint, layers: Sequence[str], outputs: Outputs) -> Logits:
    """Logits of all images by a pass through the first pruned layer and all layers after it.

    That layer reads what it read before pruning.
    """
    first = min(layers, key=pruned.architecture.place_of)
    return pruned.logits_from(first, outputs[pruned.architecture.input_name(first)])


def accuracy_change(before: Logits, after: Logits, split: Split) -> dict[str, Any]:
    """Figures of the test images before and after; logits are of all images, N x classes."""
    where = split.positions("test")
    return before_and_after(before[where], after[where], split.labels[where])
