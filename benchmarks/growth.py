"""How time and memory grow with images, units, thresholds, seeds and jobs.

Every point is a process of its own. An exponent is that of a constant plus a power of the
size, fitted to the logarithms of the least of the repeats.
"""

import argparse
import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter

from benchmarks.common import ROOT, SCRATCH, Row, in_new_process, peak_mb, write_results

PICTURE = ROOT / "docs" / "pictures" / "growth.png"
SMALL = (128, 130)  # height and width of the images that grow in number
TITLES = {
    "split": ("images", "random split"),
    "train": ("images", "an epoch of a small VGG"),
    "evaluate": ("images", "evaluation of a small VGG"),
    "angles of patterns": ("patterns", "angles and selection, 100 units"),
    "angles of units": ("units", "angles and selection, 540 patterns"),
    "thresholds": ("thresholds", "selections of a 100-unit layer"),
    "dry run": ("seeds", "snakemake -n, 19 jobs a seed"),
}
SIZES = {
    "split": [675, 2_000, 6_000, 18_000, 50_000],
    "train": [675, 2_000, 6_000, 18_000, 50_000],
    "evaluate": [675, 2_000, 6_000, 18_000, 50_000],
    "angles of patterns": [540, 1_600, 5_000, 16_000, 40_000],
    "angles of units": [100, 320, 1_000, 3_200, 10_240],
    "thresholds": [1, 3, 10, 30, 100],
    "dry run": [1, 5, 17, 53, 170, 526],
}


def sparse_patterns(images: int) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Sparse map of so many small images, all rows, and classes."""
    from neuron_pruning.data.images import open_array

    SCRATCH.mkdir(parents=True, exist_ok=True)
    path = SCRATCH / f"small-{images}.npy"
    np.lib.format.open_memmap(path, "w+", np.uint8, (images, *SMALL, 3))
    return open_array(path), np.arange(images), np.arange(images) % 7


def small_network() -> "object":
    """VGG with few kernels and the paper's 100-unit layer."""
    from neuron_pruning import build_network

    return build_network("vgg", SMALL, [100, 100, 7], [8, 8, 8, 16, 16, 16, 32])


def measure_split(images: int) -> Callable[[], object]:
    """Random split of so many labels."""
    from neuron_pruning.data.splits import SplitSettings, divide_images

    labels = [str(k % 7) for k in range(images)]
    return lambda: divide_images(labels, labels, SplitSettings(), 0)


def measure_train(images: int) -> Callable[[], object]:
    """One epoch."""
    from neuron_pruning.core.devices import choose_device
    from neuron_pruning.data.images import Patterns
    from neuron_pruning.training.loop import train_network
    from neuron_pruning.training.settings import TrainingSettings

    array, rows, classes = sparse_patterns(images)
    train, test = Patterns(array, rows, classes), Patterns(array, rows[:1], classes[:1])
    device, settings = choose_device(cores()), TrainingSettings(0.0005, 64, 0, epochs=1)
    network = small_network()
    return lambda: train_network(network, train, test, settings, device)


def measure_evaluate(images: int) -> Callable[[], object]:
    """Activations of every layer for all images."""
    from neuron_pruning.core.devices import choose_device
    from neuron_pruning.evaluation.inference import compute_activations

    array, _, _ = sparse_patterns(images)
    device, network = choose_device(cores()), small_network()
    return lambda: compute_activations(network, array, 64, device)


def measure_angles(patterns: int, units: int) -> Callable[[], object]:
    """Selection at 10 degrees from activations of random sigmoids."""
    from neuron_pruning.pruning.redundancy import select_units

    random = np.random.default_rng(0)
    activations = 1 / (1 + np.exp(-random.standard_normal((patterns, units), dtype=np.float32)))
    return lambda: select_units(activations, 10)


def measure_thresholds(count: int) -> Callable[[], object]:
    """Selections at so many angles from 1 to 90 degrees."""
    from neuron_pruning.pruning.redundancy import select_units

    activations = np.random.default_rng(0).random((540, 100))
    return lambda: [select_units(activations, angle) for angle in np.linspace(1, 90, count)]


def measure_dry_run(seeds: int) -> Callable[[], object]:
    """Snakemake's own work before the first job."""
    from benchmarks.jobs import snakemake, write_overlay

    overlay = write_overlay({"experiment": "bench", "seeds": list(range(seeds))})
    return lambda: snakemake("-n", "--configfile", "config.yaml", overlay)


MEASURES: dict[str, Callable[[int], Callable[[], object]]] = {
    "split": measure_split,
    "train": measure_train,
    "evaluate": measure_evaluate,
    "angles of patterns": lambda size: measure_angles(size, 100),
    "angles of units": lambda size: measure_angles(540, size),
    "thresholds": measure_thresholds,
    "dry run": measure_dry_run,
}


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run_job(job: Row) -> Row:
    """Seconds and peak memory of one point."""
    work = MEASURES[job["what"]](job["size"])
    started = time.perf_counter()
    work()
    return {"seconds": time.perf_counter() - started, "peak_mb": peak_mb()}


