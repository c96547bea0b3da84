"""Checks of the CUDA path, most of them of what neither spies nor fake tensors can show.

Each function is one check: it takes the test bed, returns what it saw in a line, and raises if
that is wrong. Small networks serve wherever sizes are not the question.
"""

import gc
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, cast

import numpy as np
import torch

from benchmarks.common import machine, peak_mb, versions
from benchmarks.gpu.bed import (
    BATCH,
    CPU,
    EVERY_CHANGE,
    PAPER,
    SETTINGS,
    TEST,
    TRAIN,
    Bed,
    check,
    check_close,
    check_same,
    random_images,
    train,
)  # fmt: skip
from neuron_pruning.core.numerics import Precision, precision_context
from neuron_pruning.core.resume import Resume
from neuron_pruning.data.images import ImageReader
from neuron_pruning.data.split_file import Split
from neuron_pruning.evaluation.inference import compute_activations
from neuron_pruning.evaluation.latency import measure_latency
from neuron_pruning.models.convolutions import run_features
from neuron_pruning.models.networks import save_network
from neuron_pruning.pruning.channels import channel_layer
from neuron_pruning.training.augmentation import augment
from neuron_pruning.training.callbacks import Callback, StepContext, TrainingCheckpoint
from neuron_pruning.training.runs import train_run
from neuron_pruning.training.sensitivity import Sensitivity
from neuron_pruning.training.settings import OptimiserSettings

Check = Callable[[Bed], str]
# Of the loss after three steps, against float32 on the CPU. ASSUME: ten times what the products'
# rounding gives; a wrong layout or gradient is far beyond.
TOLERANCES: dict[Precision, float] = {"float32": 1e-3, "tf32": 1e-2, "bfloat16": 5e-2}


class Skipped(Exception):
    """The check means nothing on this device."""


def needs_gpu(bed: Bed) -> None:
    """Skip what a CPU cannot rehearse."""
    if bed.device.type != "cuda":
        raise Skipped("needs a GPU")


def device(bed: Bed) -> str:
    """The GPU is the one that the job leased; what it is, and the versions."""
    if bed.device.type == "cuda":
        check(torch.cuda.current_device() == bed.device.index, "another GPU is the current one")
    return f"{machine()}; {versions()}; cuDNN {torch.backends.cudnn.version()}"


def training_of(model: str, precision: Precision) -> Check:
    """Check that a model trains in a precision, with losses as on the CPU."""

    def trains(bed: Bed) -> str:
        """Forward, backward and Adam's steps give the CPU's losses."""
        found = train(bed.network(model), bed.device, precision=precision)
        return check_close(found.losses, bed.reference(model), TOLERANCES[precision], "losses")

    return trains


def precision_backward(bed: Bed) -> str:
    """The arithmetic of the backward pass is that of the forward pass."""
    flags = torch.backends.cudnn
    for precision in TOLERANCES:
        seen: list[tuple[bool, str]] = []
        network = bed.network("small vgg")
        network.linear("fc1").weight.register_hook(
            lambda _, to=seen: to.append((flags.allow_tf32, torch.get_float32_matmul_precision()))
        )
        train(network, bed.device, precision=precision)
        tf32 = precision == "tf32"
        wanted = (tf32, "high" if tf32 else "highest")
        check(set(seen) == {wanted}, f"{precision}: {set(seen)} instead of {wanted}")
    return "float32 is float32 in every backward pass"


def optimisers(bed: Bed) -> str:
    """Fused SGD, Adam and AdamW step as on the CPU."""
    names = ("sgd", "adam", "adamw")
    seen = []
    for name in names:
        settings: Any = {"optimiser": OptimiserSettings(name, 0.01, centred_gradients=True)}
        found, wanted = (train(bed.network("small vgg"), d, **settings) for d in (bed.device, CPU))
        seen.append(check_close(found.losses, wanted.losses, 1e-3, name))
    return ", ".join(seen)


def same_twice(bed: Bed) -> str:
    """The same training twice ends in the same bits, without a warning of PyTorch's."""
    seen = []
    for model in PAPER:
        for precision in ("float32", "bfloat16"):
            with warnings.catch_warnings(record=True) as warned:
                warnings.simplefilter("always")
                first, second = (
                    train(bed.network(model), bed.device, precision=precision) for _ in range(2)
                )
            seen.append(check_same(first, second, f"{model} {precision}"))
            told = {str(w.message)[:80] for w in warned if "determinis" in str(w.message)}
            check(not told, f"{model} {precision}: {told}")
    return ", ".join(seen)


def augmentation(bed: Bed) -> str:
    """Images change on the device as on the CPU."""
    pixels = ImageReader(random_images(bed.network("small vgg")), CPU).read([np.arange(TRAIN)])
    images = next(pixels)
    found, wanted = (
        augment(images.to(d), EVERY_CHANGE, torch.Generator().manual_seed(0))
        for d in (bed.device, CPU)
    )
    return check_close(found, wanted, 1e-2, "images")


