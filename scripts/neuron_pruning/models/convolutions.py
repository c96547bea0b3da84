"""The convolutional part of a network, run in few passes over memory.

``run_features`` computes what calling the layers one by one computes, to floating-point noise,
and so are its gradients. Two things make the paper's networks faster; those of torchvision run
as they are:

* A strided convolution of few channels runs as a dense one over space-to-depth images, which
  fills vector and matrix units (for instance 11 x 11 with stride 4 over 3 channels as 3 x 3 with
  stride 1 over 48). The parameters keep their shape.
* On a CPU, convolution, pooling and ReLU run together on a few images at a time, so that what
  the convolution writes is read back from the cache, and is not kept for the backward pass.
  Batch normalisation becomes part of the kernels then; its statistics come from a pass before.

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
from neuron_pruning.models.architectures import CHUNK_BYTES, Window
from neuron_pruning.models.local_contrast import LocalContrast

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
    window = Window(weight.shape[-1], stride, int(layer.padding[0]))
    if values.device.type == "cpu" and _pays_to_fuse(block, values, weight, window):
        return _run_fused(values, weight, block, window)
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


def _pays_to_fuse(block: Block, values: Tensor, weight: Tensor, window: Window) -> bool:
    """Whether to run a block on a few images at a time.

    Statistics of a batch cost a convolution more each way: only outputs too large for a cache
    are worth that.
    """
    normalisation = block.normalisation
    if normalisation is None or not normalisation.training:
        return True
    return len(values) > _images_at_once(values, weight, window)


def _images_at_once(values: Tensor, weight: Tensor, window: Window) -> int:
    """Images whose convolution fills ``CHUNK_BYTES``, at least one."""
    bytes_per_image = values.element_size() * len(weight) * _places(values[:1], window)
    return max(1, CHUNK_BYTES // bytes_per_image)


def _places(values: Tensor, window: Window) -> int:
    """Places of a window on all images together."""
    return len(values) * math.prod(map(window.outputs, values.shape[2:]))


def _run_fused(values: Tensor, weight: Tensor, block: Block, window: Window) -> Tensor:
    """One fused block, in the precision that autocast asks for."""
    bias = block.convolution.bias
    assert bias is not None
    if torch.is_autocast_enabled("cpu"):
        values = values.to(torch.get_autocast_dtype("cpu"))
    if block.normalisation is not None:
        weight, bias = _normalised(block.normalisation, values, weight, bias, window)
    pool = None
    if block.pooling is not None:
        assert isinstance(block.pooling.kernel_size, int)
        assert isinstance(block.pooling.stride, int)
        pool = Window(block.pooling.kernel_size, block.pooling.stride)
    parameters = weight.to(values.dtype), bias.to(values.dtype)
    outputs: Tensor = _ConvolutionPoolingReLU.apply(values, *parameters, window, pool)
    return outputs


def _normalised(
    layer: nn.BatchNorm2d, values: Tensor, weight: Tensor, bias: Tensor, window: Window
) -> tuple[Tensor, Tensor]:
    """Kernels and bias whose convolution is the normalised one; running statistics follow."""
    mean, variance = layer.running_mean, layer.running_var
    assert mean is not None and variance is not None and layer.momentum is not None
    if layer.training:
        running_mean, running_variance, count = mean, variance, _places(values, window)
        mean, variance = _BatchStatistics.apply(values, weight, window)
        mean = mean + bias
        with torch.no_grad():
            running_mean.lerp_(mean, layer.momentum)
            running_variance.lerp_(variance * (count / (count - 1)), layer.momentum)
            layer.num_batches_tracked.add_(1)  # type: ignore[union-attr]
    scale = layer.weight * torch.rsqrt(variance + layer.eps)
    return weight * scale.view(-1, 1, 1, 1), layer.bias + (bias - mean) * scale


class _BatchStatistics(torch.autograd.Function):
    """Mean and variance per channel of a convolution without bias, a few images at a time.

    Nothing but the inputs is kept; the backward pass convolves again.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, window: Window) -> tuple[Tensor, ...]:
        pieces = values.split(_images_at_once(values, weight, window))
        convolved = (
            functional.conv2d(piece, weight.to(piece.dtype), None, *window[1:]) for piece in pieces
        )
        exact = torch.promote_types(values.dtype, torch.float32)
        found = [torch.var_mean(made.to(exact), (0, 2, 3), correction=0) for made in convolved]
        variances, means = (torch.stack(list(part)).double() for part in zip(*found, strict=True))
        shares = torch.tensor([[len(piece) / len(values)] for piece in pieces], dtype=means.dtype)
        mean = (shares * means).sum(0)
        variance = (shares * (variances + (means - mean).square())).sum(0)
        ctx.save_for_backward(values, weight, mean)
        ctx.window = window
        return mean.to(weight.dtype), variance.to(weight.dtype)

    @staticmethod
    def backward(ctx: Any, to_mean: Tensor, to_variance: Tensor) -> tuple[Tensor | None, ...]:
        values, weight, mean = ctx.saved_tensors
        window = ctx.window
        kernels, count = weight.to(values.dtype), _places(values, window)
        slope = 2 * to_variance / count
        constant = to_mean / count - slope * mean.to(slope.dtype)
        gradients = _Gradients(values, kernels, window, ctx.needs_input_grad[0])
        for piece in values.split(_images_at_once(values, weight, window)):
            made = functional.conv2d(piece, kernels, None, *window[1:])
            made.mul_(slope.view(-1, 1, 1)).add_(constant.view(-1, 1, 1))
            gradients.add(made, piece)
        return gradients.values, gradients.weight.to(weight.dtype), None


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
        images = _images_at_once(values, weight, window)
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
        gradients = _Gradients(values, weight, window, ctx.needs_input_grad[0])
        for number, (piece, output, part) in enumerate(
            zip(values.split(images), outputs.split(images), gradient.split(images), strict=True)
        ):
            part = aten.threshold_backward(part, output, 0)
            if pool is not None:  # each maximum gets what came to it
                part = aten.max_pool2d_with_indices_backward(
                    part, _room(part, len(weight), convolved), [pool.size] * 2, [pool.stride] * 2,
                    [0, 0], [1, 1], False, places[number].long(),
                )  # fmt: skip
            gradients.add(part, piece)
        kind = weight.dtype
        return gradients.values, gradients.weight.to(kind), gradients.bias.to(kind), None, None


