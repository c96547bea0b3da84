"""How well a pruned network does without any training: techniques, compensations, random removal.

Every inner layer of a trained network loses a share of its units. Each draw of calibration images
is a repeat; the test images are the same for all. No label is used but for the accuracy. For
instance ResNet-56 for CIFAR-10, which was trained elsewhere, and LeNet-300-100, which trains here
once per draw::

    python -m benchmarks.without_training cifar_resnet:resnet56 --weights resnet56.pth \
        --size 32 32 --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225 \
        --calibration cifar10/train --test cifar10/test
    python -m benchmarks.without_training lenet --calibration mnist_5k.csv.gz

A run that was stopped, or ended by ``--minutes``, is taken up where it was by the same command.
Each run also puts the results of all networks together in one table.
"""

import argparse
import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from benchmarks.common import RESULTS, SCRATCH, Row, write_results
from benchmarks.small_networks import RECIPES, examples, trained
from neuron_pruning.any_network.batch_norm import reestimate
from neuron_pruning.any_network.batches import Batches, unpacked
from neuron_pruning.any_network.evaluation import Predictions, predict
from neuron_pruning.any_network.images import image_batches
from neuron_pruning.any_network.options import BatchNormRule, Method
from neuron_pruning.any_network.preprocessing import Preprocessing
from neuron_pruning.any_network.pruner import Pruner
from neuron_pruning.any_network.sources import open_network
from neuron_pruning.any_network.tracing import BatchNorm
from neuron_pruning.any_network.unit_layers import find_unit_layers
from neuron_pruning.core.row_cache import Journal

CPU = torch.device("cpu")
NAME = "without_training"
PARTS = ["technique", "compensation", "order", "batch_norm"]  # of a method
TECHNIQUES = ["l1", "l2", "fpgm", "variance", "taylor", "pelillo_fanelli_residual", "random"]
Batch = tuple[Tensor, Tensor | None]


@dataclass(frozen=True)
class Judge:
    """Images that judge, and what the unpruned network says of them."""

    test: Sequence[Batch]
    unpruned: Predictions

    def scores(self, model: nn.Module) -> Row:
        """How often a network is right, and how often it says what the unpruned one says."""
        return self.scored(predict(model, self.test))

    def scored(self, found: Predictions) -> Row:
        """The same of predictions."""
        accuracy = None if found.right is None else float(found.right.mean())
        agreement = float((found.classes == self.unpruned.classes).mean())
        return {"accuracy": accuracy, "agreement": agreement}


@dataclass
class Trial:
    """A trained network with images to fit on, and what judges it.

    The unpruned network is measured once for all methods, and what differs only in the rule for
    batch normalisation is cut once.
    """

    model: nn.Module
    calibration: Sequence[Tensor]
    judge: Judge

    def __post_init__(self) -> None:
        found = find_unit_layers(self.model, self.calibration[0][:1])
        self.pruner = Pruner(self.model, found, Batches(self.calibration, 0.0, CPU))
        self._last: tuple[Method, nn.Module, float] | None = None

    def row(self, method: Method, share: float) -> Row:
        """Scores of the network without a share of the units of every inner layer."""
        started = time.process_time()
        kept_as_is = method.batch_norm == "reestimate"
        model, seconds = self._cut(
            replace(method, batch_norm="keep") if kept_as_is else method, share
        )
        started = time.process_time()
        if kept_as_is:
            model = copy.deepcopy(model)
            reestimate(model, self.calibration)
        seconds += time.process_time() - started
        return {**self.judge.scores(model), "seconds": seconds}

    def _cut(self, method: Method, share: float) -> tuple[nn.Module, float]:
        """A cut network and the seconds that it took."""
        if self._last is None or self._last[0] != method:
            started = time.process_time()
            found = self.pruner.found
            counts = {name: round(share * found[name].units) for name in found.inner}
            model = self.pruner.cut(counts, method).model
            self._last = method, model, time.process_time() - started
        return self._last[1:]


