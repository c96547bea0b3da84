"""The convolutional part of a network, run in few passes over memory.

``run_features`` computes what calling the layers one by one computes, to floating-point noise,
and so are its gradients. Two things make the paper's networks faster; those of torchvision run
as they are:

* A strided convolution of few channels runs as a dense one over space-to-depth images, which
  fills vector and matrix units (for instance 11 x 11 with stride 4 over 3 channels as 3 x 3 with
  stride 1 over 48). The parameters keep their shape.
* On a CPU, convolution, pooling and ReLU run together on a few images at a time, so that what
  the convolution writes is read back from the cache, and is not kept for the backward pass.

On processors whose vectors end at AVX2, gradients to the kernels are products of matrices:
oneDNN has no fast kernel there for channels last, and takes up to four times as long. The
processor decides, not a stopwatch: a choice by time would differ from run to run, and with it the
last bits of a training.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from neuron_pruning.core.errors import UserError
from neuron_pruning.models.architectures import Window
from neuron_pruning.models.local_contrast import LocalContrast

CHUNK_BYTES = 64 * 2**20  # of one convolution's output; any size that fits a cache does
DENSE_CHANNELS = 64  # a space-to-depth image has at most so many
PRODUCT_COLUMNS = 96  # products of fewer (side of the kernel x channels) are slower than oneDNN
PRODUCT_BYTES = 16 * 2**20  # of the rows that one product reads; at least one image

aten = torch.ops.aten


class Block(NamedTuple):
    """A convolution and what follows it up to the next one; before the first, what is there."""

    convolution: nn.Conv2d
    normalisation: nn.BatchNorm2d | None
    pooling: nn.MaxPool2d | None
    contrast: LocalContrast | None


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
    found: dict[type, Any] = {}
    for layer in features:
        found[type(layer)] = layer
        if isinstance(layer, nn.ReLU):
            convolution, normalisation = found[nn.Conv2d], found.get(nn.BatchNorm2d)
            pooling, contrast = found.get(nn.MaxPool2d), found.get(LocalContrast)
            yield Block(convolution, normalisation, pooling, contrast)
            found = {}


def run_features(features: nn.Module, images: Tensor) -> Tensor:
    """Outputs of ``features``, N x channels x height x width, for normalised images.

    Those of a network of torchvision are N x features already.
    """
    values = images
    if not isinstance(features, nn.Sequential):
        values = features(images)
        return values
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
    outputs = map(Window(size, stride).outputs, images.shape[2:])
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
    assert layer.bias is not None
    parameters = [values, weight, layer.bias]
    if torch.is_autocast_enabled("cpu"):
        parameters = [tensor.to(torch.get_autocast_dtype("cpu")) for tensor in parameters]
    window = Window(weight.shape[-1], stride, int(layer.padding[0]))
    pool = None
    if pooling is not None:
        assert isinstance(pooling.kernel_size, int) and isinstance(pooling.stride, int)
        pool = Window(pooling.kernel_size, pooling.stride)
    outputs: Tensor = _ConvolutionPoolingReLU.apply(*parameters, window, pool)
    return outputs


class _ConvolutionPoolingReLU(torch.autograd.Function):
    """relu(pool(convolution)) on a few images at a time.

    Kept for the backward pass are the inputs, the (pooled) outputs and where each maximum was;
    the convolution's own outputs, by far the largest, are not.
    """

    @staticmethod
    def forward(
        ctx: Any, values: Tensor, weight: Tensor, bias: Tensor, window: Window, pool: Window | None
    ) -> Tensor:
        convolved = list(map(window.outputs, values.shape[2:]))
        bytes_per_image = values.element_size() * len(weight) * math.prod(convolved)
        images = max(1, CHUNK_BYTES // bytes_per_image)
        sides = convolved if pool is None else list(map(pool.outputs, convolved))
        outputs, places = _room(values, len(weight), sides), []
        for start in range(0, len(values), images):
            piece = values[start : start + images]
            made = functional.conv2d(piece, weight, bias, window.stride, window.padding)
            if pool is not None:
                made, where = aten.max_pool2d_with_indices(made, [pool.size] * 2, [pool.stride] * 2)
                places.append(where.int())
            torch.clamp_min(made, 0, out=outputs[start : start + images])
        ctx.save_for_backward(values, weight, outputs, *places)
        ctx.settings = (window, pool, convolved, images)
        return outputs

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, outputs, *places = ctx.saved_tensors
        window, pool, convolved, images = ctx.settings
        multiplied = _multiplies(values, weight, window)
        wanted = [ctx.needs_input_grad[0], not multiplied, not multiplied]
        exact = torch.promote_types(weight.dtype, torch.float32)
        to_values = torch.empty_like(values) if wanted[0] else None
        to_weight = torch.zeros_like(weight, dtype=exact)
        to_bias = torch.zeros(len(weight), dtype=exact)
        for number, (piece, output, part) in enumerate(
            zip(values.split(images), outputs.split(images), gradient.split(images), strict=True)
        ):
            part = aten.threshold_backward(part, output, 0)
            if pool is not None:  # each maximum gets what came to it
                part = aten.max_pool2d_with_indices_backward(
                    part, _room(part, len(weight), convolved), [pool.size] * 2, [pool.stride] * 2,
                    [0, 0], [1, 1], False, places[number].long(),
                )  # fmt: skip
            to_piece, more_weight, more_bias = aten.convolution_backward(
                part, piece, weight, [len(weight)], [window.stride] * 2, [window.padding] * 2,
                [1, 1], False, [0, 0], 1, wanted,
            )  # fmt: skip
            if multiplied:
                more_weight = kernel_gradient(part, piece, window)
                more_bias = part.sum((0, 2, 3))
            to_weight += more_weight
            to_bias += more_bias
            if to_values is not None:
                to_values[number * images : (number + 1) * images] = to_piece
        kind = weight.dtype
        return to_values, to_weight.to(kind), to_bias.to(kind), None, None


def _multiplies(values: Tensor, weight: Tensor, window: Window) -> bool:
    """Whether products of matrices give the gradient to these kernels sooner than oneDNN does."""
    return (
        torch.backends.cpu.get_cpu_capability() == "AVX2"
        and values.dtype == torch.float32
        and window.stride == 1
        and window.size * weight.shape[1] >= PRODUCT_COLUMNS
    )


def kernel_gradient(gradient: Tensor, values: Tensor, window: Window) -> Tensor:
    """Gradient to the kernels of a convolution with stride 1, one product per row of the kernel.

    Args:
        gradient: to the outputs, N x outputs x height x width.
        values: inputs, N x channels x height x width.
        window: side and padding of the kernels.

    Returns:
        outputs x channels x side x side.
    """
    size, channels = window.size, values.shape[1]
    total = gradient.new_zeros(size, gradient.shape[1], size * channels)
    images = max(1, PRODUCT_BYTES // (values[0].nbytes * size))
    for part, piece in zip(gradient.split(images), values.split(images), strict=True):
        to_places, height = part.permute(1, 2, 0, 3).flatten(1), part.shape[2]
        pixels = functional.pad(piece, [window.padding] * 4).permute(2, 0, 3, 1)
        # A row of the kernel meets these: height x (N x width) x (side x channels).
        rows = pixels.unfold(2, size, 1).transpose(3, 4).flatten(3).flatten(1, 2)
        for row, sums in enumerate(total):
            sums.addmm_(to_places, rows[row : row + height].flatten(0, 1))
    return total.view(size, -1, size, channels).permute(1, 3, 0, 2)


def _room(values: Tensor, channels: int, sides: list[int]) -> Tensor:
    """Memory for as many images as ``values`` and in their type, channels last."""
    shape = (len(values), channels, *sides)
    return torch.empty(shape, dtype=values.dtype, memory_format=torch.channels_last)