def streaming(bed: Bed) -> str:
    """Images that come through page-locked memory train as resident ones, augmented too."""
    resident, streamed = (
        train(bed.network("small vgg"), bed.device, room=room, augmentation=EVERY_CHANGE)
        for room in (1e9, 0.0)
    )
    return check_same(resident, streamed, "resident and streamed")


def generators(bed: Bed) -> str:
    """The state of the GPU's random numbers, which dropout draws, goes to the host and back."""
    needs_gpu(bed)
    kept = torch.cuda.get_rng_state(bed.device)
    first = torch.rand(1000, device=bed.device)
    torch.cuda.set_rng_state(kept, bed.device)
    check(torch.equal(first, torch.rand(1000, device=bed.device)), "other numbers after a restore")
    with torch.random.fork_rng([bed.device]):
        torch.manual_seed(0)
    after = torch.rand(1000, device=bed.device)
    torch.cuda.set_rng_state(kept, bed.device)
    torch.rand(1000, device=bed.device)
    check(torch.equal(after, torch.rand(1000, device=bed.device)), "a fork leaves its mark")
    return "restored, and forked without a mark"


class _Killed(Exception):
    """Stands for a signal."""


class _Kill(Callback):
    """Ends a training at a step of an epoch."""

    def __init__(self, epoch: int, step: int) -> None:
        self._at = epoch, step

    def after_step(self, context: StepContext) -> None:
        """Raise at the step."""
        if (context.progress.epoch, context.progress.step) == self._at:
            raise _Killed


def resume(bed: Bed) -> str:
    """A killed training that goes on from its checkpoint ends in the bits of a whole one."""
    seen = []
    for name in ("adam", "sgd"):
        more: Any = {"epochs": 2, "optimiser": OptimiserSettings(cast(Any, name))}
        more |= {"augmentation": EVERY_CHANGE, "precision": "bfloat16"}
        whole = bed.network("small alexnet")
        sums = Sensitivity(whole)
        wanted = train(whole, bed.device, [sums], **more)
        place = Resume(bed.folder / f"{name}.safetensors", 0.0, name)
        killed = bed.network("small alexnet")
        parts: list[Callback] = [Sensitivity(killed), TrainingCheckpoint(place), _Kill(2, 1)]
        with suppress(_Killed):
            train(killed, bed.device, parts, **more)
        network = bed.network("small alexnet")
        again = Sensitivity(network)
        found = train(network, bed.device, [again, TrainingCheckpoint(place)], **more)
        seen.append(check_same(found, wanted, name))
        pairs = zip(again.state_dict().values(), sums.state_dict().values(), strict=True)
        check(all(torch.equal(a, b) for a, b in pairs), f"{name}: other sensitivities")
    return ", ".join(seen)


def memory_for(bed: Bed, micro_batch: int) -> int:
    """Bytes of GPU memory that a training holds at most, with this micro-batch."""
    network = bed.network("alexnet")
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(bed.device)
    train(network, bed.device, [Sensitivity(network)], micro_batch=micro_batch)
    return torch.cuda.max_memory_reserved(bed.device)


@contextmanager
def real_limit(bed: Bed) -> Iterator[None]:
    """Leave PyTorch too little GPU memory for a batch, and enough for an image."""
    total = torch.cuda.get_device_properties(bed.device).total_memory
    limit = (memory_for(bed, BATCH) + memory_for(bed, 1)) / 2
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(limit / total, bed.device)
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, bed.device)


@contextmanager
def pretended_limit(images: int) -> Iterator[None]:
    """On a CPU: a forward pass of more images than that runs out of memory."""
    forward = torch.nn.functional.cross_entropy

    def limited(logits: torch.Tensor, *rest: Any, **more: Any) -> torch.Tensor:
        if len(logits) > images:
            raise torch.cuda.OutOfMemoryError("pretended")
        return forward(logits, *rest, **more)

    torch.nn.functional.cross_entropy = limited
    try:
        yield
    finally:
        torch.nn.functional.cross_entropy = forward


