"""The arithmetic behind published figures; nothing here is timed."""

from subprocess import CalledProcessError
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.autograd import DeviceType

from benchmarks import (
    any_network,
    common,
    effort,
    floor,
    growth,
    profile,
    small_networks,
    training,
    without_training,
    zoo,
)
from neuron_pruning.any_network.saving import write_tensors
from neuron_pruning.any_network.unit_layers import find_unit_layers
from neuron_pruning.core.row_cache import Journal
from neuron_pruning.data.named_datasets import write_dataset
from neuron_pruning.models.architectures import (
    activation_bytes,
    count_multiply_adds,
    describe,
    memory_mb,
)


@given(exponent=st.floats(0.5, 2.5), constant=st.floats(0.1, 10), factor=st.floats(1e-3, 1e-1))
def test_fits_find_the_exponent_behind_a_constant(exponent, constant, factor):
    sizes = np.array([10.0, 100.0, 1e3, 1e4, 1e5])
    found = growth.fit(sizes, constant + factor * sizes**exponent)
    assert found.exponent == pytest.approx(exponent, abs=0.02)


def test_what_does_not_grow_has_no_exponent():
    table = growth.best(
        [{"what": "x", "size": s, "seconds": 1.0, "peak_mb": s} for s in (1, 9)], "x"
    )
    assert growth.growth_text(table, "seconds") == "constant"


def test_ratios_are_those_of_one_repeat():
    rows = [
        {"model": "vgg", "batch_size": 64, "variant": variant, "precision": "float32",
         "repeat": repeat, "images_per_second": speed, "loss_1": 2.0, "loss_2": 1.9,
         "peak_mb": 1500.0, "device_peak_mb": None}
        for repeat, (plain, ours) in enumerate([(1, 2), (10, 40), (3, 9)])
        for variant, speed in (("plain", plain), ("ours", ours))
    ]  # fmt: skip
    ours = training.report(rows).splitlines()[-1]
    assert "| 9.0 (2.0-40.0) | 3.00 (2.00-4.00) | 2.00000, 1.90000 | 1.5 GB |" in ours


@pytest.mark.parametrize("model", ["alexnet", "vgg"])
def test_the_floor_counts_every_operation_once(model):
    architecture = describe(model)
    rows = list(floor.layer_rows(architecture, 2, floor.GPUS["H200"]))
    first = rows[0]["gigaoperations"] / 2  # forward and weights: twice; the others three times
    forward = (sum(row["gigaoperations"] for row in rows) + first) / 3
    assert forward == pytest.approx(2 * 2 * count_multiply_adds(architecture) / 1e9)
    assert all(row["ms_floor"] <= row["ms_kernels"] for row in rows)


def test_memory_of_a_job_grows_with_what_it_holds():
    vgg = describe("vgg")
    least = memory_mb(vgg, 32, copies=1)
    assert memory_mb(vgg, 128, copies=1) > least < memory_mb(vgg, 32, copies=4)
    assert memory_mb(describe("vgg", normalisation="batch"), 32, copies=1) > least
    assert memory_mb(describe("vgg", (288, 360), [5120, 1000, 100, 7]), 32, copies=1) < least
    assert memory_mb(vgg, 32, copies=4) < 8000 < memory_mb(vgg, 128, copies=4)


@pytest.mark.parametrize(
    ("model", "size", "kept"), [("vgg8", (48, 48), True), ("vgg", None, False)]
)
def test_batch_normalisation_keeps_what_small_convolutions_give_alone(model, size, kept):
    plain, normalised = (
        activation_bytes(describe(model, size or (576, 720), normalisation=normalisation), 64)
        for normalisation in ("none", "batch")
    )
    assert plain < normalised and (normalised > 2 * plain) == kept


def test_a_failed_job_costs_its_own_row_alone(monkeypatch):
    job = {"model": "vgg", "batch_size": 64, "variant": "plain", "precision": "tf32", "repeat": 0}

    def fail(module, job):
        raise CalledProcessError(9, module)

    monkeypatch.setattr(training, "in_new_process", fail)
    rows = [training.finished(job)]
    assert rows[0]["error"] == "exit status 9"
    figures = {"images_per_second": 2.0, "loss_1": 2.0, "loss_2": 1.9, "peak_mb": 1.0}
    rows.append({**job, **figures, "variant": "ours", "device_peak_mb": 3000.0, "error": None})
    text = training.report(rows)
    assert "| vgg | 64 | ours tf32 | 2.0 (2.0-2.0) | - | " in text  # no ratio to what is not there
    assert "Failed, exit status 9: vgg, 64, plain, tf32, 0." in text


def test_a_package_that_is_absent_costs_no_figures(monkeypatch):
    monkeypatch.setattr(common, "PACKAGES", ("numpy", "no-such-package"))
    assert common.versions().endswith(f"numpy {np.__version__}, no-such-package absent")


def test_a_gpus_profile_counts_each_kernel_once():
    def event(kind, annotated=False):
        return SimpleNamespace(device_type=kind, is_user_annotation=annotated)

    kernel = event(DeviceType.CUDA)
    events = [event(DeviceType.CPU), kernel, event(DeviceType.CUDA, annotated=True)]
    assert profile.operators(events, torch.device("cuda")) == [kernel]
    assert profile.operators(events, torch.device("cpu")) == events


