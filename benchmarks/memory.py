"""Peak memory of training by model, batch, micro-batch and normalisation, beside the estimate.

The estimate is what the rule ``train`` asks for (``mem_mb``). Every row is a new process that
trains two epochs of 128 drawn faces.
"""

import time

from benchmarks.common import Row, faces, in_new_process, write_results
from benchmarks.training import IMAGES
from neuron_pruning.models.architectures import describe, memory_mb

CASES = [
    ("alexnet", 64, None, "none"),
    ("alexnet", 128, None, "none"),
    ("alexnet", 128, 32, "none"),
    ("alexnet", 64, None, "batch"),
    ("vgg", 64, None, "none"),
    ("vgg", 128, None, "none"),
    ("vgg", 128, 32, "none"),
    ("vgg", 64, None, "batch"),
]


def main() -> None:
    """Measure every case once."""
    started, rows = time.time(), []
    faces(IMAGES)
    for model, batch_size, micro_batch, normalisation in CASES:
        job: Row = {
            "model": model, "batch_size": batch_size, "micro_batch": micro_batch,
            "normalisation": normalisation, "variant": "ours", "precision": "float32",
            "threads": 2,
        }  # fmt: skip
        architecture = describe(model, normalisation=normalisation)
        estimate = memory_mb(architecture, micro_batch or batch_size, copies=4)
        rows.append({**job, **in_new_process("training", job), "estimate_mb": estimate})
    lines = [
        "| model | batch | at once | normalisation | peak, GB | estimate, GB | images/s |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['model']} | {r['batch_size']} | {r['micro_batch'] or r['batch_size']} "
        f"| {r['normalisation']} | {r['peak_mb'] / 1e3:.1f} | {r['estimate_mb'] / 1e3:.1f} "
        f"| {r['images_per_second']:.1f} |"
        for r in rows
    ]
    write_results("memory", rows, "\n".join(lines), started)


if __name__ == "__main__":
    main()
