"""What the benchmarks share: images, fresh processes, and results as Parquet and Markdown."""

import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT / "scripts"))

RESULTS = Path(os.environ.get("BENCHMARK_RESULTS", HERE / "results"))  # a rehearsal's lie elsewhere
SCRATCH = ROOT / "results" / "bench"
PACKAGES = (
    "torch", "torchvision", "torch-pruning", "numpy", "scipy", "pyarrow", "mlflow", "snakemake",
)  # fmt: skip
Row = dict[str, Any]


def machine() -> str:
    """Processor, cores, memory and GPUs, in words."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    cores = len(os.sched_getaffinity(0))
    parts = [f"{cores} cores of {_processor()}", f"{memory:.0f} GB"]
    gpus = subprocess_text("nvidia-smi", "--query-gpu=name", "--format=csv,noheader")
    return ", ".join([*parts, *(gpus.split("\n") if gpus else ["no GPU"])])


def _processor() -> str:
    """Model and family of the processor as the kernel names it."""
    info = Path("/proc/cpuinfo")
    fields = dict(
        [part.strip() for part in line.split(":", 1)]
        for line in (info.read_text().split("\n\n")[0].splitlines() if info.exists() else [])
        if ":" in line
    )
    name = fields.get("model name", platform.machine())
    numbers = f"family {fields.get('cpu family')} model {fields.get('model')}"
    return f"{name}, {numbers}" if fields else name


def versions() -> str:
    """Python and the packages that the figures depend on."""
    return ", ".join([f"Python {platform.python_version()}", *map(_version, PACKAGES)])


def _version(package: str) -> str:
    """Name and version of a package, or that a bare machine lacks it."""
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} absent"


def subprocess_text(*command: str) -> str:
    """What a command prints; nothing where it is not there or fails."""
    try:
        process = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return process.stdout.strip() if process.returncode == 0 else ""


def in_new_process(module: str, job: Mapping[str, Any]) -> Row:
    """What ``python -m benchmarks.MODULE --job`` prints last, from a process of its own.

    Raises:
        CalledProcessError: the process failed.
    """
    command = [sys.executable, "-m", f"benchmarks.{module}", "--job", json.dumps(job)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT)
    result: Row = json.loads(process.stdout.strip().splitlines()[-1])
    return result


def peak_mb() -> float:
    """Largest resident memory so far of this process and of its largest child, MB."""
    kinds = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(kind).ru_maxrss for kind in kinds) * 1024 / 1e6


def faces(images: int) -> tuple[Path, Path]:
    """Folder of drawn faces, 720 x 576, and the array prepared from them."""
    folder = SCRATCH / f"faces-{images}"
    array = folder.with_suffix(".npy")
    if not array.exists():  # drawing and reading need packages that a bare machine may lack
        from neuron_pruning.core.array_store import write_rows_of
        from neuron_pruning.data.drawn_faces import EXPRESSIONS, FacesSettings, write_faces
        from neuron_pruning.data.image_folder import list_images
        from neuron_pruning.data.index import upright_rgb

        counts = {name: len(range(k, images, 7)) for k, name in enumerate(EXPRESSIONS)}
        cores = len(os.sched_getaffinity(0))
        write_faces(FacesSettings(0, counts, 720, 576, movies=14), folder, processes=cores)
        paths = list_images(folder)

        def look(row: int) -> np.ndarray:
            return np.asarray(upright_rgb(paths[row]))

        with TemporaryDirectory(dir=SCRATCH) as kept:
            write_rows_of(array, [*map(str, paths)], (576, 720), look, Path(kept), cores)
    return folder, array


def labels(folder: Path) -> np.ndarray:
    """Class number of every image in the order of the array."""
    return np.repeat(
        np.arange(7), [len(list(c.iterdir())) for c in sorted(p for p in folder.iterdir())]
    )


def summarise(rows: Sequence[Row], by: Sequence[str], value: str) -> pd.DataFrame:
    """Median, smallest, largest and number of ``value`` for each combination of ``by``."""
    groups = pd.DataFrame(rows).groupby(list(by), sort=False)[value]
    return groups.agg(["median", "min", "max", "count"]).reset_index()


def write_results(
    name: str, rows: Iterable[Row], text: str, started: float, *, show: bool = True
) -> None:
    """``benchmarks/results/NAME.parquet`` with every row, and ``NAME.md`` to read and to show."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = Path(sys.argv[0])
    module = file.parent.name if file.stem == "__main__" else file.stem
    command = " ".join(["python -m", f"benchmarks.{module}", *sys.argv[1:]])
    about = {"machine": machine(), "versions": versions(), "date": time.strftime("%Y-%m-%d")}
    pd.DataFrame([{**row, **about} for row in rows]).to_parquet(RESULTS / f"{name}.parquet")
    head = (
        f"`{command}`, {about['date']}, {(time.time() - started) / 60:.1f} min.\n"
        f"Machine: {about['machine']}.\nVersions: {about['versions']}.\n"
        f"Every repeat is in `{name}.parquet`.\n"
    )
    (RESULTS / f"{name}.md").write_text(f"# {name}\n\n{head}\n{text}\n", encoding="utf-8")
    if show:
        print(f"\n{head}\n{text}")
