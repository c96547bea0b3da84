"""What pruning any network costs, and what it keeps beside torch-pruning's own pruner.

Large layers, memory by the number of images, statistics against a plain pass, a ResNet-50, each in
a process of its own with random images. Given a folder with ``cifar_resnet.py``, its weights and
CIFAR-10 as JPEG in ``cifar10/{train,test}/CLASS``, also ResNet-20 and ResNet-56, pruned by both
libraries without training::

    python -m benchmarks.any_network --cifar FOLDER

CPU seconds are of the process; on a machine with other work they hardly suffer from it.
"""

import argparse
import copy
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch_pruning as tp
import torchvision
from threadpoolctl import threadpool_limits
from torch import nn

from benchmarks.common import RESULTS, Row, in_new_process, peak_mb, write_results
from neuron_pruning import prune
from neuron_pruning.any_network.allocation import global_counts
from neuron_pruning.any_network.batch_norm import reestimate
from neuron_pruning.any_network.batches import Batches
from neuron_pruning.any_network.evaluation import predict
from neuron_pruning.any_network.images import image_batches
from neuron_pruning.any_network.options import BatchNormRule, Method
from neuron_pruning.any_network.preprocessing import Preprocessing
from neuron_pruning.any_network.pruner import Pruner
from neuron_pruning.any_network.sources import open_network
from neuron_pruning.any_network.unit_layers import FoundLayers, find_unit_layers

UNITS = 10_240
HALF = UNITS // 2
# The last takes degrees: random units are nearly at right angles.
FITTED = Method("l1", compensation="lstsq", batch_norm="keep")
LARGE = {"l1": HALF, "variance": HALF, "random": HALF, "distinctiveness": 85}
CIFAR = ("resnet56", "resnet20")
DRAWS, CALIBRATION, TEST = 3, 256, 1_000
ACROSS = ("uniform", "global")
RULES: tuple[BatchNormRule, ...] = ("keep", "reestimate")
OURS = [("l1", "none"), ("l1", "lstsq"), ("l1", "lstsq_patches"), ("random", "lstsq")]
KEYS = ["by", "technique", "compensation", "across", "units", "batch_norm"]
COLUMNS = {
    "large": ["images", "pass", *LARGE, "distinctiveness, units", "peak_mb", "load"],
    "memory": ["images", "seconds", "cpu_seconds", "peak_mb", "load"],
    "passes": ["network", "images", "plain", "statistics", "ratio", "load"],
    "cut": ["network", "images", "threads", "pass_seconds", "seconds", "cpu_seconds", "load"],
}


NOTE = (
    "CPU seconds, but `seconds` and `pass_seconds`, which are of wall time. Parts that the command "
    "leaves out (`--only`) were measured by earlier runs."
)


@dataclass(frozen=True)
class RandomImages:
    """So many random images in batches, made when they are asked for and never held."""

    images: int
    shape: tuple[int, int, int]
    batch: int

    def __iter__(self) -> Iterator[Any]:
        generator = torch.Generator().manual_seed(0)
        for start in range(0, self.images, self.batch):
            count = min(self.batch, self.images - start)
            yield torch.randn((count, *self.shape), generator=generator)


