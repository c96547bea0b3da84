"""Images a second of training: the workflow against the plain loop, side by side.

Each repeat is a new process that trains two epochs of the same batches from the same initial
weights; the second is timed. The variants take turns, so that a busy machine slows both. An epoch
of one pass is over before a GPU has left its idle clocks: there, ``--passes`` makes it longer.

``plain float32`` convolves in full float32; ``plain tf32`` is PyTorch's default on a GPU, where
convolutions, unlike other products, are in TF32. ``plain tuned`` decodes once and runs channels
last, ``plain compiled`` is that through ``torch.compile``; ratios are to the loop without either.
"""

import argparse
import json
import os
import time
from itertools import product
from subprocess import CalledProcessError
from typing import TYPE_CHECKING

import numpy as np

from benchmarks.common import Row, faces, in_new_process, labels, peak_mb, summarise, write_results
from neuron_pruning.models.architectures import Normalisation, describe

if TYPE_CHECKING:
    from neuron_pruning import Network

IMAGES = 128
SEED = 0
LEARNING_RATE = 0.0005
TUNED = ("tuned", "compiled")
KEYS = ["model", "batch_size", "variant", "precision", "repeat"]


def train_ours(job: Row) -> Row:
    """Two epochs by the workflow's own training."""
    from neuron_pruning.core.devices import choose_device
    from neuron_pruning.data.images import Patterns, open_array
    from neuron_pruning.training.loop import train_network
    from neuron_pruning.training.sensitivity import Sensitivity
    from neuron_pruning.training.settings import TrainingSettings

    images = job.get("images", IMAGES)
    folder, array = faces(images)
    device = choose_device(job["threads"])
    rows = np.tile(np.arange(images), job.get("passes", 1))
    classes = labels(folder)[rows]
    settings = TrainingSettings(
        LEARNING_RATE, job["batch_size"], SEED, epochs=2, precision=job["precision"],
        micro_batch=job.get("micro_batch"), autotune=job.get("autotune", False),
    )  # fmt: skip
    train = Patterns(open_array(array), rows, classes)
    test = Patterns(train.array, rows[:1], classes[:1])
    network = build_initial(job["model"], job.get("normalisation", "none"))
    callbacks = [Sensitivity(network)] if job.get("sensitivity") else []
    history = train_network(network, train, test, settings, device, callbacks)
    return {"losses": [e.train_loss for e in history], "seconds": history[-1].seconds}


def train_reference(job: Row) -> Row:
    """Two epochs by the plain loop, from the same weights and over the same batches."""
    import torch

    from benchmarks import plain_loop
    from neuron_pruning.core.seeds import derive_seed

    torch.set_num_threads(job["threads"])
    images = job.get("images", IMAGES)
    folder, _ = faces(images)
    network = plain_loop.PLAIN[job["model"]](7)
    ours = build_initial(job["model"]).state_dict()
    network.load_state_dict(dict(zip(network.state_dict(), ours.values(), strict=True)))
    shuffle = np.random.default_rng(derive_seed(SEED, "shuffle"))
    epoch = images * job.get("passes", 1)
    orders = [(shuffle.permutation(epoch) % images).tolist() for _ in range(2)]
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.backends.cudnn.allow_tf32 = job["precision"] == "tf32"
    data, workers = plain_loop.decoded_each_epoch(folder), job["threads"]
    if job["precision"] in TUNED:
        data, workers = plain_loop.decoded_once(folder), 0
        network = plain_loop.in_channels_last(network, job["precision"] == "compiled")
    epochs = plain_loop.train_plain(
        network, data, orders, job["batch_size"], LEARNING_RATE, workers, device
    )
    return {"losses": [loss for loss, _ in epochs], "seconds": epochs[-1][1]}


def build_initial(model: str, normalisation: Normalisation = "none") -> "Network":
    """The network that both variants start from."""
    from neuron_pruning.models.initialisation import InitialisationSettings, initialise_network

    architecture = describe(model, normalisation=normalisation)
    return initialise_network(architecture, InitialisationSettings(), SEED)


def run_job(job: Row) -> Row:
    """One repeat: speed, losses, and memory of the process and of the GPU."""
    train = train_ours if job["variant"] == "ours" else train_reference
    found = train(job)
    import torch

    cuda = torch.cuda.is_available()
    return {
        "images_per_second": job.get("images", IMAGES) * job.get("passes", 1) / found["seconds"],
        "loss_1": found["losses"][0],
        "loss_2": found["losses"][1],
        "peak_mb": peak_mb(),
        "device_peak_mb": torch.cuda.max_memory_allocated() / 1e6 if cuda else None,
    }


