"""What is measured and in which order; no test asserts how long it takes."""

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch

from neuron_pruning import Removal, Selection, prune_layer
from neuron_pruning.evaluation import latency
from neuron_pruning.evaluation.latency import Latency, measure_latency
from neuron_pruning.evaluation.sizes import latency_rows
from neuron_pruning.models.networks import Network


def test_quartiles_of_every_batch_size(small_vgg):
    before = torch.get_num_threads()
    measured = measure_latency([small_vgg], (1, 3), repeats=4, warmup=1, threads=1)
    assert [m.batch_size for (m,) in measured] == [1, 3]
    for (m,) in measured:
        assert 0 < m.lower <= m.median <= m.upper
        assert m.repeats == 4 and m.device.startswith("cpu") and m.device.endswith("1 threads)")
    assert torch.get_num_threads() == before


def test_figures_are_quantiles_of_the_repeats(small_vgg, monkeypatch):
    seconds = iter([9.0, 9.0, 5.0, 1.0, 2.0, 4.0, 3.0])
    monkeypatch.setattr(latency, "_time", lambda network, images: next(seconds))
    ((measured,),) = measure_latency([small_vgg], [2], repeats=5, warmup=2)
    assert (measured.lower, measured.median, measured.upper) == (2.0, 3.0, 4.0)


def test_a_copy_runs_in_evaluation_channels_last(small_vgg, monkeypatch):
    seen = []

    def forward(network, images):
        last = torch.channels_last
        assert torch.is_inference_mode_enabled() and not network.training
        assert images.is_contiguous(memory_format=last)
        assert network.features[3].weight.is_contiguous(memory_format=last)
        assert -1 <= images.min() < -0.9 and 0.9 < images.max() <= 1
        seen.append((network, tuple(images.shape)))

    small_vgg.train()
    monkeypatch.setattr(Network, "forward", forward)
    measure_latency([small_vgg], [2], repeats=2, warmup=1)
    assert [shape for _, shape in seen] == [(2, 3, 128, 130)] * 3
    assert all(network is not small_vgg for network, _ in seen) and small_vgg.training


def test_two_networks_are_measured_in_turns(small_vgg, monkeypatch):
    selection = Selection(12, tuple(Removal(unit, "ranked") for unit in range(8)))
    pruned = prune_layer(small_vgg, "fc1", selection, "none")
    turns = []

    def time(network, images):
        width = network.architecture.widths[0]
        turns.append(width)
        return {12: 0.6, 4: 0.2}[width]

    monkeypatch.setattr(latency, "_time", time)
    ((before, after),) = measure_latency([small_vgg, pruned], [1], repeats=3, warmup=1)
    assert turns == [12, 4, 4, 12, 12, 4, 4, 12]
    (row,) = latency_rows([(before, after)])
    assert row["speed_up"] == pytest.approx(3.0)
    assert before.median == 0.6 and after.repeats == 3


def test_speed_up_is_the_ratio_of_medians():
    slow, fast = Latency(1, 0.4, 0.1, 0.9, 5, "cpu"), Latency(1, 0.1, 0.05, 0.2, 5, "cpu")
    (row,) = latency_rows([(slow, fast)])
    assert row["speed_up"] == 4.0


@pytest.mark.parametrize("wrong", [{"batch_sizes": []}, {"repeats": 0}, {"warmup": -1}])
def test_nothing_to_measure(small_vgg, wrong):
    with pytest.raises(ValueError, match="1 or more"):
        measure_latency([small_vgg], **{"batch_sizes": [1], "repeats": 2} | wrong)


def test_other_images_cannot_be_compared(small_vgg):
    other = Network(replace(small_vgg.architecture, input_size=(128, 128)))
    with pytest.raises(ValueError, match="same images"):
        measure_latency([small_vgg, other], [1], repeats=2)


def test_a_gpu_has_left_its_idle_clocks_before_passes_count(monkeypatch):
    now, passes = [0.0], []

    def time(network, images):
        passes.append(network)
        now[0] += 0.2
        return 0.2

    monkeypatch.setattr(latency, "_time", time)
    monkeypatch.setattr(latency.time, "perf_counter", lambda: now[0])
    on_gpu = SimpleNamespace(is_cuda=True)
    assert latency.seconds_in_turns(["a", "b"], on_gpu, repeats=2, warmup=0) == [[0.2] * 2] * 2
    assert passes == ["a"] * 3 + ["a", "b", "b", "a"]  # half a second first
