"""Networks of other packages: which units are found, cut, saved and loaded again.

    python -m benchmarks.zoo [--names NAME ...] [--minutes M] [--gigabytes G]

Every classifier of torchvision; families of timm and networks built from a configuration of
Hugging Face where these packages are there. Weights are random. Half of the units of every layer
go; the network without them must compute what it computes with them silenced. A run that was
stopped, or ended by ``--minutes``, is taken up where it was by the same command.
"""

import argparse
import copy
import json
import multiprocessing
import re
import resource
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.common import SCRATCH, Row, peak_mb, write_results
from neuron_pruning.any_network.batches import Batches
from neuron_pruning.any_network.costs import CostModel
from neuron_pruning.any_network.options import Method
from neuron_pruning.any_network.pruner import Pruner
from neuron_pruning.any_network.saving import FORMAT as PLAN_FORMAT
from neuron_pruning.any_network.saving import (
    PLAN,
    WEIGHTS,
    layers_of,
    load_pruned,
    shapes_of,
    write_tensors,
)
from neuron_pruning.any_network.surgery import kept_entries, mask, removed_as_masked
from neuron_pruning.any_network.tracing import BatchNorm, first_tensor
from neuron_pruning.any_network.unit_layers import FoundLayers, find_unit_layers, verified
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.files import write_json
from neuron_pruning.core.row_cache import Journal

SIZES = (64, 96, 128, 192, 224, 256, 299)  # pixels; the smallest that a network takes is used
MINUTES, GIGABYTES = 10, 14  # a network's process may take
ELSEWHERE = 5  # billions of multiply-adds: where networks stand whose package does not say it
TOLERANCE = 1e-5  # of the largest logit, in float32
TIMM = (
    "beit_base_patch16_224", "cait_xxs24_224", "coat_tiny", "convmixer_768_32", "convnextv2_atto",
    "cspresnet50", "davit_tiny", "deit_tiny_patch16_224", "dla34", "dm_nfnet_f0",
    "edgenext_xx_small", "efficientformerv2_s0", "fastvit_t8", "ghostnet_100", "hardcorenas_a",
    "hrnet_w18_small", "inception_v4", "levit_128s", "mixer_s32_224", "mobilevit_xxs",
    "poolformer_s12", "pvt_v2_b0", "repvgg_a0", "res2net50_26w_4s", "resnet18", "seresnet18",
    "tf_efficientnet_lite0", "vgg11_bn", "vit_tiny_patch16_224", "xcit_nano_12_p16_224",
)  # fmt: skip
HUGGING_FACE = ("ConvNext", "DeiT", "Swin", "ViT")


def network_names() -> list[str]:
    """All networks that are there, the cheapest first."""
    import torchvision

    names = torchvision.models.list_models(module=torchvision.models)
    costs = {n: torchvision.models.get_model_weights(n).DEFAULT.meta["_ops"] for n in names}
    if find_spec("timm"):
        names += [f"timm/{name}" for name in TIMM]
    if find_spec("transformers"):
        names += [f"transformers/{name}" for name in HUGGING_FACE]
    return sorted(names, key=lambda name: costs.get(name, ELSEWHERE))


def factory(name: str) -> Callable[[], nn.Module]:
    """What builds a network, on random weights."""
    source, _, own = name.rpartition("/")
    build = {"": _torchvision, "timm": _timm, "transformers": _hugging_face}[source]
    return lambda: build(own).eval()


def _torchvision(name: str) -> nn.Module:
    import torchvision

    options = {}
    if name in ("googlenet", "inception_v3"):
        options = {"init_weights": False, "aux_logits": False}
    model: nn.Module = torchvision.models.get_model(name, weights=None, **options)
    return model


def _timm(name: str) -> nn.Module:
    import timm

    model: nn.Module = timm.create_model(name, pretrained=False)
    return model


def _hugging_face(name: str) -> nn.Module:
    import transformers

    from neuron_pruning.any_network.sources import Logits

    config = getattr(transformers, f"{name}Config")(num_labels=10)
    return Logits(getattr(transformers, f"{name}ForImageClassification")(config))


@torch.no_grad()
def stir(model: nn.Module) -> None:
    """Random numbers where all of a parameter are alike, in place.

    As they begin they are zero, one or tiny, and would hide what a cut changes.
    """
    for module in model.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if parameter.numel() > 1 and parameter.min() == parameter.max():
                scale = name != "bias" and parameter.numel() == max(parameter.shape)
                parameter.uniform_(*((0.5, 1.5) if scale else (-0.5, 0.5)))
        if isinstance(module, BatchNorm) and module.running_mean is not None:
            module.running_mean.normal_(std=0.1)


