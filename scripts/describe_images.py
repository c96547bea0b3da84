"""Describe every image by its texture and shape: LPQ and PHOG."""

from pathlib import Path

from neuron_pruning.baselines.descriptors import DescriptorSettings, describe_images, write_features
from neuron_pruning.core.parquet import read_rows
from neuron_pruning.data.images import open_array
from runtime.job_adapter import TrackedResult, run_job


def describe_dataset(
    array: Path,
    index: Path,
    features: Path,
    window: int,
    blocks: list[int],
    levels: int,
    bins: int,
    threads: int = 1,
) -> TrackedResult:
    """Write one row per image of ``array``."""
    rows, columns = blocks
    settings = DescriptorSettings(window, (rows, columns), levels, bins)
    images = [row["image"] for row in read_rows(index, ["image"])]
    write_features(features, images, describe_images(open_array(array), settings, threads))
    return TrackedResult(metrics={"images": len(images)})


if "snakemake" in globals():
    run_job(globals()["snakemake"], describe_dataset)