def test_a_zoo_that_was_stopped_goes_on_where_it_was(monkeypatch, tmp_path):
    asked = []
    monkeypatch.setattr(zoo, "in_limits", lambda name, _: asked.append(name) or {"network": name})
    journal = Journal(tmp_path / "rows")
    journal.add([{"network": "a", "layers": 3}])
    rows = zoo.rows_of(["a", "b"], 1.0, 8, journal)
    assert asked == ["b"] and rows == [{"network": "a", "layers": 3}, {"network": "b"}]
    late = zoo.rows_of(["a", "b", "c"], -1.0, 8, journal)
    assert asked == ["b"] and late[:2] == rows and "time" in late[2]["unmeasured"]
    assert "Not measured: c (the time was over)" in zoo.report([late[2]])


def test_methods_are_compared_with_random_removal_in_the_same_draw():
    same = {
        "network": "net", "share": 0.5, "compensation": "lstsq", "order": "parallel",
        "batch_norm": "keep", "agreement": 0.9, "seconds": 1.0,
    }  # fmt: skip
    scores = {("l1", 0): 0.8, ("l1", 1): 0.6, ("random", 0): 0.5, ("random", 1): None}
    rows = [
        {**same, "technique": technique, "draw": draw, "accuracy": score}
        for (technique, draw), score in scores.items()
    ]
    table = without_training.table_of(pd.DataFrame(rows)).set_index("technique")
    assert table.score.to_dict() == {"l1": 70.0, "random": 70.0}  # agreement without labels: 0.9
    assert table.lowest.l1 == 60.0 and table.draws.l1 == 2
    assert table.above_random.l1 == 0.0  # +30 and -30 points


def test_a_trial_that_was_stopped_measures_only_what_is_missing(monkeypatch, tmp_path):
    measured = []

    class Trial:
        model = nn.Linear(2, 2)
        judge = SimpleNamespace(unpruned=None, scored=lambda found: {"accuracy": 1.0})

        def row(self, method, share):
            measured.append((method.technique, method.order, method.seed))
            return {"accuracy": 0.5}

    monkeypatch.setattr(without_training, "trials", lambda given: lambda draw: Trial())
    given = SimpleNamespace(
        source="net", share=0.5, test_images=9, calibration_images=8, draws=2, minutes=1.0,
        techniques=["l1"], compensations=["none"], closely=["l1"], fitted=["lstsq"],
        orders=["parallel", "sequential"], batch_norms=["keep"],
    )  # fmt: skip
    journal = Journal(tmp_path / "rows")
    rows, left = without_training.run(given, journal)
    assert (len(rows), left, len(measured)) == (8, 0, 6)
    assert measured[2] == ("l1", "sequential", 0) and measured[5] == ("l1", "sequential", 1)
    assert without_training.run(given, journal) == (rows, 0) and len(measured) == 6
    given.draws, given.minutes = 3, -1.0
    assert without_training.run(given, journal) == (rows, 4)


def test_random_images_are_the_same_each_time_and_none_is_held():
    images = any_network.RandomImages(10, (1, 2, 2), 4)
    first, second = list(images), list(images)
    assert [len(batch) for batch in first] == [4, 4, 2]
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


@pytest.mark.parametrize("across", ["uniform", "global"])
def test_torch_pruning_is_set_beside_on_inner_channels_alone(across):
    torch.manual_seed(0)
    body = [torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.ReLU()]
    network = torch.nn.Sequential(*body, torch.nn.Conv2d(8, 4, 3), torch.nn.Flatten()).eval()
    found = find_unit_layers(network, torch.zeros(1, 3, 6, 6))
    images = [(torch.randn(2, 3, 6, 6), torch.tensor([0, 1]))]
    given = any_network.Trained("x", network, found, images, [images])
    for name in any_network.importances():
        smaller = any_network.pruned_by_theirs(given, name, across, 0)
        assert [m.out_channels for m in (smaller[0], smaller[3])] == [4, 4]
    assert network[0].out_channels == 8
    (cut, *_), whole = any_network.rows_of_ours(given), given.row(network, {})
    assert cut["multiply_adds"] < 0.6 * whole["multiply_adds"]


def test_more_images_and_seconds_are_judged_on_the_same_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for part in ("train", "test"):
        write_dataset("scikit-learn/digits", part, tmp_path / part)
    (tmp_path / "vit").mkdir()
    write_tensors(tmp_path / "vit.safetensors", small_networks.vit())
    network = {
        "source": "benchmarks.small_networks:vit", "weights": "vit.safetensors",
        "calibration": "train", "evaluation": "test",
        "input": {"size": [8, 8], "mean": [0.5] * 3, "std": [0.5] * 3},
    }  # fmt: skip
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump({"networks": {"mine": network}}))
    results: list = []
    monkeypatch.setattr(effort, "write_results", lambda *given: results.append(given))
    few = "--images 8 16 --tuned-images 16 --epochs 0 1 --judging 20 --draws 1 --share 0.9"
    effort.main([str(config), "--networks", "mine", *few.split()])
    ((name, rows, text, _),) = results
    assert name == "effort" and "mine" in text
    assert [(row["part"], row["images"], row["epochs"]) for row in rows] == [
        *[("calibration", images, 0) for images in (8, 8, 16, 16)],
        *[("fine-tuning", 16, epochs) for epochs in (0, 1, 0, 1)],
    ]
    assert all(0 <= row["accuracy"] <= 1 and row["seconds"] > 0 for row in rows)
