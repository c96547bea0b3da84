"""What was run: versions, devices and times."""

import json
import platform
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pandas as pd

PACKAGES = [
    *("snakemake", "torch", "torchvision", "numpy", "pandas", "pyarrow", "safetensors", "mlflow"),
    *("opencv-python-headless", "scikit-learn", "statsmodels", "matplotlib", "jinja2"),
]
PAGES = ("build_report", "build_comparison_report")
TRAINING_KEYS = ["model", "learning_rate", "batch_size", "seed"]


def provenance(speed: pd.DataFrame, benchmarks: Path, commit: str) -> dict[str, Any]:
    """What a reader needs to run the same again; ``speed``: rows of speed.parquet."""
    return {
        "commit": commit,
        "python": platform.python_version(),
        "packages": package_versions(),
        "devices": sorted(set(speed["device"])),
        "precisions": sorted(set(speed["precision"])),
        "runs": len(speed.drop_duplicates(TRAINING_KEYS)),
        "seconds": speed["seconds"].sum(),
        "stages": job_seconds(benchmarks),
    }


def package_versions() -> dict[str, str | None]:
    """Versions of what the results depend on."""
    return {package: installed_version(package) for package in PACKAGES}


def installed_version(package: str) -> str | None:
    """Version of what the results depend on; nothing is imported for it."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def job_seconds(benchmarks: Path) -> dict[str, tuple[int, float]]:
    """Number of jobs and their seconds by stage, from Snakemake's measurements."""
    stages: dict[str, tuple[int, float]] = {}
    for file in sorted(benchmarks.rglob("*.jsonl")):
        stage = file.relative_to(benchmarks).parts[0].removesuffix(".jsonl")
        if stage not in PAGES:  # an earlier page would change the next one
            jobs, seconds = stages.get(stage, (0, 0.0))
            stages[stage] = (jobs + 1, seconds + measured_seconds(file))
    return dict(sorted(stages.items(), key=lambda item: -item[1][1]))


def measured_seconds(file: Path) -> float:
    """Seconds of one job; a line that a killed Snakemake left half-written counts nothing."""
    total = 0.0
    for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
        with suppress(ValueError, KeyError, TypeError):
            total += float(json.loads(line)["s"])
    return total
