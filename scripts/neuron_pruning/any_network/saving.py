"""Pruned networks in files: a plan, weights, and checked exports; no pickle."""

import copy
import importlib
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

import neuron_pruning
from neuron_pruning.any_network.network_copy import unwrapped
from neuron_pruning.any_network.surgery import cut, kept_heads, resize, set_tensor
from neuron_pruning.any_network.tracing import first_tensor
from neuron_pruning.any_network.weights import check_finite
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.files import atomic_path, read_json, write_json
from neuron_pruning.models.weight_files import read_tensors

if TYPE_CHECKING:
    from neuron_pruning.any_network.pruner import Cut
    from neuron_pruning.any_network.result import PruningResult
    from neuron_pruning.any_network.unit_layers import FoundLayers

PLAN, WEIGHTS, ONNX, EXPORTED = "plan.json", "model.safetensors", "model.onnx", "model.pt2"
FORMAT = 1
TOLERANCE = 1e-3  # relative, of an exported network's logits


def save_pruned(
    result: "PruningResult",
    folder: Path,
    *,
    onnx: bool,
    exported: bool,
    source: Mapping[str, Any] | None,
) -> None:
    """See :meth:`PruningResult.save`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made ({error.strerror}): name another folder"
        ) from error
    write_tensors(folder / WEIGHTS, result.model)
    if exported:
        _save_exported(result, folder / EXPORTED)
    if onnx:
        _save_onnx(result, folder / ONNX)
    write_json(folder / PLAN, plan_of(result, source))  # last: a folder with a plan is whole


def write_tensors(path: Path, model: nn.Module) -> None:
    """Write a network's parameters and buffers."""
    tensors = {n: t.detach().cpu().contiguous().clone() for n, t in model.state_dict().items()}
    with atomic_path(path) as temporary:
        save_file(tensors, temporary)