def trials(given: argparse.Namespace) -> Callable[[int], Trial]:
    """The trial of each draw: other calibration images, and another network if it trains here."""
    return _trained_here(given) if given.source in RECIPES else _opened(given)


def _opened(given: argparse.Namespace) -> Callable[[int], Trial]:
    stated = None
    if given.size:
        stated = Preprocessing(*given.size, tuple(given.mean), tuple(given.std))
    opened = open_network(given.source, given.weights, preprocessing=stated)
    images = image_batches(
        given.test, opened.preprocessing, batch_size=50, limit=given.test_images,
        labelled=given.labelled,
    )  # fmt: skip
    test = list(unpacked(images))
    judge = Judge(test, predict(opened.module, test))

    def trial(draw: int) -> Trial:
        drawn = image_batches(
            given.calibration, opened.preprocessing, limit=given.calibration_images, seed=draw,
            labelled=False,
        )  # fmt: skip
        return Trial(opened.module, [images for images, _ in unpacked(drawn)], judge)

    return trial


def _trained_here(given: argparse.Namespace) -> Callable[[int], Trial]:
    training, test = examples(given.source, given.calibration, given.test)
    judging = [*zip(*(values[: given.test_images].split(250) for values in test), strict=True)]

    def trial(draw: int) -> Trial:
        rows = np.random.default_rng(draw).permutation(len(training.labels))
        images = training.images[rows[: given.calibration_images]].split(64)
        model = trained(given.source, training, draw)
        return Trial(model, images, Judge(judging, predict(model, judging)))

    return trial


def methods(given: argparse.Namespace, normalised: bool) -> list[Method]:
    """Every technique in parallel; some also in sequence and with all rules for normalisation.

    ``rescale`` follows from the sums over what a kernel sees, which only ``lstsq_patches`` has.
    Without batch normalisation all rules are one.
    """
    usual: BatchNormRule = "reestimate" if normalised else "keep"
    found = [
        Method(technique, {}, compensation, usual, "parallel")
        for technique, compensation in product(given.techniques, given.compensations)
    ]
    for technique in given.closely:
        found.append(Method(technique, {}, "none", "keep", "parallel"))
        for order, compensation in product(given.orders, given.fitted):
            patched = normalised and compensation == "lstsq_patches"
            rules = given.batch_norms if patched else (usual,)
            found += [Method(technique, {}, compensation, rule, order) for rule in rules]
    return [method for place, method in enumerate(found) if method not in found[:place]]


def run(given: argparse.Namespace, journal: Journal) -> tuple[list[Row], int]:
    """A row per draw and method, and one of the unpruned network; first those of the journal.

    Returns:
        The rows, and how many the time did not suffice for.
    """
    same = {
        "network": given.source, "share": given.share, "test_images": given.test_images,
        "calibration_images": given.calibration_images,
    }  # fmt: skip
    rows = [row for row in journal.read() if row.items() >= same.items()]
    known, left = {_key(row) for row in rows}, 0
    started, trial_of = time.monotonic(), trials(given)
    for draw in range(given.draws):
        trial = trial_of(draw)
        normalised = any(isinstance(module, BatchNorm) for module in trial.model.modules())
        for method in [None, *methods(given, normalised)]:
            row = {**same, "draw": draw, **_named(method)}
            if _key(row) in known:
                continue
            if time.monotonic() - started > 60 * given.minutes:
                left += 1
                continue
            if method is None:
                row |= {**trial.judge.scored(trial.judge.unpruned), "seconds": 0.0}
            else:
                row |= trial.row(replace(method, seed=draw), given.share)
            rows.append(row)
            journal.add([row])
            print(row, flush=True)
    return rows, left


def _named(method: Method | None) -> Row:
    """The names of what makes a method; of the unpruned network, dashes."""
    return {name: "-" if method is None else getattr(method, name) for name in PARTS}


