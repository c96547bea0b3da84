"""Where trained networks come from: a factory, torchvision, timm, Hugging Face, this workflow.

Nothing is downloaded and no pickle is run. Only a factory runs code that is not installed.
"""

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from neuron_pruning.any_network.network_copy import unwrapped
from neuron_pruning.any_network.options import SOURCES
from neuron_pruning.any_network.preprocessing import (
    GIVE,
    Preprocessing,
    hugging_face_preprocessing,
    timm_preprocessing,
    torchvision_preprocessing,
    workflow_preprocessing,
)
from neuron_pruning.any_network.weights import Tensors, check_finite, load_weights
from neuron_pruning.core.errors import UserError, did_you_mean, refuse_unreadable
from neuron_pruning.models.checkpoints import as_network_file, description_path, read_description
from neuron_pruning.models.networks import load_network
from neuron_pruning.models.sequential import plain_module

CORRECT = "; correct the name"
RANDOM = "random weights: no file of weights was given"
TRAINING_PARTS = ("aux1", "aux2", "AuxLogits")  # classifiers of torchvision's for training
OLD_DENSENET = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)")  # as its files are named


@dataclass(frozen=True)
class OpenedNetwork:
    """A network that is ready to be looked at.

    Attributes:
        module: in evaluation mode, on the CPU, in float32; N x channels x height x width images
            to N x classes logits.
        preprocessing: what brings an image to what it reads.
        source: as it was given.
        labels: names of the classes, by their index; empty where they are not known.
        note: what a reader of the results must know; empty where there is nothing.
    """

    module: nn.Module
    preprocessing: Preprocessing
    source: str
    labels: tuple[str, ...] = ()
    note: str = ""


def open_network(
    source: str,
    weights: Path | str | None = None,
    *,
    classes: int | None = None,
    preprocessing: Preprocessing | None = None,
) -> OpenedNetwork:
    """Build a network and load its weights.

    Args:
        source: one of

            - ``package.module:factory``, installed or in the current folder; called without
              arguments. It may load weights itself.
            - ``torchvision/<name>`` or ``timm/<name>``: random without ``weights``, which the note
              then says.
            - a folder of a Hugging Face image classifier: ``config.json``, ``model.safetensors``
              and ``preprocessor_config.json``. Its logits are what the module returns.
            - a ``.safetensors`` file with its JSON beside it, which this workflow or
              :func:`neuron_pruning.save_network` wrote; ``class_names`` of its provenance are the
              labels.

            A ``.pt2`` of torch.export is refused: it holds operations and no layers to cut, and
            torch reads it by running a pickle.
        weights: ``.safetensors``, or what torch.save wrote of a state dict.
        classes: how many the network tells apart, where torchvision or timm builds it.
        preprocessing: instead of that of the network's own metadata; a factory has none.

    Raises:
        UserError: there is no such network, a library is missing, the weights are not its own, or
            its preprocessing is not known.
        NotFinite: weights are NaN or infinite.
    """
    weights = None if weights is None else Path(weights)
    library, _, name = source.partition("/")
    if library in ("torchvision", "timm"):
        build = _from_torchvision if library == "torchvision" else _from_timm
        opened = build(name, weights, classes, preprocessing)
    elif classes is not None:
        raise UserError(f"classes: {source} says itself how many there are; leave it out")
    elif weights is not None and (Path(source).is_dir() or _is_own(source)):
        raise UserError(f"weights: {source} holds its own; leave them out")
    elif Path(source).is_dir():
        opened = _from_hugging_face(Path(source), preprocessing)
    elif _is_own(source):
        opened = _from_workflow(Path(source), preprocessing)
    else:
        opened = _from_factory(source, weights, preprocessing)
    check_finite(opened.module.state_dict(), str(weights or source))
    return replace(opened, module=opened.module.cpu().float().eval())


