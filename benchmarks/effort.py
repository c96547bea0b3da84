"""What more calibration images and seconds of fine-tuning buy at a share of the multiply-adds.

    python -m benchmarks.effort benchmarks/what_works.yaml --networks resnet20 vgg_0

Networks and images are those of a config. Calibration: L1 and least squares, sizes by sensitivity,
on 16 images and more. Fine-tuning: the network cut without compensation, and with it, then imitates
the unpruned network on calibration images alone, without labels.
"""

import argparse
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from torch import nn

from benchmarks.common import Row, write_results
from neuron_pruning.any_network.evaluation import predict
from neuron_pruning.any_network.fine_tuning import fine_tune
from neuron_pruning.any_network.imported import ImportedNetwork
from neuron_pruning.any_network.network_copy import copied
from neuron_pruning.any_network.network_rows import PLANNED_BY, counts_of, plan_rows
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.pruner import Pruner
from neuron_pruning.configuration.validation import check_config

KEYS = ["network", "part", "images", "compensation", "batch_norm", "epochs"]


class Trial:
    """A network with so many calibration images of one draw, and the sizes that they plan."""

    def __init__(
        self, section: dict[str, Any], images: int, judging: int, draw: int, share: float
    ) -> None:
        self.network = ImportedNetwork(section, images, judging)
        self.pruner: Pruner = self.network.pruner(draw)
        self.before = predict(self.network.opened.module, self.network.evaluation.labelled())
        self.counts = counts_of(list(plan_rows(self.network, draw, [share], print)), share)

    def cut(self, compensation: str, batch_norm: str) -> nn.Module:
        """The network without the units that L1 gives up."""
        method = Method("l1", {}, compensation, batch_norm, PLANNED_BY.order)  # type: ignore[arg-type]
        return self.pruner.cut(self.counts, method).model

    def accuracy(self, model: nn.Module) -> float:
        """On the images that judge; agreement where they have no labels."""
        after = predict(model, self.network.evaluation.labelled())
        return float(after.hits(self.before).mean())


def calibration_rows(given: argparse.Namespace, section: dict[str, Any]) -> Iterator[Row]:
    """Accuracy by number of calibration images, draw and rule of batch normalisation."""
    for images in given.images:
        for draw in range(given.draws):
            started = time.perf_counter()
            trial = Trial(section, images, given.judging, draw, given.share)
            for rule in ("keep", "reestimate"):
                model = trial.cut("auto", rule)
                yield {
                    "part": "calibration", "images": images, "draw": draw, "epochs": 0,
                    "compensation": "auto", "batch_norm": rule, "accuracy": trial.accuracy(model),
                    "seconds": time.perf_counter() - started,
                }  # fmt: skip


def fine_tuning_rows(given: argparse.Namespace, section: dict[str, Any]) -> Iterator[Row]:
    """Accuracy by epochs of imitation, each from the cut network, and the seconds of them."""
    for images in given.tuned_images:
        for draw in range(given.draws):
            trial = Trial(section, images, given.judging, draw, given.share)
            batches = list(trial.pruner.batches.calibration())
            small = [part for batch in batches for part in batch.split(given.batch)]
            for compensation in ("none", "auto"):
                cut = trial.cut(compensation, "reestimate")
                for epochs in given.epochs:
                    model = copied(cut).requires_grad_(True)
                    started = time.perf_counter()
                    fine_tune(
                        model, small, epochs, teacher=trial.network.opened.module, seed=draw,
                        learning_rate=given.learning_rate,
                    )  # fmt: skip
                    yield {
                        "part": "fine-tuning", "images": images, "draw": draw, "epochs": epochs,
                        "seconds": time.perf_counter() - started, "compensation": compensation,
                        "batch_norm": "reestimate", "accuracy": trial.accuracy(model),
                    }  # fmt: skip


def rows_of(given: argparse.Namespace) -> Iterator[Row]:
    """Rows of both parts, network after network."""
    config = yaml.safe_load(given.config.read_text(encoding="utf-8"))
    check_config(config)
    for name in given.networks:
        section = config["networks"][name]
        for rows in (calibration_rows(given, section), fine_tuning_rows(given, section)):
            for row in rows:
                print(name, row, flush=True)
                yield {"network": name, **row}


def table_of(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and spread over draws in percent, and mean seconds."""
    found = rows.assign(accuracy=100 * rows["accuracy"]).groupby(KEYS, sort=False)
    return found.agg(
        accuracy=("accuracy", "mean"), deviation=("accuracy", "std"), draws=("draw", "size"),
        seconds=("seconds", "mean"),
    ).round(1).reset_index()  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and write results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", type=Path)
    parser.add_argument("--networks", nargs="+", required=True)
    parser.add_argument("--share", type=float, default=0.5)
    parser.add_argument("--images", type=int, nargs="+", default=[16, 64, 256, 1024, 4096])
    parser.add_argument("--tuned-images", type=int, nargs="+", default=[256, 2048])
    parser.add_argument("--epochs", type=int, nargs="+", default=[0, 1, 4, 16])
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=32, help="images of a step")
    parser.add_argument("--judging", type=int, default=1000, help="images that judge")
    parser.add_argument("--draws", type=int, default=2)
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    started = time.time()
    rows = list(rows_of(given))
    write_results("effort", rows, table_of(pd.DataFrame(rows)).to_markdown(index=False), started)


if __name__ == "__main__":
    main()
