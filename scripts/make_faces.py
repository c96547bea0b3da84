"""Draw the built-in faces."""

from functools import partial
from pathlib import Path

from tqdm import tqdm

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
    settings = FacesSettings(seed, counts, width, height, movies)
    bar = partial(tqdm, total=sum(counts.values()), desc="faces", disable=None, leave=False)
    written = write_faces(settings, folder, processes=threads, progress=bar)
    return TrackedResult(metrics={"images": len(written)})


if "snakemake" in globals():
    run_job(globals()["snakemake"], make_faces)
