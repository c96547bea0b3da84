"""Networks as ONNX files, for other runtimes."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx_ir
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from neuron_pruning.core.errors import UserError, reason_of
from neuron_pruning.core.files import atomic_path
from neuron_pruning.models.networks import Network
from neuron_pruning.models.sequential import evaluating, plain_module

OPSET = 18  # version of the ONNX operators: what PyTorch's exporter writes itself
INPUT, OUTPUT = "images", "logits"
MAX_BYTES = 2**31 - 2**20  # bytes of weights that one file may hold: protobuf ends at 2 GiB

_errors = onnxruntime.capi.onnxruntime_pybind11_state
_UNREADABLE = (  # they have no common base but Exception
    *(_errors.Fail, _errors.InvalidArgument, _errors.InvalidGraph, _errors.InvalidProtobuf),
    *(_errors.NoSuchFile, _errors.RuntimeException, ValueError),
)


def export_onnx(network: Network, path: Path) -> None:
    """Write ``network`` as it computes in evaluation mode; the batch may have any size.

    The input ``images`` is N x 3 x height x width, float32, normalised to [-1, 1]; the output
    ``logits`` N x classes. Weights lie in the file itself or, from 2 GiB on, in ``PATH.data``
    beside it, which is written first.

    Raises:
        UserError: the disk is full.
    """
    size = network.architecture.input_size
    # Two images: from one the exporter would conclude that there is always one.
    example = torch.zeros(2, 3, *size, device=next(network.parameters()).device)
    with evaluating(network):
        write_onnx(plain_module(network), example, path)


def write_onnx(module: nn.Module, example: Tensor, path: Path) -> None:
    """As :func:`export_onnx`, any module of images, in evaluation mode; ``example`` has two."""
    large = sum(values.nbytes for values in module.state_dict().values()) > MAX_BYTES
    with atomic_path(path) as temporary, _quiet():
        program = _translate(module, example)
        onnx_ir.save(program, temporary, external_data=f"{path.name}.data" if large else None)


def _translate(module: nn.Module, example: Tensor) -> onnx_ir.Model:
    """The module in ONNX's operators."""
    program = torch.onnx.export(
        module,
        (example,),
        input_names=[INPUT],
        output_names=[OUTPUT],
        opset_version=OPSET,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        verbose=False,
    )
    assert program is not None
    return program.model


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """No output of the exporter reaches the terminal; errors are raised."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def compare_onnx(network: Network, path: Path, images: Tensor) -> float:
    """Largest absolute difference of logits between PyTorch and onnxruntime, on its CPU provider.

    Args:
        network: as it computes in evaluation mode, where its parameters are.
        path: what :func:`export_onnx` wrote of it.
        images: normalised, N x 3 x height x width.

    Raises:
        UserError: the file is missing, is no ONNX, or is of a network with another input.
    """
    with torch.inference_mode(), evaluating(network):
        expected = network(images.to(next(network.parameters()).device)).cpu().numpy()
    found = onnx_logits(path, images)
    if found.shape != expected.shape:
        raise UserError(f"{path} returns {found.shape}, not {expected.shape}; export it again")
    return float(np.abs(found.astype(np.float64) - expected).max())


def onnx_logits(path: Path, images: Tensor) -> NDArray[np.float32]:
    """Logits, N x classes, by onnxruntime; arguments and errors are those of `compare_onnx`."""
    logits: NDArray[np.float32] = OnnxModule(path)(images).numpy()
    return logits


class OnnxModule(nn.Module):
    """What :func:`write_onnx` wrote, run by onnxruntime on as many threads as PyTorch has.

    Raises:
        UserError: the file is missing or no ONNX; in passes: images that it does not take.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        if not path.is_file():
            raise UserError(f"{path} does not exist; export the network again")
        self.path = path
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors, not advice
        options.intra_op_num_threads = torch.get_num_threads()
        # Threads that spin between two passes would slow down whatever else runs then.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        with self._explained():
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )

    def forward(self, images: Tensor) -> Tensor:
        """Logits, N x classes, of images N x 3 x height x width."""
        with self._explained():
            values = images.detach().cpu().contiguous().numpy()
            return torch.from_numpy(self.session.run([OUTPUT], {INPUT: values})[0])

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except _UNREADABLE as error:
            raise UserError(
                f"{self.path} cannot be run ({reason_of(error)}); export the network again"
            ) from error