def _from_factory(
    source: str, weights: Path | None, preprocessing: Preprocessing | None
) -> OpenedNetwork:
    with _importable_from_here(), _staying(source):
        factory = _find_factory(source)
        with refuse_unreadable(
            f"{source} raised an error", "it is called without arguments: make that work in Python"
        ):
            module = factory()
    if not isinstance(module, nn.Module):
        raise UserError(f"{source} returned {type(module).__name__}; return a torch.nn.Module")
    module = unwrapped(module)
    if weights is not None:
        load_weights(module, weights, source)
    if preprocessing is None:
        raise UserError(f"preprocessing: {source} does not say how its images are prepared; {GIVE}")
    return OpenedNetwork(module, preprocessing, source)


@contextmanager
def _importable_from_here() -> Iterator[None]:
    """While this is entered, modules of the current folder are found, as ``python -m`` does."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


@contextmanager
def _staying(source: str) -> Iterator[None]:
    """While this is entered, a program that ends itself is refused."""
    try:
        yield
    except SystemExit as error:
        raise UserError(
            f"{source} ends the program (sys.exit, or arguments read while it is imported): put "
            "what it does as a program behind if __name__ == '__main__'"
        ) from error


def _find_factory(source: str) -> Callable[[], Any]:
    """The function that ``package.module:factory`` names."""
    place, colon, name = source.rpartition(":")
    if source.endswith(".pt2"):
        raise UserError(
            f"{source}: a network of torch.export has no layers left to cut; give what it was "
            f"exported from: {SOURCES}"
        )
    file = place.endswith(".py") or source.endswith(".py")
    if file or not colon or not all(part.isidentifier() for part in [*place.split("."), name]):
        aside = ". Name a file as a module: run in its folder, and leave out .py" if file else ""
        raise UserError(f"{source!r} is no network, and no folder of one; give {SOURCES}{aside}")
    with refuse_unreadable(
        f"{source}: {place} cannot be imported", "run in its folder, or set PYTHONPATH to it"
    ):
        module = importlib.import_module(place)
    factory = getattr(module, name, None)
    if not callable(factory):
        known = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
        raise UserError(
            f"{source}: {place} has no function {name}{did_you_mean(name, known) or CORRECT}"
        )
    return factory


def _from_torchvision(
    name: str, weights: Path | None, classes: int | None, preprocessing: Preprocessing | None
) -> OpenedNetwork:
    source, models = f"torchvision/{name}", _extra("torchvision").models
    _check_name(source, name, models.list_models(module=models))
    entry = models.get_model_weights(name).DEFAULT
    preprocessing = preprocessing or torchvision_preprocessing(entry.transforms())
    options: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    if name in ("googlenet", "inception_v3"):  # as they are once their weights are loaded
        options |= {"aux_logits": False, "transform_input": True, "init_weights": False}
    if name.startswith("vit_"):
        options["image_size"] = preprocessing.height
    with refuse_unreadable(f"{source} cannot be built", "choose other classes, or another size"):
        module = models.get_model(name, weights=None, **options)
    if weights is not None:
        load_weights(module, weights, source, _torchvision_names)
    labels = tuple(entry.meta["categories"])
    labels = labels if classes in (None, len(labels)) else ()
    return OpenedNetwork(module, preprocessing, source, labels, RANDOM if weights is None else "")


def _torchvision_names(tensors: Tensors) -> dict[str, Tensor]:
    """Tensors of its own files, without parts for training, by today's names."""
    return {
        OLD_DENSENET.sub(r"\1\2", name): tensor
        for name, tensor in tensors.items()
        if name.split(".")[0] not in TRAINING_PARTS
    }


def _from_timm(
    name: str, weights: Path | None, classes: int | None, preprocessing: Preprocessing | None
) -> OpenedNetwork:
    source, timm = f"timm/{name}", _extra("timm")
    _check_name(source, name.split(".")[0], timm.list_models())
    options: dict[str, Any] = {} if classes is None else {"num_classes": classes}
    with refuse_unreadable(f"{source} cannot be built", "choose another name, size or classes"):
        if preprocessing and timm.get_pretrained_cfg(name).fixed_input_size:
            options["img_size"] = (preprocessing.height, preprocessing.width)
        module = timm.create_model(name, pretrained=False, **options)
    if weights is not None:
        load_weights(module, weights, source)
    own = timm.data.resolve_model_data_config(module)
    preprocessing = preprocessing or timm_preprocessing(own, source)
    note = RANDOM if weights is None else ""
    return OpenedNetwork(module, preprocessing, source, note=note)


