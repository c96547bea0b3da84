"""Draw the built-in faces."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from neuron_pruning.data.drawn_faces import FacesSettings, write_faces
from runtime.job_adapter import TrackedResult, run_job


def make_faces(
    folder: Path,
    seed: int,
    counts: dict[str, int],
    width: int,
    height: int,
    movies: int,
    threads: int = 1,
) -> TrackedResult:
    """Write the images of all classes under ``folder``."""
    from tqdm import tqdm

    settings = FacesSettings(seed, counts, width, height, movies)

    def progress(plans: Iterable[Any]) -> Iterable[Any]:
        return tqdm(plans, total=sum(counts.values()), desc="faces", disable=None, leave=False)

    written = write_faces(settings, folder, processes=threads, progress=progress)
    return TrackedResult(metrics={"images": len(written)})


if "snakemake" in globals():
    run_job(globals()["snakemake"], make_faces)
