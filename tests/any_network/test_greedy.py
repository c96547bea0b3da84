"""The greedy search for the sizes of layers, on held-out images."""

import torch
from torch import nn

from neuron_pruning.any_network.batches import Batches
from neuron_pruning.any_network.costs import CostModel
from neuron_pruning.any_network.greedy import Judge, greedy_counts
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.pruner import Pruner
from neuron_pruning.any_network.unit_layers import find_unit_layers
from tests.any_network.networks import images

METHOD = Method("noiseout", compensation="lstsq", batch_norm="keep", order="parallel")


def pruner_of(seed=0):
    """Two hidden layers of 24 units; those of the second are six, four times each."""
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(192, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 8)
    ).double()
    with torch.no_grad():
        for tensor in (network[3].weight, network[3].bias):
            tensor.copy_(tensor[:6].repeat(4, *[1] * (tensor.ndim - 1)))
    found = find_unit_layers(network, images(2))
    return Pruner(network, found, Batches.of(network, [images(128)]))


def test_what_costs_nothing_goes_first():
    pruner = pruner_of()
    costs = CostModel(pruner.model, pruner.found)
    share = 1 - 18 * 32 / costs.size({}).multiply_adds  # what the copies are worth
    counts = greedy_counts(pruner, costs, METHOD, share)
    assert counts is not None and counts["1"] == 0 and 0 < counts["3"] <= 18
    assert costs.size(counts).multiply_adds <= share * costs.size({}).multiply_adds
    assert Judge(pruner).divergence(counts, METHOD) < 1e-12


def test_the_images_that_judge_are_not_fitted_on():
    pruner = pruner_of()
    judge = Judge(pruner)
    held_out = {image.numpy().tobytes() for batch in judge.images for image in batch}
    fitted = {i.numpy().tobytes() for batch in judge.pruner.batches.calibration() for i in batch}
    assert held_out and fitted and not held_out & fitted
    judge.divergence({"3": 4}, METHOD)
    assert pruner.measured == {}


def test_a_size_that_no_layer_reaches_is_none():
    pruner = pruner_of()
    assert greedy_counts(pruner, CostModel(pruner.model, pruner.found), METHOD, 1e-6) is None