def network_of(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """A network with random weights and the shape of its images."""
    torch.manual_seed(0)
    if name == "wide":
        wide = [nn.Flatten(), nn.Linear(784, UNITS), nn.ReLU(), nn.Linear(UNITS, 10)]
        return nn.Sequential(*wide).eval(), (1, 28, 28)
    if name in CIFAR:
        import cifar_resnet

        return getattr(cifar_resnet, name)().eval(), (3, 32, 32)
    return getattr(torchvision.models, name)().eval(), (3, 224, 224)


def pruner_of(name: str, images: int, batch: int) -> Pruner:
    """A pruner of a network with random weights on random images."""
    network, shape = network_of(name)
    found = find_unit_layers(network, torch.randn(1, *shape))
    images_ = RandomImages(images, shape, batch)
    return Pruner(network, found, Batches(images_, 0.0, torch.device("cpu")))


def timed(work: Callable[[], Any]) -> Row:
    """Seconds of a piece of work."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - wall, "cpu_seconds": time.process_time() - cpu}


def measure_large(job: Row) -> Row:
    """A layer of 10,240 units: measured, then cut and compensated with least squares."""
    pruner = pruner_of("wide", job["images"], 256)
    (name,) = pruner.found.layers
    row = {"pass": timed(lambda: pruner.session(FITTED).measure([name]))["cpu_seconds"]}
    for technique, amount in LARGE.items():
        method = replace(FITTED, technique=technique)
        started = time.process_time()
        removed = pruner.cut({name: amount}, method).removed[name]
        row |= {technique: time.process_time() - started, f"{technique}, units": len(removed)}
    return row


def measure_memory(job: Row) -> Row:
    """``prune`` from end to end."""
    network, _ = network_of("resnet18")
    loader = RandomImages(job["images"], (3, 32, 32), 128)
    return timed(lambda: prune(network, loader, amount=0.5, compensation="lstsq", random_draws=0))


def measure_passes(job: Row) -> Row:
    """Statistics of all layers and a plain pass over the same images, in turns."""
    given = pruner_of(job["network"], job["images"], job["batch"])
    batches = list(given.batches.calibration())
    plain, statistics = [], []

    @torch.no_grad()
    def forward() -> None:
        for images in batches:
            given.model(images)

    for _ in range(job["repeats"]):
        plain.append(timed(forward)["cpu_seconds"])
        session = Pruner(given.model, given.found, given.batches).session(FITTED)
        measured = timed(partial(session.measure, given.found.inner))
        statistics.append(measured["cpu_seconds"])
    least = {"plain": min(plain), "statistics": min(statistics)}
    return {**least, "ratio": least["statistics"] / least["plain"]}


def measure_cut(job: Row) -> Row:
    """Half of the inner channels, beyond the passes over the images."""
    pruner = pruner_of(job["network"], job["images"], job["batch"])
    passes = timed(lambda: pruner.session(FITTED).measure(pruner.found.inner))
    counts = {name: pruner.found[name].units // 2 for name in pruner.found.inner}
    row = timed(lambda: pruner.cut(counts, FITTED))
    return {**row, "pass_seconds": passes["seconds"]}


MEASURES: dict[str, Callable[[Row], Row]] = {
    "large": measure_large, "memory": measure_memory, "passes": measure_passes,
    "cut": measure_cut,
}  # fmt: skip
PARTS = (*MEASURES, "beside")


def jobs(cifar: bool) -> Iterator[Row]:
    """All that is measured in processes of their own."""
    for images in (1_024, 12_288):  # fewer than units, and more
        yield {"what": "large", "images": images, "threads": 1}
    for images in (256, 10_000):
        yield {"what": "memory", "images": images, "threads": 1}
    for name in CIFAR if cifar else ():
        yield {
            "what": "passes", "network": name, "images": 256, "batch": 128, "repeats": 3,
            "threads": 1,
        }  # fmt: skip
    yield {
        "what": "passes", "network": "resnet50", "images": 32, "batch": 16, "repeats": 3,
        "threads": 1,
    }  # fmt: skip
    yield {"what": "cut", "network": "resnet50", "images": 32, "batch": 16, "threads": 2}


def run_job(job: Row) -> Row:
    """Figures of one job, and the peak memory of its process."""
    torch.set_num_threads(job["threads"])
    with threadpool_limits(job["threads"]):
        found = MEASURES[job["what"]](job)
    return {**found, "peak_mb": peak_mb(), "load": os.getloadavg()[0]}


@dataclass(frozen=True)
class Trained:
    """A trained network that both libraries prune, and the images of both."""

    name: str
    network: nn.Module
    found: FoundLayers
    test: list[Any]
    calibration: list[list[Any]]  # of each draw, with labels

    @property
    def example(self) -> Any:
        """One image."""
        return self.test[0][0][:1]

    def row(self, network: nn.Module, about: Row) -> Row:
        """What a pruned network does and costs; multiply-adds as torch-pruning counts them."""
        adds, parameters = tp.utils.count_ops_and_params(network, self.example)
        right = predict(network, self.test).right
        assert right is not None
        row = {"what": "beside", "network": self.name, **about, "accuracy": float(right.mean())}
        row |= {"multiply_adds": adds, "parameters": parameters}
        print(row, flush=True)
        return row


def trained(name: str, folder: Path) -> Trained:
    """ResNet for CIFAR-10 with its weights, test images, and draws of calibration images."""
    seen = Preprocessing(32, 32, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    opened = open_network(f"cifar_resnet:{name}", folder / f"{name}.pth", preprocessing=seen)
    images = folder / "cifar10"
    test = list(image_batches(images / "test", seen, batch_size=250, limit=TEST))
    draws = [
        list(image_batches(images / "train", seen, limit=CALIBRATION, seed=draw))
        for draw in range(DRAWS)
    ]
    found = find_unit_layers(opened.module, test[0][0][:1])
    return Trained(name, opened.module, found, test, draws)


def importances() -> dict[str, Callable[[], Any]]:
    """torch-pruning's, as its authors set them but for the first, which ours is set beside."""
    return {
        "magnitude, p=1": lambda: tp.importance.MagnitudeImportance(p=1),
        "magnitude": tp.importance.MagnitudeImportance,
        "FPGM": tp.importance.FPGMImportance,
        "Taylor, with labels": tp.importance.TaylorImportance,
        "random": tp.importance.RandomImportance,
    }


def pruned_by_theirs(
    given: Trained, importance: str, across: str, draw: int, inner: bool = True
) -> nn.Module:
    """A network that torch-pruning has pruned by half in one step.

    ``inner``: the layers that ours prunes; every other Linear and convolution is ignored. Else its
    own default: all layers but the last, residual streams included.
    """
    torch.manual_seed(draw)
    network = copy.deepcopy(given.network)
    weighted = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    kept = {n for n in weighted if n not in given.found.inner} if inner else {list(weighted)[-1]}
    if importance.startswith("Taylor"):
        for images, labels in given.calibration[draw]:
            nn.functional.cross_entropy(network(images), labels, reduction="sum").backward()
    tp.pruner.BasePruner(
        network, given.example, importances()[importance](), pruning_ratio=0.5,
        global_pruning=across == "global", ignored_layers=[weighted[name] for name in kept],
    ).step()  # fmt: skip
    return network.eval()


def rows_of_theirs(given: Trained) -> Iterator[Row]:
    """torch-pruning: half of the inner channels by every importance, then half of all channels."""
    for name, across in product(importances(), ACROSS):
        drawn = name == "random" or name.startswith("Taylor")
        about = {
            "by": "torch-pruning", "technique": name, "compensation": "-", "across": across,
            "units": "inner",
        }  # fmt: skip
        for draw in range(DRAWS):
            network = pruned_by_theirs(given, name, across, draw)
            if drawn or not draw:
                yield given.row(network, {**about, "draw": draw, "batch_norm": "keep"})
            reestimate(network, (images for images, _ in given.calibration[draw]))
            yield given.row(network, {**about, "draw": draw, "batch_norm": "reestimate"})
    about |= {"technique": "magnitude, p=1", "across": "uniform", "units": "all"}
    network = pruned_by_theirs(given, "magnitude, p=1", "uniform", 0, inner=False)
    try:
        yield given.row(network, {**about, "draw": 0, "batch_norm": "keep"})
    except RuntimeError as error:  # its code adds so many channels of zeros, as it had
        print(f"torch-pruning, all channels: the network does not run ({error})")


def rows_of_ours(given: Trained) -> Iterator[Row]:
    """Half of the inner channels by L1, and what compensations bring."""
    names = given.found.inner
    for draw, images in enumerate(given.calibration):
        pruner = Pruner(given.network, given.found, Batches(images, 0.0, torch.device("cpu")))
        for technique, compensation in OURS:
            for across, batch_norm in product(ACROSS, RULES):
                method = Method(technique, {}, compensation, batch_norm, seed=draw)
                counts = {name: given.found[name].units // 2 for name in names}
                if across == "global" and technique == "random":
                    continue
                if across == "global":
                    counts = global_counts(pruner, names, 0.5, method, 1)
                about = {
                    "by": "ours", "technique": technique, "compensation": compensation,
                    "across": across, "units": "inner", "draw": draw, "batch_norm": batch_norm,
                }  # fmt: skip
                yield given.row(pruner.cut(counts, method).model, about)


def rows_beside(name: str, folder: Path) -> Iterator[Row]:
    """The unpruned network, ours, and torch-pruning's."""
    torch.set_num_threads(1)
    given = trained(name, folder)
    none = dict.fromkeys(KEYS, "-")
    yield given.row(given.network, {**none, "by": "unpruned", "draw": 0})
    yield from rows_of_ours(given)
    yield from rows_of_theirs(given)


def report_of_costs(rows: list[Row]) -> str:
    """Tables of the large layer, memory, passes and the ResNet-50."""
    table = pd.DataFrame(rows)
    chosen = {what: table[table["what"] == what] for what in COLUMNS}
    tables = [
        part[COLUMNS[what]].round(2).to_markdown(index=False)
        for what, part in chosen.items()
        if len(part)
    ]
    return "\n\n".join([*tables, NOTE])


def report_beside(rows: list[Row]) -> str:
    """Accuracy in percent over draws of calibration images."""
    groups = pd.DataFrame(rows).groupby(["network", *KEYS], sort=False)
    found = groups["accuracy"].agg(["mean", "min", "max"]) * 100
    found["draws"] = groups.size()
    found["million multiply-adds"] = groups["multiply_adds"].mean() / 1e6
    return found.round(1).reset_index().to_markdown(index=False)


def measure_costs(parts: Sequence[str], cifar: bool) -> None:
    """Each job in a process of its own, and the tables; other parts stay as they were measured."""
    started, rows = time.time(), _measured_before(parts)
    for job in jobs(cifar):
        if job["what"] in parts:
            rows.append({**job, **in_new_process("any_network", job)})
            print(rows[-1], flush=True)
    write_results("any_network", rows, report_of_costs(rows), started)


def _measured_before(parts: Sequence[str]) -> list[Row]:
    """Rows of the last results that belong to none of these parts."""
    path = RESULTS / "any_network.parquet"
    if not path.exists():
        return []
    rows = pd.read_parquet(path).to_dict("records")
    return [{str(k): v for k, v in row.items()} for row in rows if row["what"] not in parts]


def main() -> None:
    """Measure all, or the one job that a parent asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--job", type=json.loads)
    parser.add_argument("--cifar", type=Path, help="a folder as above")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    arguments = parser.parse_args()
    if arguments.job is not None:
        print(json.dumps(run_job(arguments.job)))
        return
    if arguments.cifar is not None:  # for this process and for those of the jobs
        folder = str(arguments.cifar.resolve())
        sys.path.insert(0, folder)
        os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
    if set(arguments.only) & MEASURES.keys():
        measure_costs(arguments.only, arguments.cifar is not None)
    if "beside" in arguments.only and arguments.cifar is not None:
        started, rows = time.time(), list[Row]()
        for name in CIFAR:
            rows += rows_beside(name, arguments.cifar)
            write_results("any_network_beside", rows, report_beside(rows), started)


if __name__ == "__main__":
    main()
