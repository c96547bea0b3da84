"""Networks that were trained elsewhere, in the config."""

from typing import get_args

import pytest

from neuron_pruning.any_network import options
from neuron_pruning.any_network.peers import PEERS
from neuron_pruning.any_network.running_times import RUNTIMES
from neuron_pruning.configuration import models_networks
from neuron_pruning.configuration.validation import check_config
from neuron_pruning.core.errors import UserError

NETWORK = {"source": "mynet:build", "calibration": "seen", "evaluation": "unseen"}


def test_choices_are_those_of_the_package():
    for name in ("BatchNormRule", "Order"):
        assert get_args(getattr(models_networks, name)) == get_args(getattr(options, name))
    offered = get_args(options.NetworkCompensation)
    assert get_args(models_networks.Compensation) == offered
    assert get_args(models_networks.Peer) == tuple(PEERS)
    assert get_args(models_networks.Runtime) == tuple(RUNTIMES)


def test_defaults_are_filled_in():
    config = {"networks": {"mine": dict(NETWORK)}}
    check_config(config)
    assert config["networks"]["mine"]["weights"] is None
    assert config["network_pruning"]["draws"] == 5


@pytest.mark.parametrize(
    ("config", "fault"),
    [
        (
            {"networks": {"mine": {**NETWORK, "evaluation": "seen"}}},
            "networks.mine.evaluation: is the folder",
        ),
        (
            {
                "networks": {
                    "mine": {**NETWORK, "input": {"size": [8, 8], "mean": [0], "std": [1, 1]}}
                }
            },
            "networks.mine.input: mean and std",
        ),
        (
            {"networks": {"mine": {"source": "mynet:build"}}},
            "networks.mine.calibration: is required",
        ),
        (
            {"networks": {"mine": {**NETWORK, "calibration": "scikit-learn/digit/train"}}},
            "networks.mine.calibration: there is no data set 'scikit-learn/digit/train'",
        ),
        (
            {"dataset": {"path": "torchvision/CIFAR10"}},
            "did you mean torchvision/CIFAR10/t",
        ),
        (
            {"networks": {"mine": {**NETWORK, "source": "a.safetensors", "weights": "w.pth"}}},
            "networks.mine.weights: a.safetensors holds its own",
        ),
        ({"network_pruning": {"techniques": ["l7"]}}, "no technique 'l7'"),
        ({"network_pruning": {"techniques": ["distinctiveness"]}}, "takes an angle"),
        ({"network_pruning": {"techniques": ["badness"]}}, "badness"),
        ({"network_pruning": {"techniques": ["karnin"]}}, "what training by the workflow records"),
        ({"network_pruning": {"multiply_adds": [1.5]}}, "network_pruning.multiply_adds"),
        ({"network_pruning": {"batch_norm": ["keep"]}}, "did you mean batch_norms?"),
    ],
)
def test_what_cannot_be_is_refused_by_its_key(config, fault):
    with pytest.raises(UserError) as error:
        check_config(config)
    assert fault in str(error.value)
