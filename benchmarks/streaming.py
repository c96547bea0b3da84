"""Training from a data set larger than memory: 50,000 images of 576 x 720 in a sparse map.

The map takes no disk, and reading its holes costs what reading cached pages costs: what is
measured is what streaming itself costs, without the disk. The same number of random images is
drawn from the large map and from a small one; the two take turns.
"""

import argparse
import json
import os
import time

import numpy as np

from benchmarks.common import SCRATCH, Row, in_new_process, peak_mb, summarise, write_results

IMAGES = 128  # of an epoch
STORED = {"50,000 images, 62 GB": 50_000, "128 images, 0.2 GB": 128}
REPEATS = 3


def run_job(job: Row) -> Row:
    """Two epochs over random images of a sparse map; the second is timed."""
    from neuron_pruning import build_network
    from neuron_pruning.core.devices import choose_device
    from neuron_pruning.data.images import Patterns, open_array
    from neuron_pruning.training.loop import train_network
    from neuron_pruning.training.settings import TrainingSettings

    path = SCRATCH / f"sparse-{job['stored']}.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (job["stored"], 576, 720, 3))
    array = open_array(path)
    rows = np.random.default_rng(0).permutation(job["stored"])[:IMAGES]
    train = Patterns(array, rows, np.arange(IMAGES) % 7)
    test = Patterns(array, rows[:1], np.array([0]))
    settings = TrainingSettings(0.0005, 64, seed=0, epochs=2)
    device = choose_device(len(os.sched_getaffinity(0)))
    last = train_network(build_network(job["model"]), train, test, settings, device)[-1]
    return {"images_per_second": last.images_per_second, "peak_mb": peak_mb()}


def report(rows: list[Row]) -> str:
    """Speed and memory, from the large and from the small map."""
    speed = summarise(rows, ["model", "map"], "images_per_second")
    memory = summarise(rows, ["model", "map"], "peak_mb")["max"]
    lines = ["| model | map | images/s, median (range) | peak memory |", "|---|---|---|---|"]
    for (_, row), peak in zip(speed.iterrows(), memory, strict=True):
        lines.append(
            f"| {row['model']} | {row['map']} | {row['median']:.1f} "
            f"({row['min']:.1f}-{row['max']:.1f}) | {peak / 1000:.1f} GB |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, or run the one job that a parent asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", type=json.loads)
    job = parser.parse_args().job
    if job is not None:
        print(json.dumps(run_job(job)))
        return
    started = time.time()
    SCRATCH.mkdir(parents=True, exist_ok=True)
    rows = []
    for repeat in range(REPEATS):
        for name, stored in STORED.items():
            job = {"model": "alexnet", "map": name, "stored": stored, "repeat": repeat}
            rows.append({**job, **in_new_process("streaming", job)})
    write_results("streaming", rows, report(rows), started)


if __name__ == "__main__":
    main()
