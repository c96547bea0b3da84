"""Distinctiveness (Gedeon & Harris 1991), the technique of the paper, and its variants."""

import numpy as np

from neuron_pruning.pruning.angles import Centring, centre, pairwise_angles
from neuron_pruning.pruning.groups import Groups
from neuron_pruning.pruning.redundancy import (
    Complementary,
    Redundancy,
    RedundancyCriteria,
    check_angle,
)
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.techniques.technique import SelectAtAmount, by_angle
from neuron_pruning.pruning.units import UnitLayer


@by_angle(
    needs="statistics", compensation="add", merges=True, setting_needs={"groups": "activations"}
)
def distinctiveness(
    layer: UnitLayer,
    *,
    centring: Centring = "half",
    short_threshold: float = 0.05,
    constant_threshold: float = 0.0,
    complementary: Complementary = "both",
    groups: Groups = "none",
) -> SelectAtAmount:
    """Short, constant, similar, complementary and grouped units by the angles of activations.

    On the float activations of trained networks the setting ``groups`` has found none: the two
    largest gaps of a continuous unit, at which it is banded, are arbitrary.
    """
    criteria = RedundancyCriteria(
        centring, short_threshold, constant_threshold, complementary, groups
    )
    return Redundancy(layer.activations, criteria, value_range=layer.value_range).select_at


@by_angle(needs="statistics", compensation="add", merges=True)
def distinctiveness_weights(
    layer: UnitLayer,
    *,
    short_threshold: float = 0.05,
    constant_threshold: float = 0.0,
    complementary: Complementary = "both",
) -> SelectAtAmount:
    """The same by the angles of incoming weight vectors (Gedeon 1995), bias left out."""
    criteria = RedundancyCriteria("none", short_threshold, constant_threshold, complementary)
    return Redundancy(layer.activations, criteria, vectors=layer.incoming.weight.T).select_at


@by_angle(needs="statistics")
def distinctiveness_literal(layer: UnitLayer, *, centring: Centring = "half") -> SelectAtAmount:
    """Every unit with another within the threshold is removed: the paper's sentence read literally.

    "Less than 15 degrees ... complementary, and both should be removed". The closest are
    removed first; where the layer would be empty, the last of them stays.
    """
    vectors = centre(layer.activations, centring, layer.value_range)
    angles = pairwise_angles(vectors, "none")
    np.fill_diagonal(angles, np.inf)
    nearest = angles.min(axis=1)

    def select_at(angle: float) -> Selection:
        check_angle(angle)
        order = np.lexsort((-np.arange(layer.units), nearest))
        removed = order[: min(np.count_nonzero(nearest < angle), layer.units - 1)].tolist()
        removals = [Removal(unit, "similar", angle=float(nearest[unit])) for unit in removed]
        return Selection(layer.units, tuple(removals))

    return select_at