def jobs(arguments: argparse.Namespace) -> list[Row]:
    """All repeats, plain and ours in turn."""
    variants = [("plain", p) for p in arguments.plain]
    variants += [("ours", p) for p in arguments.precisions]
    grid = product(range(arguments.repeats), arguments.models, arguments.batch_sizes, variants)
    return [
        {"model": model, "batch_size": batch_size, "variant": variant, "precision": precision,
         "repeat": repeat, "threads": arguments.threads, "autotune": arguments.autotune,
         "images": arguments.images, "passes": arguments.passes,
         "sensitivity": arguments.sensitivity}
        for repeat, model, batch_size, (variant, precision) in grid
    ]  # fmt: skip


def finished(job: Row) -> Row:
    """The job with what it measured, or with why it failed."""
    try:
        return {**job, **in_new_process("training", job), "error": None}
    except CalledProcessError as error:
        return {**job, "error": f"exit status {error.returncode}"}


def report(rows: list[Row]) -> str:
    """Medians, spread, and ratios to the plain loop of the same repeat; then what failed."""
    failed = [row for row in rows if row.get("error")]
    measured = [row for row in rows if not row.get("error")]
    lines = [*(speed_table(measured) if measured else ()), ""]
    for row in failed:
        lines.append(f"Failed, {row['error']}: {', '.join(str(row[k]) for k in KEYS)}.\n")
    return "\n".join(lines).rstrip()


def speed_table(rows: list[Row]) -> list[str]:
    """Lines of the table of what was measured."""
    by = ["model", "batch_size", "variant", "precision"]
    speed = summarise(rows, by, "images_per_second").sort_values(by[:2], kind="stable")
    memory = summarise(rows, by, "peak_mb").set_index(by)["max"]
    lines = [
        "| model | batch | variant | images/s, median (range) | x plain, median (range) "
        "| loss of epochs 1, 2 | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for _, row in speed.iterrows():
        key = tuple(row[name] for name in by)
        of_it = [r for r in rows if tuple(r[name] for name in by) == key]
        ratios = sorted(r["images_per_second"] / plain_of(rows, r) for r in of_it)
        ratio = f"{np.median(ratios):.2f} ({ratios[0]:.2f}-{ratios[-1]:.2f})"
        lines.append(
            f"| {row['model']} | {row['batch_size']} | {row['variant']} {row['precision']} "
            f"| {row['median']:.1f} ({row['min']:.1f}-{row['max']:.1f}) "
            f"| {'-' if np.isnan(ratios).any() else ratio} "
            f"| {of_it[0]['loss_1']:.5f}, {of_it[0]['loss_2']:.5f} "
            f"| {memory[key] / 1000:.1f} GB{gpu_memory(of_it)} |"
        )
    return lines


def gpu_memory(rows: list[Row]) -> str:
    """Peak memory of the GPU, where there is one."""
    peaks = [row["device_peak_mb"] for row in rows if row["device_peak_mb"] is not None]
    return f", GPU {max(peaks) / 1000:.1f} GB" if peaks else ""


def plain_of(rows: list[Row], row: Row) -> float:
    """Speed of the plain loop in the same repeat, the faster of two; nan if it did not run."""
    same = [r for r in rows if r["variant"] == "plain" and r["precision"] not in TUNED]
    keys = ("model", "batch_size", "repeat")
    speeds = [r["images_per_second"] for r in same if all(r[k] == row[k] for k in keys)]
    return float(max(speeds, default=np.nan))


def main() -> None:
    """Measure, or run the one job that a parent asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", type=json.loads)
    parser.add_argument("--name", default="training")
    parser.add_argument("--models", nargs="+", default=["alexnet", "vgg"])
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[64, 128])
    parser.add_argument("--precisions", nargs="+", default=["float32"])
    parser.add_argument(
        "--plain", nargs="*", default=["float32"], choices=["float32", "tf32", *TUNED]
    )
    parser.add_argument("--autotune", action="store_true", help="cuDNN times its algorithms")
    parser.add_argument("--sensitivity", action="store_true", help="gathered, as jobs do")
    parser.add_argument("--images", type=int, default=IMAGES)
    parser.add_argument("--passes", type=int, default=1, help="over the images in an epoch")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    if arguments.job is not None:
        print(json.dumps(run_job(arguments.job)))
        return
    started = time.time()
    faces(arguments.images)
    rows: list[Row] = []
    for job in jobs(arguments):
        rows.append(finished(job))
        print({k: rows[-1].get(k) for k in [*KEYS, "images_per_second", "error"]}, flush=True)
        # Now, because what comes later may fail or run out of time.
        write_results(arguments.name, rows, report(rows), started, show=False)
    print(report(rows))
    if any(row["error"] for row in rows):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