class _Gradients:
    """Gradients of a convolution, added up piece by piece in float32 or better."""

    def __init__(self, values: Tensor, weight: Tensor, window: Window, to_values: bool) -> None:
        exact = torch.promote_types(weight.dtype, torch.float32)
        self._weight, self._window, self._images = weight, window, 0
        self._multiplied = _multiplies(values, weight, window)
        self.values = torch.empty_like(values) if to_values else None
        self.weight = torch.zeros_like(weight, dtype=exact)
        self.bias = torch.zeros(len(weight), dtype=exact)

    def add(self, gradient: Tensor, piece: Tensor) -> None:
        """Add what ``gradient``, to the outputs of the next images, brings."""
        weight, window = self._weight, self._window
        wanted = [self.values is not None, not self._multiplied, not self._multiplied]
        to_piece, to_weight, to_bias = aten.convolution_backward(
            gradient, piece, weight, [len(weight)], [window.stride] * 2, [window.padding] * 2,
            [1, 1], False, [0, 0], 1, wanted,
        )  # fmt: skip
        if self._multiplied:
            to_weight = kernel_gradient(gradient, piece, window)
            to_bias = gradient.sum((0, 2, 3))
        self.weight += to_weight
        self.bias += to_bias
        if self.values is not None:
            self.values[self._images : self._images + len(piece)] = to_piece
        self._images += len(piece)


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
