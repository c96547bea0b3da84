"""Rows of the workflow's files about networks that were trained elsewhere.

Unit layers with what is idle or alike in them; how many units each layer loses for a share of the
multiply-adds; and what pruned networks do on the evaluation images.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
from torch import nn

from neuron_pruning.any_network.allocation import path, sensitivities, within_budget
from neuron_pruning.any_network.batch_norm import tracks
from neuron_pruning.any_network.batches import check_apart
from neuron_pruning.any_network.costs import CostModel
from neuron_pruning.any_network.evaluation import Predictions, predict
from neuron_pruning.any_network.imported import ImportedNetwork
from neuron_pruning.any_network.inspection import layer_rows, measured_rows
from neuron_pruning.any_network.network_schemas import LAYERS_SCHEMA, SHARES
from neuron_pruning.any_network.options import (
    LEAST_SQUARES,
    BatchNormRule,
    Method,
    Order,
    control_compensation,
    refusal,
)
from neuron_pruning.any_network.unit_layers import FoundLayer
from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.angles import centre, is_flat, pairs_within
from neuron_pruning.pruning.techniques import find_technique
from neuron_pruning.pruning.units import UnitLayer
from neuron_pruning.statistics.resampling import packed

PLANNED_BY = Method("l1", compensation="lstsq", batch_norm="keep", order="parallel")
SEEN_BY = replace(PLANNED_BY, technique="variance")  # which looks at activations


def predictions_rows(found: Predictions) -> list[dict[str, Any]]:
    """Rows of ``PREDICTIONS_SCHEMA``."""
    labels = [None] * len(found.classes) if found.labels is None else found.labels.tolist()
    columns = (found.contents.tolist(), labels, found.classes.tolist())
    return [
        {"content": content, "label": label, "prediction": prediction}
        for content, label, prediction in zip(*columns, strict=True)
    ]


def predictions_of(rows: Sequence[Mapping[str, Any]]) -> Predictions:
    """What :func:`predictions_rows` made rows of."""
    labels = None if rows[0]["label"] is None else np.array([row["label"] for row in rows])
    return Predictions(
        np.array([row["prediction"] for row in rows]),
        labels,
        np.array([row["content"] for row in rows], dtype=np.uint64),
    )


def unit_layer_rows(imported: ImportedNetwork, angles: Sequence[float]) -> Iterator[dict[str, Any]]:
    """What could go from each layer, on the first draw of calibration images.

    Args:
        imported: the network and its images.
        angles: in degrees, within which pairs of units are counted.
    """
    pruner, found = imported.pruner(0), imported.found
    described = (layer_rows(found), measured_rows(pruner, PLANNED_BY))
    for layer, row, measured in zip(found.layers.values(), *described, strict=True):
        names = {name: row[name] for name in LAYERS_SCHEMA.names if name in row}
        errors = {
            f"error_{100 * share:.0f}{suffix}": measured[f"{100 * share:g} % {kind}"]
            for share in SHARES
            for suffix, kind in (("", "none"), ("_compensated", PLANNED_BY.compensation))
        }
        yield {
            **names,
            "channels_each": layer.width,
            "parameters": layer.parameters,
            "multiply_adds": layer.multiply_adds,
            "dead": measured["dead"],
            "saturated": measured["saturated"],
            **_pairs(pruner.view(layer.name, SEEN_BY), layer, angles),
            **errors,
        }


def _pairs(view: UnitLayer, layer: FoundLayer, angles: Sequence[float]) -> dict[str, Any]:
    """Numbers of similar and complementary pairs within each angle."""
    vectors = centre(view.activations, layer.centring, view.value_range)
    vectors[:, is_flat(vectors, view.activations)] = 0.0  # rounding has no direction
    similar, complementary = pairs_within(vectors, max(angles))
    return {
        "angles": list(angles),
        "similar": [int((similar.angles < angle).sum()) for angle in angles],
        "complementary": [int((complementary.angles > 180 - angle).sum()) for angle in angles],
    }


def plan_rows(
    imported: ImportedNetwork, draw: int, shares: Iterable[float], warn: Callable[[str], None]
) -> Iterator[dict[str, Any]]:
    """How many units each inner layer loses so that a share of the multiply-adds stays.

    ASSUME: by the sensitivities of removal by L1 norm with least squares, for all techniques and
    compensations alike: they are compared at the same sizes of the same layers.

    Args:
        imported: the network and its images.
        draw: of the calibration images.
        shares: of the multiply-adds.
        warn: is told of shares that no removal of units reaches; they have no rows.

    Raises:
        UserError: images both in calibration and in evaluation, or no layer to prune.
    """
    check_apart(imported.calibration(draw), imported.evaluation)
    pruner = imported.pruner(draw)
    if not pruner.found.inner:
        raise UserError(f"no layer has units of its own:\n{pruner.found.why_not()}")
    curves = sensitivities(pruner, pruner.found.inner, PLANNED_BY)
    steps = path(CostModel(pruner.model, pruner.found), curves, "macs")
    for share in shares:
        try:
            counts = steps.counts[within_budget(steps, "macs", share)]
        except UserError as error:
            warn(str(error))
            continue
        for name, removed in counts.items():
            yield {"budget": share, "layer": name, "removed": removed}


def point_rows(
    imported: ImportedNetwork,
    draw: int,
    plan: Sequence[Mapping[str, Any]],
    before: Predictions,
    methods: Sequence[tuple[str, Method]],
) -> Iterator[dict[str, Any]]:
    """What every method leaves of a network at every budget of a plan.

    Args:
        imported: the network and its images.
        draw: of the calibration images.
        plan: rows of ``PLAN_SCHEMA``.
        before: predictions of the unpruned network.
        methods: as :func:`methods_for` gives them.

    Raises:
        UserError: a technique that needs what a layer of any network does not offer, or evaluation
            images that have changed.
    """
    pruner = imported.pruner(draw)
    costs = CostModel(pruner.model, pruner.found)
    for share in budgets(plan):
        counts = counts_of(plan, share)
        for asked, method in methods:
            yield {
                "budget": share,
                "compensation": asked,
                "batch_norm": method.batch_norm,
                "order": method.order,
                **judged_row(imported, costs, before, pruner.cut(counts, method).model, counts),
            }


def budgets(plan: Sequence[Mapping[str, Any]]) -> list[float]:
    """Shares of the multiply-adds in a plan."""
    return list(dict.fromkeys(row["budget"] for row in plan))


def counts_of(plan: Sequence[Mapping[str, Any]], budget: float) -> dict[str, int]:
    """Units that each layer loses at one share."""
    return {row["layer"]: row["removed"] for row in plan if row["budget"] == budget}


def judged_row(
    imported: ImportedNetwork,
    costs: CostModel,
    before: Predictions,
    model: nn.Module,
    counts: Mapping[str, int],
) -> dict[str, Any]:
    """Size of a pruned network, and what it does on the evaluation images."""
    size, whole = costs.size(counts), costs.size({})
    return {
        "removed": sum(counts.values()),
        "parameters": size.parameters / whole.parameters,
        "multiply_adds": size.multiply_adds / whole.multiply_adds,
        **_judged(before, predict(model, imported.evaluation.labelled())),
    }


def _judged(before: Predictions, after: Predictions) -> dict[str, Any]:
    """Agreement, and accuracies where there are labels; which images are right, or agree."""
    hits, right, whole = after.hits(before), after.right, before.right
    return {
        "agreement": float((after.classes == before.classes).mean()),
        "accuracy": None if right is None else float(right.mean()),
        "accuracy_before": None if whole is None else float(whole.mean()),
        "images": len(hits),
        "correct": packed(hits),
    }


def methods_for(
    model: nn.Module,
    technique: str,
    settings: Mapping[str, Any],
    compensations: Iterable[str],
    batch_norms: Iterable[BatchNormRule],
    order: Order,
    seed: int,
) -> list[tuple[str, Method]]:
    """Methods that make sense, each with the compensation that it was asked with.

    Random removal is there for every compensation; some it gets as :func:`control_compensation`
    says. Without batch normalisation all rules are ``keep``, and without least squares ``rescale``
    is.
    """
    rules: Sequence[BatchNormRule] = ["keep"]
    if any(map(tracks, model.modules())):
        rules = list(batch_norms)
    methods = []
    for asked, rule in product(compensations, rules):
        given = control_compensation(asked) if technique == "random" else asked
        changes = rule != "rescale" or asked in LEAST_SQUARES
        if changes and refusal(find_technique(technique), given) is None:
            methods.append((asked, Method(technique, settings, given, rule, order, seed)))
    return methods
