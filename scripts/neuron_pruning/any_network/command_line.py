"""``neuron-pruning``: look at a trained network, prune it, evaluate what came out.

Results go to the standard output, progress and errors to the standard error. The exit code is 0,
2 for what the user can fix, and 130 after Ctrl-C.
"""

import argparse
import inspect
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NoReturn, get_args

import torch

from neuron_pruning.any_network.batches import unpacked
from neuron_pruning.any_network.compensation import NetworkCompensation
from neuron_pruning.any_network.costs import latency
from neuron_pruning.any_network.evaluation import predict, share_of
from neuron_pruning.any_network.images import ImageBatches, image_batches
from neuron_pruning.any_network.inspection import layer_rows, measured_rows, why_not_rows
from neuron_pruning.any_network.preprocessing import Preprocessing
from neuron_pruning.any_network.pruner import BatchNormRule, Method, Order
from neuron_pruning.any_network.pruning import prune
from neuron_pruning.any_network.result import PruningResult, text_table
from neuron_pruning.any_network.saving import (
    EXPORTED,
    ONNX,
    PLAN,
    WEIGHTS,
    load_pruned,
    plan_of,
    read_plan,
)
from neuron_pruning.any_network.sources import SOURCES, OpenedNetwork, open_network
from neuron_pruning.any_network.tracing import first_tensor
from neuron_pruning.any_network.unit_layers import find_unit_layers
from neuron_pruning.core.errors import UserError, refuse_unreadable
from neuron_pruning.core.files import read_file
from neuron_pruning.data.image_folder import shortened

NAME = "neuron-pruning"
LOOK = 256  # images that inspect looks at
DEFAULTS = {name: known.default for name, known in inspect.signature(prune).parameters.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Args:
        arguments: without the name of the program; None: those that it was started with.

    Returns:
        The exit code.
    """
    try:
        given = build_parsers()[0].parse_args(arguments)
        result, text = given.run(given)
        print(json.dumps(result, indent=2) if given.json else text, flush=True)
    except (UserError, OSError) as error:
        tell(f"{NAME}: error: {error}")
        return 2
    except KeyboardInterrupt:
        tell(f"{NAME}: interrupted")
        return 130
    return 0


def tell(line: str) -> None:
    """Print a line that is no result."""
    print(line, file=sys.stderr, flush=True)


class Parser(argparse.ArgumentParser):
    """A parser whose errors are the user's, like all others."""

    def error(self, message: str) -> NoReturn:
        """Refuse the arguments."""
        raise UserError(f"{message}; {self.prog} --help lists what there is")


def build_parsers() -> tuple[argparse.ArgumentParser, dict[str, argparse.ArgumentParser]]:
    """The parser of all commands, and that of each by its name."""
    parser = Parser(prog=NAME, description="Remove units from a trained image classifier.")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    found: dict[str, argparse.ArgumentParser] = {}
    for name, add, what in (
        ("inspect", _add_inspect, "Show what could be removed from a network, in seconds."),
        ("prune", _add_prune, "Write a smaller network, and say what it lost."),
        ("evaluate", _add_evaluate, "Measure accuracy, size and latency of a pruned network."),
    ):
        found[name] = commands.add_parser(name, help=what, description=what)
        add(found[name])
    return parser, found


def _add_inspect(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=run_inspect)
    _add_network(parser)
    _add_images(parser, required=False, limit=LOOK)
    parser.add_argument(
        "--all", action="store_true", help="list each layer that cannot be pruned, and why"
    )


def _add_prune(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=run_prune)
    _add_network(parser)
    _add_images(parser, required=True, limit=None)
    parser.add_argument(
        "--evaluation", type=Path, metavar="FOLDER",
        help="images that judge the result; default: a quarter of those of --data",
    )  # fmt: skip
    _add_goal(parser.add_argument_group("how much (one of the first three, or --max-loss)"))
    _add_method(parser.add_argument_group("how"))
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="folder for the network and its plan"
    )
    parser.add_argument("--onnx", action="store_true", help=f"write {ONNX} too, checked")
    parser.add_argument("--pt2", action="store_true", help=f"write {EXPORTED} too, checked")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.set_defaults(run=run_evaluate)
    parser.add_argument("folder", type=Path, metavar="DIR", help="what prune has written")
    parser.add_argument(
        "source", metavar="SOURCE", nargs="?",
        help="of the unpruned network; default: the one that the plan names",
    )  # fmt: skip
    _add_images(parser, required=True, limit=None)