def _key(row: Row) -> tuple[Any, ...]:
    return (row["draw"], *(row[name] for name in PARTS))


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean, spread over draws and seconds of each method on each network, in percent.

    Accuracy, or agreement with the unpruned network where there are no labels; and by how much it
    exceeds random removal in the same draws with all else equal.
    """
    rows = rows.assign(score=100 * rows.accuracy.fillna(rows.agreement))
    alike = ["network", "draw", "share", *PARTS[1:]]
    chance = rows[rows.technique == "random"].set_index(alike).score.rename("chance")
    rows = rows.join(chance, on=alike)
    rows["above random"] = rows.score - rows.chance
    groups = rows.groupby(["network", "share", *PARTS], sort=False)
    table = groups.agg(
        score=("score", "mean"), deviation=("score", "std"), lowest=("score", "min"),
        draws=("score", "size"), above_random=("above random", "mean"), seconds=("seconds", "mean"),
    )  # fmt: skip
    return table.round(1).reset_index()


def put_together() -> None:
    """One table out of the results of all networks."""
    files = sorted(RESULTS.glob(f"{NAME}-*.parquet"))
    every = pd.concat([pd.read_parquet(file) for file in files], ignore_index=True)
    every.to_parquet(RESULTS / f"{NAME}.parquet")
    text = (
        f"# {NAME}\n\nA share of the units of every inner layer goes. *Score*: accuracy in "
        "percent, or agreement with the unpruned network where there are no labels; mean, standard "
        "deviation and lowest over draws of calibration images. *Above random*: in the same draws, "
        "all else equal. Seconds of one core to prune. Commands, machines and versions are in "
        f"`{NAME}-NETWORK.md`.\n\n"
    )
    table = table_of(every).to_markdown(index=False)
    (RESULTS / f"{NAME}.md").write_text(f"{text}{table}\n", encoding="utf-8")


def main() -> None:
    """Measure one network, and write its results and the table of all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help=f"a network to open, or one that trains here: {[*RECIPES]}")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int, nargs=2)
    parser.add_argument("--mean", type=float, nargs="+")
    parser.add_argument("--std", type=float, nargs="+")
    parser.add_argument("--calibration", type=Path, help="folder; MNIST's table for lenet")
    parser.add_argument("--calibration-images", type=int, default=256)
    parser.add_argument("--test", type=Path)
    parser.add_argument("--test-images", type=int, default=2000)
    parser.add_argument("--no-labels", dest="labelled", action="store_false", default=None)
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--techniques", nargs="*", default=TECHNIQUES, help="compared in parallel")
    parser.add_argument("--compensations", nargs="+", default=["none", "lstsq", "lstsq_patches"])
    parser.add_argument("--closely", nargs="*", default=["l1", "random"], help="in all ways")
    parser.add_argument("--fitted", nargs="+", default=["lstsq", "lstsq_patches"])
    parser.add_argument("--orders", nargs="+", default=["parallel", "sequential"])
    parser.add_argument("--batch-norms", nargs="+", default=["rescale", "reestimate", "keep"])
    parser.add_argument("--minutes", type=float, default=float("inf"), help="nothing begins later")
    parser.add_argument("--name", help="of the results; default: the network's")
    given = parser.parse_args()
    torch.set_num_threads(1)
    started = time.time()
    name = f"{NAME}-{given.name or given.source.rpartition(':')[2].rpartition('/')[2]}"
    journal = Journal(SCRATCH / f"{name}.rows")
    journal.path.parent.mkdir(parents=True, exist_ok=True)
    rows, left = run(given, journal)
    text = table_of(pd.DataFrame(rows)).drop(columns="network").to_markdown(index=False)
    write_results(name, rows, text, started)
    put_together()
    if not left:
        journal.path.unlink(missing_ok=True)  # the next run begins from scratch


if __name__ == "__main__":
    main()
