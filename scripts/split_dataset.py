"""Divide the images into a training and a test part, per seed."""

from pathlib import Path

from adapter import Mirrored, run_job
from neuron_pruning.records import read_rows, write_rows
from neuron_pruning.splits import SPLIT_SCHEMA, split_images


def split_dataset(
    index: Path, split: Path, protocol: str, test_fraction: float, seed: int
) -> Mirrored:
    """Write one row an image."""
    images = read_rows(index)
    kind = protocol if protocol in ("clip", "movie") else "image"
    labels, groups = [i["label"] for i in images], [i[kind] for i in images]
    test = split_images(labels, groups, protocol, test_fraction, seed)
    rows = [
        {
            "position": image["position"],
            "image": image["image"],
            "label": image["label"],
            "group": group,
            "part": "test" if is_test else "train",
        }
        for image, group, is_test in zip(images, groups, test.tolist(), strict=True)
    ]
    write_rows(split, rows, SPLIT_SCHEMA, {"seed": seed, "protocol": protocol})
    return Mirrored(metrics={"train_images": int((~test).sum()), "test_images": int(test.sum())})


if "snakemake" in globals():
    run_job(snakemake, split_dataset)  # noqa: F821
