"""Networks of other packages: half of the units go, and the rest computes the same.

A few small ones of every kind; with ``ZOO=all`` in the environment every one in
``benchmarks/zoo.py``, which takes an hour or more.
"""

import os

import pytest

from benchmarks.zoo import TOLERANCE, in_limits, measure, network_names

# Fire modules, residual streams, gates, grouped and shuffled convolutions, concatenations, windows.
INNER = {
    "squeezenet1_1": 25,
    "resnet18": 8,
    "mobilenet_v3_small": 23,
    "shufflenet_v2_x0_5": 18,
    "regnet_y_400mf": 33,
    "efficientnet_b0": 35,
    "googlenet": 57,
    "swin_t": 12,
}
ALL = os.environ.get("ZOO") == "all"


@pytest.mark.parametrize("name", network_names() if ALL else INNER)
def test_half_of_the_units_of_a_foreign_network_go(name):
    row = in_limits(name) if ALL else measure(name)
    assert "failure" not in row, row
    assert row["in_float64"] == ""
    assert row["inner"] == INNER.get(name, row["inner"]) and row["layers"] > 0
    assert row["difference"] <= TOLERANCE
    assert row["changed"] > 100 * TOLERANCE  # what went mattered
    assert row["left"] < 1.0 and row["left"] == pytest.approx(row["predicted"], abs=1e-9)
    assert row["reloaded"]