def out_of_memory(bed: Bed) -> str:
    """A training that does not fit goes on in smaller micro-batches."""
    network = bed.network("alexnet")
    place = bed.folder / "initial.safetensors"
    save_network(network, place, {})
    images, rows = random_images(network), np.arange(TRAIN + TEST)
    parts = np.repeat(["train", "test"], [TRAIN, TEST])
    names = tuple(f"{row}.png" for row in rows)
    split = Split(tuple("abcdefg"), names, rows % 7, parts, np.array(names))
    gpu = bed.device.type == "cuda"
    with real_limit(bed) if gpu else pretended_limit(BATCH // 2):
        trained = train_run(place, images, split, SETTINGS, bed.device, "out of memory")
    micro_batch = trained.settings.micro_batch
    check(micro_batch is not None, "it fitted: nothing was tried")
    check(bool(np.isfinite(trained.epochs[-1].train_loss)), "the loss is not finite")
    return f"micro-batches of {micro_batch} instead of {BATCH}"


class _NoWaiting(Callback):
    """Makes every wait of the host for the GPU an error, from the second step to the last."""

    def after_step(self, context: StepContext) -> None:
        """Switch on, and off before the epoch's figures are read."""
        last = context.images_done == TRAIN
        torch.cuda.set_sync_debug_mode("default" if last else "error")

    def on_training_end(self, context: StepContext) -> None:
        """Switch off after a failure, too."""
        torch.cuda.set_sync_debug_mode("default")


def no_waiting(bed: Bed) -> str:
    """Within an epoch the host never waits for the GPU."""
    needs_gpu(bed)
    for change in ({}, {"augmentation": EVERY_CHANGE}, {"micro_batch": 2}):
        network = bed.network("small vgg")
        train(network, bed.device, [Sensitivity(network), _NoWaiting()], **change)
    return "plain, augmented and in micro-batches"


def evaluation(bed: Bed) -> str:
    """Activations are the CPU's, whatever the size of a batch."""
    seen = []
    for model in bed.models:
        network = bed.network(model)
        images = random_images(network)
        wanted = compute_activations(network, images, BATCH, CPU)
        for size in (BATCH, 3):
            found = compute_activations(bed.network(model), images, size, bed.device)
            shares = [check_close(found[n], wanted[n], 1e-3, n) for n in wanted]
        seen.append(f"{model} {shares[-1]}")
    return ", ".join(seen)


def channels(bed: Bed) -> str:
    """Channels that are recorded on the device have the CPU's activations."""
    network = bed.network("small vgg")
    pieces = [np.arange(BATCH), np.arange(BATCH, TRAIN)]
    found, wanted = (
        channel_layer(
            bed.network("small vgg").to(d), "conv2",
            ImageReader(random_images(network), d).read(pieces),
        ).activations
        for d in (bed.device, CPU)
    )  # fmt: skip
    return check_close(found, wanted, 1e-3, "activations")


def sensitivity(bed: Bed) -> str:
    """Karnin's sums are the CPU's."""
    sums = []
    for place in (bed.device, CPU):
        network = bed.network("small vgg")
        sums.append(Sensitivity(network))
        train(network, place, [sums[-1]])
    found, wanted = (s.state_dict()["classifier.fc1.weight"] for s in sums)
    return check_close(found, wanted, 5e-2, "sums")


def autotune(bed: Bed) -> str:
    """Algorithms that cuDNN has timed train, too."""
    found = train(bed.network("alexnet"), bed.device, precision="bfloat16", autotune=True)
    wanted = train(bed.network("alexnet"), bed.device, precision="bfloat16")
    return check_close(found.losses, wanted.losses, 1e-2, "losses")


def latency(bed: Bed) -> str:
    """A forward pass is timed."""
    network = bed.network("alexnet")
    ((found,), (many,)) = measure_latency([network], [1, BATCH], 5, bed.device, bed.threads)
    check(found.median > 0, "no time at all")
    return f"alexnet: {1e3 * found.median:.2f} ms of 1 image, {1e3 * many.median:.2f} of {BATCH}"


def layout(bed: Bed) -> str:
    """Channels last against channels first in float32: a figure, not a condition."""
    seen = []
    images = torch.rand(BATCH, 3, *bed.network("alexnet").architecture.input_size).to(bed.device)
    for name, form in ("last", torch.channels_last), ("first", torch.contiguous_format):
        features = bed.network("alexnet").features.to(bed.device, memory_format=form)  # type: ignore[call-overload]
        values = images.to(memory_format=form)
        seconds = []
        for _ in range(4):
            started = _now(bed)
            with precision_context("float32"):
                run_features(features, values).sum().backward()
            seconds.append(_now(bed) - started)
        seen.append(f"channels {name} {1e3 * min(seconds[1:]):.2f} ms")
    return ", ".join(seen)


def _now(bed: Bed) -> float:
    """Seconds, when the device has done its work."""
    if bed.device.type == "cuda":
        torch.cuda.synchronize(bed.device)
    return time.perf_counter()


def memory(bed: Bed) -> str:
    """Peaks of this process; ``mem_mb`` of the rules knows only a CPU's. A figure, as above."""
    gpu = torch.cuda.max_memory_allocated() / 1e6 if bed.device.type == "cuda" else 0
    return f"{peak_mb():.0f} MB on the host, {gpu:.0f} MB on the GPU"


def all_checks(models: list[str]) -> dict[str, Check]:
    """Checks by name, those of the largest doubt first."""
    trainings = {
        f"training/{model}/{precision}": training_of(model, precision)
        for model in models
        for precision in TOLERANCES
    }
    rest = [
        precision_backward, optimisers, generators, streaming, resume, out_of_memory, same_twice,
        no_waiting, augmentation, evaluation, channels, sensitivity, autotune, latency, layout,
        memory,
    ]  # fmt: skip
    return {"device": device, **trainings, **{check.__name__: check for check in rest}}
