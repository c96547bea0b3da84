"""The convolutional part of a network, run in few passes over memory.

``run_features`` computes what calling the layers one by one computes, to floating-point noise,
and so are its gradients. Two things make the paper's networks faster; those of torchvision run
as they are:

* A strided convolution of few channels runs as a dense one over space-to-depth images, which
  fills vector and matrix units (for instance 11 x 11 with stride 4 over 3 channels as 3 x 3 with
  stride 1 over 48). The parameters keep their shape.
* On a CPU, convolution, pooling and ReLU run together on a few images at a time, so that what
  the convolution writes is read back from the cache, and is not kept for the backward pass.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuron_pruning.core.errors import UserError
from neuron_pruning.models.local_contrast import LocalContrast

CHUNK_BYTES = 64 * 2**20  # of one convolution's output; any size that fits a cache does
DENSE_CHANNELS = 64  # a space-to-depth image has at most so many

aten = torch.ops.aten


@dataclass(frozen=True)
class Block:
    """A convolution and what follows it up to the next one; before the first, what is there."""

    convolution: nn.Conv2d
    normalisation: nn.BatchNorm2d | None
    pooling: nn.MaxPool2d | None
    contrast: LocalContrast | None = None


def blocks(features: nn.Module) -> Iterator[Block]:
    """The layers of ``features``, one block per convolution; each ends in a ReLU.

    Raises:
        UserError: it is no chain of convolutions, as torchvision's networks are not.
    """
    if not isinstance(features, nn.Sequential):
        raise UserError(
            "the convolutions of a network of torchvision are no chain: they cannot be cut or "
            "looked at one by one; choose fully connected layers"
        )
    layers = list(features)
    starts = [at for at, layer in enumerate(layers) if isinstance(layer, nn.Conv2d)]
    for start, end in zip(starts, [*starts[1:], len(layers)], strict=True):
        convolution, *rest = layers[start:end]
        assert isinstance(convolution, nn.Conv2d)
        normalisation = next((m for m in rest if isinstance(m, nn.BatchNorm2d)), None)
        pooling = next((m for m in rest if isinstance(m, nn.MaxPool2d)), None)
        first = layers[0] if start == starts[0] else None
        contrast = first if isinstance(first, LocalContrast) else None
        yield Block(convolution, normalisation, pooling, contrast)


def run_features(features: nn.Module, images: Tensor) -> Tensor:
    """Outputs of ``features``, N x channels x height x width, for normalised images.

    Those of a network of torchvision are N x features already.
    """
    if not isinstance(features, nn.Sequential):
        outputs: Tensor = features(images)
        return outputs
    values = images
    for block in blocks(features):
        values = run_block(block, values)
    return values


def run_block(block: Block, values: Tensor) -> Tensor:
    """Outputs of one block, N x channels x height x width."""
    if block.contrast is not None:
        values = block.contrast(values)
    layer = block.convolution
    weight, stride = layer.weight, layer.stride[0]
    if stride > 1 and layer.in_channels * stride**2 <= DENSE_CHANNELS and layer.padding == (0, 0):
        values, weight = space_to_depth(values, weight, stride)
        stride = 1
    if values.device.type == "cpu" and block.normalisation is None:
        return _run_fused(values, weight, layer, stride, block.pooling)
    values = functional.conv2d(values, weight, layer.bias, stride, layer.padding)
    if block.normalisation is not None:
        values = block.normalisation(values)
    if block.pooling is not None:
        values = block.pooling(values)
    return functional.relu_(values)


def space_to_depth(images: Tensor, kernels: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Images and kernels whose convolution with stride 1 is that of the arguments with ``stride``.

    Every ``stride`` x ``stride`` pixels become the channels of one; kernels are padded with zeros
    to a multiple of ``stride``, and images with zeros that only these zeros meet.

    Args:
        images: N x channels x height x width.
        kernels: outputs x channels x size x size.
        stride: of the convolution, in pixels.
    """
    size = kernels.shape[-1]
    cells = -(-size // stride)
    kernels = functional.pad(kernels, [0, cells * stride - size] * 2)
    outputs = [(length - size) // stride + 1 for length in images.shape[2:]]
    height, width = ((count - 1 + cells) * stride for count in outputs)
    missing = (max(width - images.shape[3], 0), max(height - images.shape[2], 0))
    if any(missing):
        images = functional.pad(images, [0, missing[0], 0, missing[1]])
    return _to_depth(images[:, :, :height, :width], stride), _to_depth(kernels, stride)


def _to_depth(values: Tensor, stride: int) -> Tensor:
    """N x C x H x W as N x (stride * stride * C) x H/stride x W/stride, channels last."""
    count, channels, height, width = values.shape
    rows, columns = height // stride, width // stride
    cells = values.permute(0, 2, 3, 1).reshape(count, rows, stride, columns, stride, channels)
    depth = cells.permute(0, 1, 3, 2, 4, 5).reshape(count, rows, columns, -1)
    return depth.permute(0, 3, 1, 2)


def _run_fused(
    values: Tensor, weight: Tensor, layer: nn.Conv2d, stride: int, pooling: nn.MaxPool2d | None
) -> Tensor:
    """One fused block, in the precision that autocast asks for."""
    bias = layer.bias
    assert bias is not None
    if torch.is_autocast_enabled("cpu"):
        kind = torch.get_autocast_dtype("cpu")
        values, weight, bias = values.to(kind), weight.to(kind), bias.to(kind)
    window = None if pooling is None else (pooling.kernel_size, pooling.stride)
    outputs: Tensor = _ConvolutionPoolingReLU.apply(
        values, weight, bias, stride, int(layer.padding[0]), window
    )
    return outputs


class _ConvolutionPoolingReLU(torch.autograd.Function):
    """relu(pool(convolution)) on a few images at a time.

    Kept for the backward pass are the inputs, the (pooled) outputs and where each maximum was;
    the convolution's own outputs, by far the largest, are not.
    """

    @staticmethod
    def forward(
        ctx: Any,
        values: Tensor,
        weight: Tensor,
        bias: Tensor,
        stride: int,
        padding: int,
        window: tuple[int, int] | None,
    ) -> Tensor:
        shape = _output_shape(values, weight, stride, padding)
        images = max(1, CHUNK_BYTES // (values.element_size() * shape.numel()))
        joined, places = None, []
        for start in range(0, len(values), images):
            made = functional.conv2d(values[start : start + images], weight, bias, stride, padding)
            if window is not None:
                made, where = _pool(made, *window)
                places.append(where)
            if joined is None:
                joined = _room(made, len(values), made.shape[1:])
            torch.clamp_min(made, 0, out=joined[start : start + images])
        assert joined is not None
        ctx.save_for_backward(values, weight, joined, *places)
        ctx.settings = (stride, padding, window, shape, images)
        return joined

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, outputs, *places = ctx.saved_tensors
        stride, padding, window, shape, images = ctx.settings
        wanted = [ctx.needs_input_grad[0], True, True]
        exact = torch.promote_types(weight.dtype, torch.float32)
        to_values = torch.empty_like(values) if wanted[0] else None
        to_weight = torch.zeros_like(weight, dtype=exact)
        to_bias = torch.zeros(len(weight), dtype=exact)
        for number, (piece, output, part) in enumerate(
            zip(values.split(images), outputs.split(images), gradient.split(images), strict=True)
        ):
            part = aten.threshold_backward(part, output, 0)
            if window is not None:
                part = _unpool(part, places[number], shape, *window)
            to_piece, more_weight, more_bias = aten.convolution_backward(
                part, piece, weight, [len(weight)], [stride] * 2, [padding] * 2, [1, 1],
                False, [0, 0], 1, wanted,
            )  # fmt: skip
            to_weight += more_weight
            to_bias += more_bias
            if to_values is not None:
                to_values[number * images : (number + 1) * images] = to_piece
        kind = weight.dtype
        return to_values, to_weight.to(kind), to_bias.to(kind), None, None, None


def _output_shape(values: Tensor, weight: Tensor, stride: int, padding: int) -> torch.Size:
    """Channels, height and width of the convolution's output for one image."""
    size = weight.shape[-1]
    sides = [(length + 2 * padding - size) // stride + 1 for length in values.shape[2:]]
    return torch.Size([len(weight), *sides])


def _room(values: Tensor, count: int, shape: torch.Size) -> Tensor:
    """Memory for ``count`` outputs of ``shape``, in the type of ``values``, channels last."""
    return torch.empty((count, *shape), dtype=values.dtype, memory_format=torch.channels_last)


def _pool(values: Tensor, size: int, stride: int) -> tuple[Tensor, Tensor]:
    pooled, places = aten.max_pool2d_with_indices(values, [size] * 2, [stride] * 2)
    return pooled, places.int()


def _unpool(gradient: Tensor, places: Tensor, shape: torch.Size, size: int, stride: int) -> Tensor:
    """Gradient of the pooling's input: each maximum gets what came to it."""
    inputs = _room(gradient, len(gradient), shape)
    result: Tensor = aten.max_pool2d_with_indices_backward(
        gradient, inputs, [size] * 2, [stride] * 2, [0, 0], [1, 1], False, places.long()
    )
    return result