def _add_network(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="SOURCE", help=SOURCES)
    parser.add_argument("--weights", type=Path, metavar="FILE", help=".safetensors or state dict")


def _add_images(parser: argparse.ArgumentParser, required: bool, limit: int | None) -> None:
    """Images, how they are prepared, and what all commands share."""
    parser.add_argument(
        "--data", type=Path, metavar="FOLDER", required=required,
        help="images: a folder per class, or a flat folder without labels",
    )  # fmt: skip
    parser.add_argument(
        "--limit", type=int, metavar="N", default=limit,
        help=f"images of a folder at most, as many of each class; default: {limit or 'all'}",
    )  # fmt: skip
    parser.add_argument(
        "--no-labels", dest="labelled", action="store_false", default=None,
        help="class folders say nothing about the network's classes",
    )  # fmt: skip
    parser.add_argument(
        "--class-names", type=Path, metavar="FILE",
        help="class folders in the order of the network's outputs, one per line",
    )  # fmt: skip
    parser.add_argument("--classes", type=int, metavar="N", help="of a torchvision or timm network")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"),
        help="of what the network reads; with --mean and --std, where its metadata does not say it",
    )  # fmt: skip
    for name, what in (("mean", "mean"), ("std", "deviation")):
        parser.add_argument(
            f"--{name}", type=float, nargs="+", metavar="X",
            help=f"{what} of each channel of values in [0, 1]",
        )  # fmt: skip
    seed = DEFAULTS["seed"]
    parser.add_argument(
        "--seed", type=int, metavar="N", default=seed, help=f"of what is drawn; default: {seed}"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_goal(group: Any) -> None:
    """How much is removed."""
    group.add_argument(
        "--amount", type=float, metavar="A",
        help="of every layer: a share below 1, a number of units, or degrees",
    )  # fmt: skip
    group.add_argument(
        "--layer", dest="layers", action="append", type=_assignment, metavar="NAME=A",
        help="the same of one layer; may be repeated",
    )  # fmt: skip
    group.add_argument(
        "--budget", action="append", type=_assignment, metavar="COST=X",
        help="macs=0.5 or parameters=0.5 of the network's, or latency_ms=X of one image",
    )  # fmt: skip
    group.add_argument(
        "--max-loss", type=float, metavar="POINTS",
        help="the largest cut that loses no more accuracy (agreement, without labels), with 95 %% "
        "confidence; within --budget if there is one",
    )  # fmt: skip
    group.add_argument(
        "--across", choices=("layers", "network"), default=DEFAULTS["across"],
        help="amount of each layer, or of all ranked together; default: %(default)s",
    )  # fmt: skip
    group.add_argument(
        "--coupled",
        action="store_true",
        help="also units that several layers write (residuals, attention heads)",
    )
    group.add_argument(
        "--round-to", type=int, metavar="N", default=DEFAULTS["round_to"],
        help="kept units are a multiple of N; default: %(default)s",
    )  # fmt: skip


def _add_method(group: Any) -> None:
    """How units are chosen, and what the rest gets."""
    group.add_argument(
        "--technique", metavar="NAME", default=DEFAULTS["technique"],
        help="which units go; default: %(default)s",
    )  # fmt: skip
    for name, known, what in (
        ("compensation", NetworkCompensation, "what the kept units get"),
        ("batch-norm", BatchNormRule, "statistics of batch normalisation"),
        ("order", Order, "each layer measured behind the cuts in front of it, or all at once"),
    ):
        default = DEFAULTS[name.replace("-", "_")]
        choices = get_args(known)
        group.add_argument(
            f"--{name}", choices=choices, default=default, help=f"{what}; default: {default}"
        )
    group.add_argument(
        "--draws", type=int, metavar="N", dest="random_draws", default=DEFAULTS["random_draws"],
        help="random removals to compare with; default: %(default)s",
    )  # fmt: skip


def _assignment(text: str) -> tuple[str, float]:
    """``NAME=A`` as a name and a number."""
    name, _, value = text.rpartition("=")
    try:
        number = float(value)
    except ValueError:
        name = ""
    if not name:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=NUMBER")
    return name, number


Result = tuple[Mapping[str, Any], str]  # as JSON and as text


def run_inspect(given: argparse.Namespace) -> Result:
    """Unit layers of a network; with images, idle units and sensitivity."""
    opened = _open(given.source, given.weights, given.classes, _preprocessing(given))
    model, example = opened.module, _example(opened.preprocessing)
    found = find_unit_layers(model, example)
    rows = layer_rows(found)
    if given.data is not None:
        images = _images(given.data, opened, given)
        measured = measured_rows(model, found, images, Method(seed=given.seed))
        rows = [row | more for row, more in zip(rows, measured, strict=True)]
    reasons = why_not_rows(found)
    result = {
        "source": opened.source,
        "note": opened.note,
        "parameters": found.total_parameters,
        "multiply_adds": found.total_multiply_adds,
        "layers": [_json_keys(row) for row in rows],
        "refused": [asdict(layer) for layer in found.refused.values()],
    }
    units = sum(layer.units for layer in found.layers.values())
    lines = [
        f"{opened.source}: {found.total_parameters:,} parameters, "
        f"{found.total_multiply_adds:,} multiply-adds; {units:,} units in {len(rows)} unit layers",
        *_note(opened),
        "",
        *text_table(rows),
    ]
    if reasons:
        lines += ["", "not prunable:"]
    for reason, names in reasons.items():
        listed = ", ".join(names) if given.all else shortened(names)
        lines.append(f"  {len(names)} x {reason}: {listed}")
    return result, "\n".join(lines)


def run_prune(given: argparse.Namespace) -> Result:
    """A smaller network in a folder."""
    _check_out(given.out)
    if given.onnx and find_spec("onnxruntime") is None:
        raise UserError("--onnx needs the extra: pip install 'neuron-pruning[workflow]'")
    opened = _open(given.source, given.weights, given.classes, _preprocessing(given))
    data = _images(given.data, opened, given)
    options = {name: getattr(given, name) for name in DEFAULTS if hasattr(given, name)}
    options["layers"], options["budget"] = map(_by_name, (given.layers, given.budget))
    if given.evaluation is not None:
        options["evaluation"] = _images(given.evaluation, opened, given, data.classes)
    pruned = prune(opened.module, data, **options, progress=tell)
    source = {
        "source": opened.source,
        "weights": None if given.weights is None else given.weights.name,
        "classes": given.classes,
        "class_names": list(data.classes),
        "preprocessing": asdict(opened.preprocessing),
    }
    _write(pruned, given.out, onnx=given.onnx, exported=given.pt2, source=source)
    plan = plan_of(pruned, source)
    result = {
        **{name: value for name, value in plan.items() if name not in ("unpruned", "layers")},
        "latency_ms": list(pruned.latency_ms),
        "layers": [_json_keys(row) for row in pruned.rows()],
        "notes": list(pruned.notes),
        "out": str(given.out),
    }
    return result, "\n".join([*_note(opened), str(pruned), "", f"written to {given.out}"])


def run_evaluate(given: argparse.Namespace) -> Result:
    """Accuracy, size and latency of a pruned network."""
    plan = read_plan(given.folder)
    opened, class_names = _open_unpruned(given, plan.get("source") or {})
    model = load_pruned(given.folder, lambda: opened.module)
    images = _images(given.data, opened, given, class_names)
    right = predict(model, unpacked(images)).right
    accuracy = None if right is None else share_of(right)
    milliseconds = latency([model], _example(opened.preprocessing))[0]
    parameters, adds = plan["parameters"], plan["multiply_adds"]
    result = {
        "folder": str(given.folder),
        "images": len(images.files),
        "accuracy": None if accuracy is None else [accuracy.value, accuracy.low, accuracy.high],
        "parameters": parameters,
        "multiply_adds": adds,
        "latency_ms": milliseconds,
    }
    shown = f"not known: {given.data} has no labels" if accuracy is None else str(accuracy)
    lines = [
        f"accuracy       {shown} ({len(images.files)} images)",
        f"parameters     {parameters[0]:,} -> {parameters[1]:,}",
        f"multiply-adds  {adds[0]:,} -> {adds[1]:,}",
        f"milliseconds   {milliseconds:.2f} for one image",
    ]
    return result, "\n".join(lines)


def _open_unpruned(
    given: argparse.Namespace, recorded: Mapping[str, Any]
) -> tuple[OpenedNetwork, Sequence[str]]:
    """The network that was pruned, with any weights, and its class names if the plan has them."""
    source = given.source or recorded.get("source")
    if source is None:
        raise UserError(
            f"{given.folder / PLAN} does not say which network was pruned: give its source behind "
            f"the folder, {SOURCES}"
        )
    classes, preprocessing = given.classes, _preprocessing(given)
    with refuse_unreadable(f"{given.folder / PLAN} is damaged", "prune again"):
        if classes is None and source == recorded.get("source"):
            classes = recorded["classes"]
        if preprocessing is None and recorded:
            preprocessing = Preprocessing(**recorded["preprocessing"])
    return _open(source, None, classes, preprocessing), recorded.get("class_names", ())


def _open(
    source: str, weights: Path | None, classes: int | None, preprocessing: Preprocessing | None
) -> OpenedNetwork:
    tell(f"opening {source}")
    return open_network(source, weights, classes=classes, preprocessing=preprocessing)


def _preprocessing(given: argparse.Namespace) -> Preprocessing | None:
    """That of the arguments, if they have any."""
    values = (given.size, given.mean, given.std)
    if all(value is None for value in values):
        return None
    if any(value is None for value in values):
        raise UserError("--size, --mean and --std go together: give all three or none")
    height, width = given.size
    return Preprocessing(height, width, tuple(given.mean), tuple(given.std))


def _example(preprocessing: Preprocessing) -> torch.Tensor:
    """One image as the network reads it."""
    generator = torch.Generator().manual_seed(0)
    shape = (1, preprocessing.channels, preprocessing.height, preprocessing.width)
    return torch.randn(shape, generator=generator)


def _images(
    folder: Path, opened: OpenedNetwork, given: argparse.Namespace, names: Sequence[str] = ()
) -> ImageBatches:
    """Images of a folder, with labels that fit the network's outputs.

    Args:
        folder: of the images.
        opened: the network.
        given: the arguments.
        names: of the classes, where the arguments give none.
    """
    if given.class_names is not None:
        with refuse_unreadable(f"{given.class_names} is no list of names", "write one per line"):
            names = read_file(given.class_names).decode().split("\n")
        names = [name.strip() for name in names if name.strip()]
    images = image_batches(
        folder, opened.preprocessing, limit=given.limit, seed=given.seed,
        classes=names or opened.labels or None, labelled=given.labelled,
    )  # fmt: skip
    example = _example(opened.preprocessing)
    with refuse_unreadable(
        f"{opened.source} does not run on an image of shape {tuple(example.shape)}",
        "give --size, --mean and --std that fit it",
    ):
        outputs = first_tensor(opened.module(example)).shape[-1]
    if images.classes and len(images.classes) != outputs:
        raise UserError(
            f"{folder}: {len(images.classes)} classes, but the network has {outputs} outputs; give "
            "--class-names, a file with the class folder of each output, or --no-labels"
        )
    return images


def _by_name(pairs: Sequence[tuple[str, float]] | None) -> dict[str, float] | None:
    """Numbers by name; None where none is given."""
    if pairs is None:
        return None
    names = [name for name, _ in pairs]
    repeated = [name for name in names if names.count(name) > 1]
    if repeated:
        raise UserError(f"{repeated[0]} is given more than once: give one number for it")
    return dict(pairs)


def _json_keys(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row under names of letters, digits and underscores."""
    table = str.maketrans({"%": "percent", " ": "_", "-": "_"})
    return {name.translate(table): value for name, value in row.items()}


def _note(opened: OpenedNetwork) -> list[str]:
    return [f"note: {opened.note}"] if opened.note else []


def _check_out(out: Path) -> None:
    """Refuse a folder that cannot be written, or that holds something else."""
    existing = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK):
        raise UserError(f"--out {out}: {existing} is no folder that can be written; name another")
    if existing == out.absolute() and any(out.iterdir()):
        with refuse_unreadable(f"--out {out} holds other things", "name a new or an empty folder"):
            read_plan(out)


def _write(pruned: PruningResult, out: Path, **options: Any) -> None:
    """Save a result in a folder that is whole or absent; other files in it stay."""
    out.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=out.parent, prefix=f".{out.name}.") as temporary:
        made = Path(temporary) / out.name
        pruned.save(made, **options)
        if not out.exists():
            made.rename(out)
            return
        # Without a plan no one reads the others, so it goes first and comes last.
        for name in (PLAN, WEIGHTS, EXPORTED, ONNX, f"{ONNX}.data"):
            (out / name).unlink(missing_ok=True)
        for file in sorted(made.iterdir(), key=lambda file: file.name == PLAN):
            file.replace(out / file.name)


if __name__ == "__main__":
    sys.exit(main())