def plan_of(result: "PruningResult", source: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What was removed from which network, how, and what came of it."""
    answer = result.answer
    return {
        "format": FORMAT,
        "package": f"neuron-pruning {neuron_pruning.__version__}",
        "input_shape": list(result.input_shape),
        "source": None if source is None else dict(source),
        "unpruned": shapes_of(result.unpruned),
        "pruned": shapes_of(result.model),
        "layers": layers_of(result.found, result.cut),
        "goal": asdict(result.goal),
        "method": asdict(result.method),
        "parameters": [size.parameters for size in result.sizes],
        "multiply_adds": [size.multiply_adds for size in result.sizes],
        "agreement": answer.agreement.interval,
        "accuracy": answer.accuracy and answer.accuracy.interval,
        "accuracy_before": answer.accuracy_before and answer.accuracy_before.interval,
        "images": answer.agreement.images,
        "random": list(answer.random),
        "difference": answer.difference,
        "p": answer.p,
    }


def layers_of(found: "FoundLayers", pruned: "Cut") -> list[dict[str, Any]]:
    """What was kept of each layer, as a plan states it."""
    return [
        {
            "name": name,
            "kind": found.layers[name].kind,
            "units": selection.units,
            "width": found.layers[name].width,
            "kept": list(selection.kept),
            "producers": list(found.layers[name].producers),
            "consumers": list(found.layers[name].consumers),
            "owners": list(found.layers[name].owners),
        }
        for name, selection in pruned.selections.items()
    ]


def shapes_of(model: nn.Module) -> dict[str, list[int]]:
    """Shapes of a network's parameters and buffers by name."""
    return {name: list(tensor.shape) for name, tensor in model.state_dict().items()}


def load_pruned(folder: Path | str, factory: Callable[[], nn.Module]) -> nn.Module:
    """A pruned network from its folder and the definition of the unpruned one.

    Args:
        folder: written by :meth:`PruningResult.save`.
        factory: builds the unpruned network; its weights do not matter. Of a network that
            :func:`open_network` opens, ``lambda: open_network(source).module``.

    Returns:
        The network in evaluation mode, on the CPU, with the very weights that were saved.

    Raises:
        UserError: a folder without a plan, a factory of another network (named is the first layer
            that differs), or weights that are not the plan's.
    """
    folder = Path(folder)
    plan = read_plan(folder)
    model = unwrapped(build(factory)).cpu().eval()
    _check_definition(folder, plan, shapes_of(model))
    tensors = read_tensors(folder / WEIGHTS, "prune again")
    check_finite(tensors, str(folder / WEIGHTS), "prune again")
    shapes, planned = {n: list(t.shape) for n, t in tensors.items()}, plan["pruned"]
    odd = sorted(n for n in {*shapes, *planned} if shapes.get(n) != planned.get(n))
    if odd:
        raise UserError(
            f"{folder / WEIGHTS} has not the tensors of its plan ({', '.join(odd[:3])}): it is of "
            "another pruning; prune again"
        )
    for layer in plan.get("layers", ()):
        for owner in layer.get("owners", ()):  # they state how many heads there are
            kept = np.isin(np.arange(layer["units"]), layer["kept"])
            cut(model, kept_heads(owner, kept, layer["width"]))
    for name, values in tensors.items():
        owner, _, own = name.rpartition(".")
        set_tensor(model.get_submodule(owner), own, values)
    for module in model.modules():
        resize(module)
    return model


def build(factory: Callable[[], nn.Module]) -> nn.Module:
    """What a user's factory makes.

    Raises:
        UserError: it raises something, or makes no network.
    """
    if isinstance(factory, nn.Module):
        raise UserError("give the function that builds the network, not the network itself")
    try:
        model = factory()
    except Exception as error:
        raise UserError(
            f"the factory of the network fails: {type(error).__name__}: {error}"
        ) from error
    if not isinstance(model, nn.Module):
        raise UserError(f"the factory makes a {type(model).__name__}, not a torch.nn.Module")
    return model


def read_plan(folder: Path) -> dict[str, Any]:
    """The plan in a folder of a pruned network.

    Raises:
        UserError: there is none, or it is no plan of this version.
    """
    path = folder / PLAN
    if not path.is_file():
        raise UserError(f"{folder} holds no {PLAN}: give the folder of a pruned network")
    plan = read_json(path)
    if (
        not isinstance(plan, dict)
        or plan.get("format") != FORMAT
        or not {"unpruned", "pruned"} <= plan.keys()
    ):
        raise UserError(f"{path} is no plan of this version of neuron-pruning; prune again")
    return plan


def _check_definition(
    folder: Path, plan: Mapping[str, Any], found: Mapping[str, list[int]]
) -> None:
    wanted, source = plan["unpruned"], (plan.get("source") or {}).get("source")
    example = f": lambda: open_network({source!r}).module" if source else ""
    for name in [*found, *wanted]:
        if wanted.get(name) != found.get(name):
            raise UserError(
                f"{folder / PLAN} is the plan of another network: {name} is {found.get(name)} in "
                f"this one and {wanted.get(name)} in the plan's; give the factory of the network "
                f"that was pruned{example}"
            )


def _save_exported(result: "PruningResult", path: Path) -> None:
    """Write torch.export's form of a network, and check that it computes the same."""
    model, images = _for_export(result)
    try:
        program = torch.export.export(
            model, (images,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)
        )
        with atomic_path(path) as temporary:
            torch.export.save(program, temporary)
        found = torch.export.load(path).module()(images)
    except Exception as error:
        raise UserError(f"this network cannot be exported to {path}: {error}") from error
    _check_same(path, model, images, first_tensor(found))


def _save_onnx(result: "PruningResult", path: Path) -> None:
    """Write a network for other runtimes, and check with onnxruntime that it computes the same."""
    model, images = _for_export(result)
    try:
        onnx = importlib.import_module("neuron_pruning.models.onnx_export")
    except ImportError as error:
        raise UserError(
            f"ONNX needs the extra: pip install 'neuron-pruning[workflow]' ({error})"
        ) from error
    try:
        onnx.write_onnx(model, images, path)
    except Exception as error:
        raise UserError(f"this network cannot be exported to {path}: {error}") from error
    _check_same(path, model, images, torch.from_numpy(onnx.onnx_logits(path, images)))


def _for_export(result: "PruningResult") -> tuple[nn.Module, Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn((2, *result.input_shape[1:]), generator=generator)
    return copy.deepcopy(result.model).cpu().float().eval(), images


def relative_difference(expected: Tensor, found: Tensor) -> float:
    """Largest difference of logits, as a share of the largest of those expected."""
    return float((found.detach() - expected).abs().max() / expected.abs().max().clamp_min(1e-12))


def _check_same(path: Path, model: nn.Module, images: Tensor, found: Tensor) -> None:
    with torch.inference_mode():
        expected = first_tensor(model(images))
    apart = relative_difference(expected, found)
    if not apart <= TOLERANCE:
        raise UserError(f"{path} computes something else than the network: {apart:.2g} apart")