@dataclass(frozen=True)
class Growth:
    """constant + factor * size ** exponent."""

    constant: float
    factor: float
    exponent: float

    def __call__(self, size: np.ndarray) -> np.ndarray:
        """Values at ``size``."""
        return self.constant + self.factor * size**self.exponent


def fit(sizes: np.ndarray, values: np.ndarray) -> Growth:
    """Least squares of the logarithms; the constant keeps a start-up cost out of the exponent."""
    from scipy.optimize import least_squares

    def residuals(p: np.ndarray) -> np.ndarray:
        return np.log(np.exp(p[0]) + np.exp(p[1]) * sizes ** p[2]) - np.log(values)

    slope = np.log(values[-1] / values[-2]) / np.log(sizes[-1] / sizes[-2])
    first = [np.log(values[0] / 2), np.log(values[-1]) - slope * np.log(sizes[-1]), slope]
    lowest, highest = [-20, -60, 0], [np.log(values[0]), 20, 4]
    found = least_squares(residuals, np.clip(first, lowest, highest), bounds=(lowest, highest))
    constant, factor, exponent = found.x
    return Growth(float(np.exp(constant)), float(np.exp(factor)), float(exponent))


def best(rows: list[Row], what: str) -> pd.DataFrame:
    """Least seconds and memory of the repeats, one row per size."""
    table = pd.DataFrame(rows)
    of_it = table[table["what"] == what].groupby("size")[["seconds", "peak_mb"]]
    return of_it.min().reset_index()


def growth_text(table: pd.DataFrame, name: str) -> str:
    """Exponent, or that nothing grows: less than a fifth from the smallest to the largest."""
    values = table[name].to_numpy()
    if values[-1] < 1.2 * values[0]:
        return "constant"
    return f"{fit(table['size'].to_numpy(float), values).exponent:.2f}"


def report(rows: list[Row]) -> str:
    """Smallest and largest size with their figures, and the exponents."""
    lines = [
        "| what grows | from - to | seconds | exponent | peak memory, MB | exponent |",
        "|---|---|---|---|---|---|",
    ]
    for what, (unit, title) in TITLES.items():
        least = best(rows, what)
        first, last = least.iloc[0], least.iloc[-1]
        lines.append(
            f"| {title} | {first['size']:,.0f} - {last['size']:,.0f} {unit} "
            f"| {first['seconds']:.2g} - {last['seconds']:.2g} | {growth_text(least, 'seconds')} "
            f"| {first['peak_mb']:,.0f} - {last['peak_mb']:,.0f} "
            f"| {growth_text(least, 'peak_mb')} |"
        )
    return "\n".join(lines)


def draw(rows: list[Row], path: Path) -> None:
    """Log-log plots and fitted curves: seconds above, memory below, one column per question."""
    import matplotlib.pyplot as plt

    figure, places = plt.subplots(4, 4, figsize=(11, 10.5))
    for number, (what, (unit, title)) in enumerate(TITLES.items()):
        least = best(rows, what)
        upper = 2 * (number // 4)
        for row, (name, label) in enumerate({"seconds": "s", "peak_mb": "MB"}.items()):
            axes = places[upper + row, number % 4]
            draw_growth(axes, least["size"].to_numpy(float), least[name].to_numpy())
            text = growth_text(least, name)
            axes.set_title(
                f"{title if row == 0 else 'peak memory'}\n"
                f"{text if text == 'constant' else 'exponent ' + text}",
                fontsize=9,
            )
            axes.set_xlabel(unit, fontsize=9)
            axes.set_ylabel(label, fontsize=9)
    for row in (2, 3):
        places[row, 3].axis("off")
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def draw_growth(axes: Axes, sizes: np.ndarray, values: np.ndarray) -> None:
    """Measured points and the fitted curve, over one decade at least."""
    axes.loglog(sizes, values, "o", color="0.1", markersize=5)
    if values[-1] >= 1.2 * values[0]:
        curve = np.geomspace(sizes[0], sizes[-1], 100)
        axes.loglog(curve, fit(sizes, values)(curve), color="0.5", zorder=0)
    low, high = values.min(), values.max()
    middle = np.sqrt(low * high)
    half = max(high / low, 10.0) ** 0.5 * 1.5
    axes.set_ylim(middle / half, middle * half)
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.grid(True, which="major", color="0.88")


def main() -> None:
    """Measure, or run the one job that a parent asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", type=json.loads)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    if arguments.job is not None:
        print(json.dumps(run_job(arguments.job)))
        return
    started = time.time()
    rows = []
    for what, sizes in SIZES.items():
        for size in sizes:
            for repeat in range(arguments.repeats):
                job = {"what": what, "size": size, "repeat": repeat}
                rows.append({**job, **in_new_process("growth", job)})
                print(rows[-1], flush=True)
    draw(rows, PICTURE)
    write_results("growth", rows, report(rows), started)


if __name__ == "__main__":
    main()