class Logits(nn.Module):
    """A Hugging Face classifier as N x channels x height x width images to N x classes logits."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        """Logits, without what else the classifier returns."""
        logits: Tensor = self.model(pixel_values=images).logits
        return logits


def _from_hugging_face(folder: Path, preprocessing: Preprocessing | None) -> OpenedNetwork:
    if not (folder / "config.json").is_file():
        raise UserError(f"{folder} holds no config.json; give {SOURCES}")
    if not any(folder.glob("model*.safetensors")):
        raise UserError(
            f"{folder} holds no model.safetensors; write it with model.save_pretrained(folder)"
        )
    transformers = _extra("transformers")
    remedy = "give a folder that save_pretrained of an image classifier of that library wrote"
    unreadable = refuse_unreadable(f"{folder} is no image classifier of transformers", remedy)
    with _without_bars(transformers), unreadable:
        model, loading = transformers.AutoModelForImageClassification.from_pretrained(
            folder,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    for fault in ("missing_keys", "unexpected_keys"):
        if loading[fault]:
            first = sorted(map(str, loading[fault]))[0]
            raise UserError(
                f"{folder}: the weights do not fit config.json ({fault.replace('_', ' ')}: "
                f"{len(loading[fault])}, such as {first}); {remedy}"
            )
    if preprocessing is None:
        preprocessing = _processor_of(folder, transformers)
    labels = tuple(name for _, name in sorted((model.config.id2label or {}).items()))
    unnamed = labels == tuple(f"LABEL_{n}" for n in range(len(labels)))
    return OpenedNetwork(Logits(model), preprocessing, str(folder), () if unnamed else labels)


@contextmanager
def _without_bars(transformers: ModuleType) -> Iterator[None]:
    """While this is entered, the library shows no progress, which takes no time here."""
    logging = transformers.utils.logging
    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()


def _processor_of(folder: Path, transformers: ModuleType) -> Preprocessing:
    """Of the folder's image processor, with the defaults of its class."""
    from neuron_pruning.any_network.images import check_processor  # needs Pillow

    with refuse_unreadable(f"{folder} has no usable preprocessor_config.json", GIVE):
        processor = transformers.AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    preprocessing = hugging_face_preprocessing(processor.to_dict(), str(folder))
    check_processor(processor, preprocessing, str(folder))
    return preprocessing


def _is_own(source: str) -> bool:
    return source.endswith(".safetensors")


def _from_workflow(path: Path, preprocessing: Preprocessing | None) -> OpenedNetwork:
    """A network that this workflow trained, pruned or fine-tuned, as a chain of modules.

    ASSUME: its images were whole frames that kept their aspect ratio (``dataset.resize: fit``):
    the description does not say it, and images of the network's own shape are the same either way.
    """
    if not path.is_file():
        raise UserError(f"{path} does not exist; correct the path, or train the network first")
    if not description_path(path).is_file():
        raise UserError(
            f"{path} has no {description_path(path).name} beside it, as networks of this workflow "
            f"have. Of another network, give this file as its weights (--weights), and as source "
            f"{SOURCES}"
        )
    architecture, provenance = read_description(path)
    labels = provenance.get("class_names", ())
    with as_network_file(description_path(path)):
        if labels and len({*map(str, labels)}) != architecture.widths[-1]:
            raise ValueError(f"class_names: {architecture.widths[-1]} different ones are needed")
    faces = "trained on faces that were cut out: images must be such faces"
    return OpenedNetwork(
        plain_module(load_network(path)),
        preprocessing or workflow_preprocessing(*architecture.input_size),
        str(path),
        tuple(map(str, labels)),
        faces if provenance.get("crop") == "face" else "",
    )


def _extra(name: str) -> ModuleType:
    """A library that is not always installed."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"{name} cannot be imported ({error}); install it: pip install {name}"
        ) from error


def _check_name(source: str, name: str, known: Sequence[str]) -> None:
    """Refuse a network that a library does not have."""
    if name not in known:
        raise UserError(f"{source}: there is no such network{did_you_mean(name, known) or CORRECT}")