def example_of(model: nn.Module) -> Tensor:
    """Two random images of the smallest size that a network takes."""
    for size in SIZES:
        images = torch.randn(2, 3, size, size)
        try:
            with torch.inference_mode():
                copy.deepcopy(model)(images)  # Swin's windows shrink to small images, and stay so
        except (RuntimeError, AssertionError, ValueError):
            continue
        return images
    raise UserError("the network takes images of none of the sizes")


def measure(name: str) -> Row:
    """Find, cut, mask, save and load one network."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    model = factory(name)()
    stir(model)
    images = example_of(model)
    started = time.process_time()
    found = find_unit_layers(model, images, verify=False)
    traced = time.process_time()
    planned = len(found.layers)
    found = verified(model, images, found)
    done = time.process_time()
    row = {
        "pixels": images.shape[-1],
        "layers": len(found.layers),
        "inner": len(found.inner),
        "unverified": planned - len(found.layers),
        "refused": len(found.refused),
        "reason": _main_reason(found),
        "parameters": sum(p.numel() for p in model.parameters()),
        "predicted": _predicted(model, found),
        "trace_seconds": traced - started,
        "verify_seconds": done - traced,
        "multiply_adds": found.total_multiply_adds,
        "counted": _counted(model, images),
    }
    if found.layers:
        row |= {"in_float64": removed_as_masked(model, images, [*found.layers.values()]) or ""}
        row |= _cut_and_loaded(model, found, images, factory(name))
    return row


def _main_reason(found: FoundLayers) -> str:
    numbers = re.compile(r"[\w.]*\d[\w.-]*")  # names of layers, numbers of groups
    reasons = Counter(numbers.sub("*", layer.reason) for layer in found.refused.values())
    return "; ".join(f"{count} x {reason}" for reason, count in reasons.most_common(3))


def _predicted(model: nn.Module, found: FoundLayers) -> float:
    """Share of the parameters that stays by the cost model when every layer loses half."""
    halves = {name: layer.units // 2 for name, layer in found.layers.items()}
    return CostModel(model, found).size(halves).parameters / found.total_parameters


def _counted(model: nn.Module, images: Tensor) -> int:
    """Multiply-adds of an image in Linears and convolutions as PyTorch counts them."""
    # With gradients: without, an encoder runs as one operation that is not counted.
    with FlopCounterMode(display=False) as counter:
        model(images[:1])
    counts = counter.get_flop_counts()["Global"]
    kept = ("convolution", "mm", "addmm", "bmm")
    return sum(n for op, n in counts.items() if str(op).split(".")[-1] in kept) // 2


def _cut_and_loaded(
    model: nn.Module, found: FoundLayers, images: Tensor, build: Callable[[], nn.Module]
) -> Row:
    """How far the cut network is from the silenced one, and whether it comes back from files."""
    pruner = Pruner(model, found, Batches([images], 0.0, torch.device("cpu")))
    started = time.process_time()
    halves = {name: layer.units // 2 for name, layer in found.layers.items()}
    cut = pruner.cut(halves, Method("l1", compensation="none", batch_norm="keep"))
    seconds = time.process_time() - started
    with torch.inference_mode():
        whole = first_tensor(model(images))
        outputs = first_tensor(cut.model(images))
    shapes = shapes_of(model)
    mask(model, kept_entries((found.layers[n], removed) for n, removed in cut.removed.items()))
    with torch.inference_mode():
        masked = first_tensor(model(images))
    with TemporaryDirectory() as folder:
        write_tensors(Path(folder) / WEIGHTS, cut.model)
        plan = {
            "format": PLAN_FORMAT, "unpruned": shapes, "pruned": shapes_of(cut.model),
            "layers": layers_of(found, cut),
        }  # fmt: skip
        write_json(Path(folder) / PLAN, plan)
        loaded = load_pruned(folder, build)
    with torch.inference_mode():
        again = first_tensor(loaded(images))
    sizes = [sum(p.numel() for p in m.parameters()) for m in (cut.model, model)]
    scale = float(masked.abs().max())
    return {
        "cut_seconds": seconds,
        "left": sizes[0] / sizes[1],
        "difference": float((outputs - masked).abs().max()) / scale,
        "changed": float((whole - masked).abs().max()) / scale,
        "reloaded": torch.equal(outputs, again),
    }


def in_limits(name: str, gigabytes: int = GIGABYTES) -> Row:
    """One network in a process of its own, forked so that nothing is imported again."""
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_job, args=(name, gigabytes, sender))
    process.start()
    sender.close()
    try:
        row: Row = receiver.recv()
    except EOFError:  # killed by a limit
        row = {"unmeasured": f"more than {MINUTES} minutes or {gigabytes} GB"}
    process.join()
    return {"network": name, **row}


def _job(name: str, gigabytes: int, sender: Connection) -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (gigabytes * 10**9,) * 2)
    resource.setrlimit(resource.RLIMIT_CPU, (60 * MINUTES,) * 2)
    try:
        row = measure(name)
    except Exception as error:  # noqa: BLE001 - the table says what the network's own code raises
        row = {"failure": f"{type(error).__name__}: {error}", "where": traceback.format_exc()}
        if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):
            row = {"unmeasured": f"more than {gigabytes} GB"}
    sender.send({**row, "peak_mb": peak_mb()})


def report(rows: Sequence[Row]) -> str:
    """The table and its summary."""
    lines = [
        "| network | pixels | layers | inner | refused, why | parameters left | multiply-adds / "
        "PyTorch's | tracing s | verifying s | difference | reloaded | peak GB |",
        "|---|---|---|---|---|---|---|---|---|---|---|---|",
        *map(_line, rows),
    ]
    measured = [row for row in rows if "unmeasured" not in row]
    good = [row for row in measured if is_good(row)]
    odd = [f"{row['network']} ({_trouble(row)})" for row in measured if not is_good(row)]
    beyond = [f"{row['network']} ({_trouble(row)})" for row in rows if "unmeasured" in row]
    slowest = max(rows, key=lambda row: row.get("trace_seconds", 0.0))
    return "\n".join(
        [
            *lines,
            "",
            f"{len(good)} of {len(measured)} networks lose half of the units of every layer found, "
            "compute the same as with these units silenced, and come back from files bit for bit.",
            f"Exceptions: {', '.join(odd) or 'none'}.",
            f"Not measured: {', '.join(beyond) or 'none'}.",
            f"Slowest to trace: {slowest['network']}, {slowest.get('trace_seconds', 0.0):.1f} s.",
        ]
    )


def is_good(row: Row) -> bool:
    """Whether a network has layers, and all that was done with it is right."""
    return (
        bool(row.get("layers"))
        and row["in_float64"] == ""
        and row["difference"] <= TOLERANCE < row["changed"]
        and row["reloaded"]
    )


def _trouble(row: Row) -> str:
    for key in ("failure", "unmeasured"):
        if key in row:
            return str(row[key])
    if not row["layers"]:
        return f"no layer: {row['reason']}"
    return row["in_float64"] or f"{row['difference']:.1e} apart, changed by {row['changed']:.1e}"


def _line(row: Row) -> str:
    if not row.get("layers"):
        return f"| {row['network']} | {_trouble(row)} |" + " |" * 10
    agreement = row["multiply_adds"] / row["counted"]
    return (
        f"| {row['network']} | {row['pixels']} | {row['layers']} | {row['inner']} | "
        f"{row['refused']}: {row['reason']} | {row['left']:.3f} | {agreement:.4f} | "
        f"{row['trace_seconds']:.1f} | {row['verify_seconds']:.1f} | {row['difference']:.1e} | "
        f"{'yes' if row['reloaded'] else 'NO'} | {row['peak_mb'] / 1000:.1f} |"
    )


def rows_of(names: Sequence[str], minutes: float, gigabytes: int, journal: Journal) -> list[Row]:
    """A row per network: those of the journal, and new ones, until so many minutes are over."""
    known = {row["network"]: row for row in journal.read()}
    rows, started = list[Row](), time.monotonic()
    for name in names:
        row = known.get(name)
        if row is None and time.monotonic() - started > 60 * minutes:
            row = {"network": name, "unmeasured": "the time was over"}
        elif row is None:
            row = in_limits(name, gigabytes)
            journal.add([row])
            print(json.dumps(row), flush=True)
        rows.append(row)
    return rows


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--names", nargs="+", help="of networks; all where left out")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="none begins later")
    parser.add_argument("--gigabytes", type=int, default=GIGABYTES, help="that a network may take")
    arguments = parser.parse_args()
    started, journal = time.time(), Journal(SCRATCH / "zoo.rows")
    journal.path.parent.mkdir(parents=True, exist_ok=True)
    names = arguments.names or network_names()
    rows = rows_of(names, arguments.minutes, arguments.gigabytes, journal)
    note = (
        "\n\nRandom weights; half of the units by their weights' absolute sum; the smallest images "
        "that each network takes; seconds of one core. *Difference*: of the largest logit, in "
        "float32; in float64 it is at most 1e-9. *Parameters left* when every layer loses half."
    )
    write_results("zoo", rows, report(rows) + note, started)
    if {*names} <= {row["network"] for row in journal.read()}:
        journal.path.unlink()  # the next run begins from scratch


if __name__ == "__main__":
    main()
