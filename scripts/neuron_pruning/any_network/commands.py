"""What the commands of ``neuron-pruning`` do, once their arguments are read."""

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tqdm import tqdm

from neuron_pruning.any_network.batches import Batches, unpacked
from neuron_pruning.any_network.command_line import tell
from neuron_pruning.any_network.costs import latency
from neuron_pruning.any_network.evaluation import predict, share_of
from neuron_pruning.any_network.images import ImageBatches
from neuron_pruning.any_network.inspection import layer_rows, measured_rows, why_not_rows
from neuron_pruning.any_network.network_images import example_image, images_for
from neuron_pruning.any_network.options import SOURCES, Method
from neuron_pruning.any_network.preprocessing import Preprocessing
from neuron_pruning.any_network.pruner import Pruner
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
from neuron_pruning.any_network.sources import OpenedNetwork, open_network
from neuron_pruning.any_network.unit_layers import find_unit_layers
from neuron_pruning.core.errors import UserError, refuse_unreadable
from neuron_pruning.core.files import read_file
from neuron_pruning.data.image_folder import shortened

FAST = "lstsq"  # the compensation that inspect assumes: its sums take seconds
Result = tuple[Mapping[str, Any], str]  # as JSON and as text


@dataclass(frozen=True)
class Shown:
    """Images of a folder; on a terminal, a bar says how far each pass over them is."""

    images: ImageBatches

    def __iter__(self) -> Iterator[Any]:
        """Batches, from the first."""
        yield from tqdm(self.images, unit="batch", disable=None, leave=False)


def run_inspect(given: argparse.Namespace) -> Result:
    """Unit layers of a network; with images, idle units and sensitivity."""
    opened = _open(given.source, given.weights, given.classes, _preprocessing(given))
    model, example = opened.module, example_image(opened.preprocessing)
    found = find_unit_layers(model, example)
    rows = layer_rows(found)
    if given.data is not None:
        images = _images(given.data, opened, given)
        pruner = Pruner(model, found, Batches.of(model, Shown(images)))
        measured = measured_rows(pruner, Method(compensation=FAST, seed=given.seed))
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
    for wanted, library, extra in (
        ("onnx", "onnxruntime", "workflow"), ("figure", "matplotlib", "networks"),
    ):  # fmt: skip
        if getattr(given, wanted) and find_spec(library) is None:
            raise UserError(f"--{wanted} needs the extra: pip install 'neuron-pruning[{extra}]'")
    opened = _open(given.source, given.weights, given.classes, _preprocessing(given))
    data = _images(given.data, opened, given)
    judging = None
    if given.evaluation is not None:
        judging = Shown(_images(given.evaluation, opened, given, data.classes))
    pruned = prune(opened.module, Shown(data), evaluation=judging, **given.options, progress=tell)
    source = {
        "source": opened.source,
        "weights": None if given.weights is None else given.weights.name,
        "classes": given.classes,
        "class_names": list(data.classes),
        "preprocessing": asdict(opened.preprocessing),
    }
    _write(pruned, given.out, onnx=given.onnx, exported=given.pt2, source=source)
    if given.figure is not None:
        given.figure.parent.mkdir(parents=True, exist_ok=True)
        pruned.figure().savefig(given.figure, dpi=200)
    plan = plan_of(pruned, source)
    result = {
        **{name: plan[name] for name in plan if name not in ("unpruned", "pruned", "layers")},
        "latency_ms": list(pruned.latency_ms),
        "layers": [_json_keys(row) for row in pruned.rows()],
        "batch_norm_shifts": dict(pruned.cut.shifts),
        "notes": list(pruned.notes),
        "out": str(given.out),
    }
    return result, "\n".join([*_note(opened), str(pruned), "", f"written to {given.out}"])


def run_evaluate(given: argparse.Namespace) -> Result:
    """Accuracy, size and latency of a pruned network."""
    plan = read_plan(given.folder)
    opened, class_names = _open_unpruned(given, plan.get("source") or {})
    model = load_pruned(given.folder, lambda: opened.module).float()  # as open_network does
    images = _images(given.data, opened, given, class_names)
    right = predict(model, unpacked(Shown(images))).right
    accuracy = None if right is None else share_of(right)
    milliseconds = latency([model], example_image(opened.preprocessing))[0]
    parameters, adds = plan["parameters"], plan["multiply_adds"]
    result = {
        "folder": str(given.folder),
        "images": len(images.files),
        "accuracy": accuracy and accuracy.interval,
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
    return images_for(
        opened, folder, limit=given.limit, seed=given.seed, classes=names,
        labelled=given.labelled,
        remedy="give --class-names, a file with the class folder of each output, or --no-labels",
    )  # fmt: skip


def _json_keys(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row under names of letters, digits and underscores."""
    table = str.maketrans({"%": "percent", " ": "_", "-": "_"})
    return {name.translate(table): value for name, value in row.items()}


def _note(opened: OpenedNetwork) -> list[str]:
    return [f"note: {opened.note}"] if opened.note else []


def _check_out(out: Path) -> None:
    """Refuse a folder that cannot be written, or that holds something else."""
    existing = next(place for place in (out.absolute(), *out.absolute().parents) if place.exists())
    with refuse_unreadable(
        f"--out {out}: {existing} is no folder that can be written", "name another"
    ):
        TemporaryDirectory(dir=existing).cleanup()
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


COMMANDS: Mapping[str, Callable[[argparse.Namespace], Result]] = {
    "inspect": run_inspect,
    "prune": run_prune,
    "evaluate": run_evaluate,
}
