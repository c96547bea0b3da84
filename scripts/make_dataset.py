"""Write a data set that the config names as a folder of images per class."""

from pathlib import Path

from neuron_pruning.data.named_datasets import Part, write_dataset
from runtime.job_adapter import TrackedResult, run_job


def make_dataset(folder: Path, name: str, part: Part) -> TrackedResult:
    """Write the images of one part under ``folder``."""
    return TrackedResult(metrics={"images": write_dataset(name, part, folder)})


if "snakemake" in globals():
    run_job(globals()["snakemake"], make_dataset)
