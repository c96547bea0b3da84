"""Distinctiveness (Gedeon & Harris 1991), the technique of the paper, and its variants."""

import numpy as np

from neuron_pruning.pruning.angles import Centring, pairwise_angles
from neuron_pruning.pruning.groups import Groups
from neuron_pruning.pruning.redundancy import Classes, Complementary, Redundancy, check_angle
from neuron_pruning.pruning.selection import Removal, Selection
from neuron_pruning.pruning.techniques.technique import Prepared
from neuron_pruning.pruning.units import Layer


def distinctiveness(
    layer: Layer,
    *,
    centring: Centring = "half",
    short_threshold: float = 0.05,
    constant_threshold: float = 0.0,
    complementary: Complementary = "both",
    groups: Groups = "none",
) -> Prepared:
    """Short, constant, similar, complementary and grouped units by the angles of activations."""
    classes = Classes(centring, short_threshold, constant_threshold, complementary, groups)
    return Redundancy(layer.activations, classes).at


def distinctiveness_weights(
    layer: Layer,
    *,
    short_threshold: float = 0.05,
    constant_threshold: float = 0.0,
    complementary: Complementary = "both",
) -> Prepared:
    """The same by the angles of incoming weight vectors (Gedeon 1995), bias left out."""
    classes = Classes("none", short_threshold, constant_threshold, complementary)
    return Redundancy(layer.activations, classes, vectors=layer.into.weight.T).at


def distinctiveness_literal(layer: Layer, *, centring: Centring = "half") -> Prepared:
    """Every unit with a partner within the threshold goes, the paper's sentence at its word.

    "Less than 15 degrees ... complementary, and both should be removed". The closest go first;
    where the layer would be empty, the last of them stays.
    """
    angles = pairwise_angles(layer.activations, centring)
    np.fill_diagonal(angles, np.inf)
    nearest = angles.min(axis=1)

    def at(angle: float) -> Selection:
        check_angle(angle)
        order = np.lexsort((-np.arange(layer.units), nearest))
        gone = order[: min(np.count_nonzero(nearest < angle), layer.units - 1)].tolist()
        removals = [Removal(unit, "similar", angle=float(nearest[unit])) for unit in gone]
        return Selection(layer.units, tuple(removals))

    return at
