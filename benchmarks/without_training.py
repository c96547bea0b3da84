"""How well a pruned network does without any training: techniques, compensations, random removal.

A network that was trained elsewhere loses a share of the units of every inner layer. Each draw of
calibration images is a repeat; the test images are the same for all. No label is used but for the
accuracy. For instance ResNet-56 for CIFAR-10::

    python -m benchmarks.without_training cifar_resnet:resnet56 --weights resnet56.pth \
        --size 32 32 --mean 0.485 0.456 0.406 --std 0.229 0.224 0.225 \
        --calibration cifar10/train --test cifar10/test
"""

import argparse
import time
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pandas as pd
import torch

from benchmarks.common import Row, write_results
from neuron_pruning.any_network.batches import Batches
from neuron_pruning.any_network.evaluation import predict
from neuron_pruning.any_network.images import image_batches
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.preprocessing import Preprocessing
from neuron_pruning.any_network.pruner import Pruner
from neuron_pruning.any_network.sources import OpenedNetwork, open_network
from neuron_pruning.any_network.unit_layers import find_unit_layers

CPU = torch.device("cpu")
KEYS = ["network", "share", "technique", "compensation", "order", "batch_norm"]


def run(arguments: argparse.Namespace) -> Iterator[Row]:
    """One row per share, method and draw of calibration images; first the unpruned network."""
    opened = _opened(arguments)
    labelled = image_batches(
        arguments.test, opened.preprocessing, batch_size=250, limit=arguments.test_images
    )
    test = [(images, labels) for images, labels in labelled]
    found = find_unit_layers(opened.module, test[0][0][:1])
    whole = predict(opened.module, test)
    assert whole.right is not None
    yield {**dict.fromkeys(KEYS, "-"), "network": arguments.source, "accuracy": whole.right.mean()}
    for draw in range(arguments.draws):
        images = image_batches(
            arguments.calibration, opened.preprocessing, batch_size=64,
            limit=arguments.calibration_images, seed=draw, labelled=False,
        )  # fmt: skip
        pruner = Pruner(opened.module, found, Batches(list(images), 0.0, CPU))
        for share, method in product(arguments.shares, _methods(arguments, draw)):
            counts = {name: round(share * found[name].units) for name in found.inner}
            started = time.perf_counter()
            after = predict(pruner.cut(counts, method).model, test)
            assert after.right is not None
            row = {
                "network": arguments.source, "share": share, "technique": method.technique,
                "compensation": method.compensation, "order": method.order,
                "batch_norm": method.batch_norm, "draw": draw, "accuracy": after.right.mean(),
                "agreement": (after.classes == whole.classes).mean(),
                "seconds": time.perf_counter() - started,
            }  # fmt: skip
            print(row, flush=True)
            yield row


def _opened(arguments: argparse.Namespace) -> OpenedNetwork:
    given = None
    if arguments.size:
        given = Preprocessing(*arguments.size, tuple(arguments.mean), tuple(arguments.std))
    return open_network(arguments.source, arguments.weights, preprocessing=given)


def _methods(arguments: argparse.Namespace, draw: int) -> list[Method]:
    chosen = product(
        arguments.techniques, arguments.compensations, arguments.orders, arguments.batch_norms
    )
    return [
        Method(technique, {}, compensation, rule, order, draw)
        for technique, compensation, order, rule in chosen
    ]


def main() -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--size", type=int, nargs=2)
    parser.add_argument("--mean", type=float, nargs="+")
    parser.add_argument("--std", type=float, nargs="+")
    parser.add_argument("--calibration", type=Path, required=True)
    parser.add_argument("--calibration-images", type=int, default=256)
    parser.add_argument("--test", type=Path, required=True)
    parser.add_argument("--test-images", type=int, default=None)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--shares", type=float, nargs="+", default=[0.5])
    parser.add_argument("--techniques", nargs="+", default=["l1", "variance", "random"])
    parser.add_argument(
        "--compensations", nargs="+", default=["none", "ridge", "lstsq", "lstsq_patches"]
    )
    parser.add_argument("--orders", nargs="+", default=["parallel"])
    parser.add_argument("--batch-norms", nargs="+", default=["keep", "reestimate"])
    parser.add_argument("--name", default="without_training")
    arguments = parser.parse_args()
    started = time.time()
    found = list(run(arguments))
    rows = pd.DataFrame(found)
    scores = rows.groupby(KEYS, sort=False).accuracy
    table = pd.DataFrame(
        {
            "accuracy, %": scores.mean() * 100,
            "standard deviation": scores.std() * 100,
            "lowest": scores.min() * 100,
            "draws": scores.size(),
        }
    ).round(1)
    text = table.reset_index().to_markdown(index=False)
    write_results(arguments.name, found, text, started)


if __name__ == "__main__":
    main()
