"""What the consumers of unit layers read, as sums: constant memory, whatever the number of images.

Of the rows that a consumer reads, one per image and position, are kept their number, their mean
and their products about it. :func:`representative_rows` makes from these a small matrix of the same
mean and Gram matrix. On it every technique and compensation that needs no more than ``statistics``
gives exactly what it gives on all rows.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from numpy.typing import NDArray
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dpstrf
from threadpoolctl import threadpool_limits
from torch import Tensor, nn
from torch.nn import functional

from neuron_pruning.core.errors import NotFinite, UserError
from neuron_pruning.core.seeds import derive_seed
from neuron_pruning.pruning.angles import ROUNDING
from neuron_pruning.pruning.row_sample import RowSample
from neuron_pruning.pruning.units import UnitActivations

CACHED = 2**17  # values in float64 that are taken in at once: a megabyte


@dataclass(frozen=True)
class Moments:
    """Number and mean of rows of channels, products about it, and between which values they lie."""

    rows: int
    mean: Float64[NDArray, " channels"]
    products: Float64[NDArray, "channels channels"]
    low: Float64[NDArray, " channels"]
    high: Float64[NDArray, " channels"]

    def of(self, channels: Int64[NDArray, " some"]) -> "Moments":
        """Those of some channels alone; of all in their order, these themselves."""
        if np.array_equal(channels, np.arange(len(self.mean))):
            return self
        both = np.ix_(channels, channels)
        low, high = self.low[channels], self.high[channels]
        return Moments(self.rows, self.mean[channels], self.products[both], low, high)

    @property
    def constant(self) -> Bool[NDArray, " channels"]:
        """Which channels never vary, but for rounding of float32."""
        largest = np.maximum(np.abs(self.low), np.abs(self.high))
        return self.high - self.low <= ROUNDING * largest

    @cached_property
    def activations(self) -> UnitActivations:
        """Rows with these moments, for a layer that needs no more of its activations."""
        within = (float(self.low.min()), float(self.high.max()))
        return UnitActivations(representative_rows(self), value_range=within)


def representative_rows(moments: Moments) -> Float64[NDArray, "rows channels"]:
    """One row more than the rank, with the same mean and the same mean of squares and products.

    With ``R^T R`` the products about the mean, the columns of R and one for the constant have the
    products that the rows have, and so have those of ``Q R`` for any orthogonal Q. The reflection
    that makes the column of the constant constant makes rows of it.
    """
    root, order = triangular_root(moments.products)
    count = max(len(root), 1) + 1  # one row alone would have no spread to speak of
    rows = np.zeros((count, len(order)))
    rows[: len(root), order] = root
    # The constant's column is the last axis, of length 1 here; it becomes the diagonal.
    mirror = np.full(count, -1.0 / np.sqrt(count))
    mirror[-1] += 1.0
    rows -= np.outer(mirror, (2.0 / (mirror @ mirror)) * (mirror @ rows))
    rows *= np.sqrt(count / moments.rows)
    rows += moments.mean
    return rows


def triangular_root(
    gram: Float64[NDArray, "columns columns"],
) -> tuple[Float64[NDArray, "rank columns"], Int64[NDArray, " columns"]]:
    """The fewest rows with a Gram matrix, by Cholesky's method with pivots.

    It takes a tenth of the time of eigenvalues, and the less the smaller the rank.

    Returns:
        R, upper trapezoidal, and the order of its columns: ``R^T R`` is ``gram[order][:, order]``.
        Columns that are combinations of others, or zero, but for rounding come last.
    """
    # Scaled to a diagonal of ones: channels of unlike size keep their digits.
    lengths = np.sqrt(np.diag(gram))
    scale = np.where(lengths > 0.0, lengths, 1.0)
    scaled = gram / scale
    scaled /= scale[:, None]
    factor, pivots, rank, _ = dpstrf(scaled.T, overwrite_a=True)
    order = pivots.astype(np.int64) - 1
    root = np.triu(factor[:rank])
    root *= lengths[order]
    return root, order


class Accumulator:
    """Moments of a stream of batches of rows, and a sample of the rows where that is asked for."""

    def __init__(self, name: str, sample: int = 0, seed: int = 0) -> None:
        self.name = name
        self._rows = 0
        self._sums: Tensor | None = None
        generator = np.random.default_rng(derive_seed(seed, f"rows of {name}"))
        self._sample = RowSample(sample, generator) if sample else None

    def add(self, rows: Float[Tensor, "rows channels"]) -> None:
        """Take in more rows."""
        if self._sums is None:
            # Sums are about a first guess of the mean: no digits are lost where units hardly vary.
            self._guess = rows.double().mean(dim=0)
            self._sums = torch.zeros_like(self._guess)
            self._products = self._guess.new_zeros(rows.shape[1], rows.shape[1])
            self._low, self._high = rows.amin(dim=0).double(), rows.amax(dim=0).double()
        self._rows += len(rows)
        apart = rows.to(torch.float64, copy=True)
        apart -= self._guess
        self._sums += apart.sum(dim=0)
        _add_products(self._products, apart)
        self._low = torch.minimum(self._low, rows.amin(dim=0))
        self._high = torch.maximum(self._high, rows.amax(dim=0))
        if self._sample is not None:
            self._sample.add(rows.double().cpu().numpy())

    @property
    def drawn(self) -> Float64[NDArray, "rows channels"] | None:
        """The sample; None: none was asked for."""
        return None if self._sample is None else self._sample.rows

    @property
    def moments(self) -> Moments:
        """Moments of all rows.

        Raises:
            UserError: no rows, or values that are no numbers.
        """
        if self._sums is None or not self._rows:
            raise UserError("pruning needs images to look at the activations: give one at least")
        ahead = self._sums / self._rows
        products = torch.tril(self._products).addr_(ahead, ahead, alpha=-self._rows)
        arrays = (self._guess + ahead, products, self._low, self._high)
        mean, apart, low, high = (values.cpu().numpy() for values in arrays)
        for row in range(1, len(apart)):
            apart[:row, row] = apart[row, :row]
        broken = np.flatnonzero(~np.isfinite(np.diag(apart)))
        if broken.size:
            raise NotFinite(
                f"{self.name} reads NaN or infinite values (channel {broken[0]}): the network or "
                "its images are broken, or the preprocessing is not the network's"
            )
        # A difference of sums: never below zero.
        np.fill_diagonal(apart, np.maximum(np.diag(apart), 0.0))
        return Moments(self._rows, mean, apart, low, high)


def _add_products(
    products: Float64[Tensor, "channels channels"], rows: Float64[Tensor, "rows channels"]
) -> None:
    """Add ``rows^T rows``, in place; what is above the diagonal does not count.

    In float64 for networks in float32 too: products in float32 would take half the time, but their
    rounding, 1e-7, would hide directions weaker than 3e-4 of the strongest. Activations in float32
    have directions down to 1e-7.
    """
    if products.device.type != "cpu":
        products.addmm_(rows.T, rows)
        return
    # Half the arithmetic; torch has no such product.
    array, sums = rows.numpy(), products.numpy().T
    if array.flags.f_contiguous:
        dsyrk(1.0, array, trans=True, beta=1.0, c=sums, overwrite_c=True)
    else:
        dsyrk(1.0, array.T, beta=1.0, c=sums, overwrite_c=True)


@dataclass(frozen=True)
class Reading:
    """How a consumer's input becomes rows of channels.

    Attributes:
        channel_of: channel of each column (Linear) or channel of the input (convolution).
        columns: columns by channel, channels x places: more than one place after flattening.
    """

    consumer: str
    channel_of: Int64[NDArray, " columns"]
    columns: Int64[NDArray, "channels places"]

    @property
    def places(self) -> int:
        """Columns of each channel: 1 but after flattening."""
        return self.columns.shape[1]

    def rows(self, module: nn.Module, values: Tensor) -> Float[Tensor, "rows channels"]:
        """The rows of a batch."""
        if isinstance(module, nn.Conv2d):
            if module.kernel_size == (1, 1):  # it passes over the other positions
                values = values[:, :, :: module.stride[0], :: module.stride[1]]
            return _by_channel(values)
        flat = values.reshape(-1, values.shape[-1])
        if self.places == 1:
            return flat
        order = torch.from_numpy(self.columns.T.ravel()).to(flat.device)
        return flat[:, order].reshape(-1, len(self.columns))


def reading(consumer: str, channel_maps: Iterable[Int64[NDArray, " columns"]]) -> Reading:
    """How a consumer is read whose columns are channels of units, by one map per unit layer.

    Columns of no unit are channels of their own; after flattening there are none of these.

    Raises:
        UserError: units with unlike numbers of columns.
    """
    maps = list(channel_maps)
    channel_of = np.full(len(maps[0]), -1)
    count = 0
    for of_layer in maps:
        mapped = of_layer >= 0
        channel_of[mapped] = of_layer[mapped] + count
        count += int(of_layer.max()) + 1
    rest = np.flatnonzero(channel_of < 0)
    channel_of[rest] = count + np.arange(len(rest))
    sizes = np.bincount(channel_of)
    if len(set(sizes.tolist())) > 1:
        raise UserError(f"{consumer} reads units with unlike numbers of columns")
    columns = np.argsort(channel_of, kind="stable").reshape(len(sizes), -1)
    return Reading(consumer, channel_of, columns)


def patches(module: nn.Conv2d, values: Tensor) -> Float[Tensor, "rows columns"]:
    """What a convolution's kernels see at each position: channels x kernel, the channel slowest."""
    if isinstance(module.padding, str) or module.padding_mode != "zeros":
        padding = module._reversed_padding_repeated_twice
        mode = "constant" if module.padding_mode == "zeros" else module.padding_mode
        values, around = functional.pad(values, padding, mode), (0, 0)
    else:
        around = module.padding  # type: ignore[assignment]
    unfolded = functional.unfold(values, module.kernel_size, module.dilation, around, module.stride)
    return _by_channel(unfolded)


def _by_channel(maps: Float[Tensor, "images channels *places"]) -> Float[Tensor, "rows channels"]:
    """A row per image and place, in memory a channel after the other: quick to make and to sum."""
    return maps.transpose(0, 1).flatten(1).T


Hook = Callable[[nn.Module, Tensor], None]


@contextmanager
def reading_inputs(model: nn.Module, hooks: Mapping[str, Hook]) -> Iterator[None]:
    """While this is entered, what modules of a network read is given to functions."""
    modules = dict(model.named_modules())
    handles = [
        modules[name].register_forward_pre_hook(lambda m, inputs, h=hook: h(m, inputs[0]))
        for name, hook in hooks.items()
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class Measured:
    """What was measured of a consumer's input.

    Attributes:
        joint: moments of its channels and, behind them if the unpruned network ran beside this
            one, of the same channels there.
        channels: how many it reads.
        rows: a sample of them, where one was asked for.
        patches: likewise of what the kernels see, where that was asked for.
    """

    joint: Moments
    channels: int
    rows: Float64[NDArray, "rows channels"] | None = None
    patches: Moments | None = None

    @property
    def beside_unpruned(self) -> bool:
        """Whether the unpruned network ran beside this one."""
        return len(self.joint.mean) > self.channels

    @property
    def moments(self) -> Moments:
        """Of the channels in this network."""
        return self.joint.of(np.arange(self.channels)) if self.beside_unpruned else self.joint


@dataclass
class Request:
    """What is to be accumulated of one consumer."""

    reading: Reading
    rows: Accumulator
    patches: Accumulator | None = None

    @property
    def measured(self) -> Measured:
        """What was accumulated."""
        channels, drawn = len(self.reading.columns), self.rows.drawn
        return Measured(
            self.rows.moments,
            channels,
            None if drawn is None else drawn[:, :channels],
            None if self.patches is None else self.patches.moments,
        )

    def take(self, module: nn.Module, *values: Tensor) -> None:
        """Take in what the consumer reads of a batch, here and in the unpruned network."""
        channels = len(self.reading.columns) * len(values)
        for parts in _at_once(values, channels):
            self.rows.add(_side_by_side([self.reading.rows(module, part) for part in parts]))
        if self.patches is not None:
            assert isinstance(module, nn.Conv2d)
            for parts in _at_once(values, channels, math.prod(module.kernel_size)):
                self.patches.add(_side_by_side([patches(module, part) for part in parts]))


def _side_by_side(rows: Sequence[Tensor]) -> Tensor:
    return rows[0] if len(rows) == 1 else torch.cat(list(rows), dim=1)


def _at_once(
    values: Sequence[Tensor], channels: int, places: int = 1
) -> Iterator[tuple[Tensor, ...]]:
    """Images of a batch that are taken in together, of each of several networks.

    Their rows stay in the processor's cache, or are as many as columns: fewer would spend the time
    on going through the products.
    """
    largest = max(CACHED, (channels * places) ** 2)
    images = largest // max(1, len(values) * places * values[0][:1].numel())
    return zip(*(each.split(max(1, images)) for each in values), strict=True)


class _Enough(Exception):
    """Everything that was asked for has been read."""


@torch.no_grad()
def collect(
    model: nn.Module,
    batches: Iterable[Tensor],
    requests: Mapping[str, Request],
    unpruned: nn.Module | None = None,
) -> None:
    """Give the consumers' requests everything that they read of the batches, in one pass.

    Args:
        model: the network.
        batches: of images.
        requests: by consumer.
        unpruned: a network that runs beside it, whose consumers' inputs are taken in too.
    """
    before: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, values: Tensor) -> None:
        before[name] = values.clone()  # an operation in place may follow

    def take(name: str, module: nn.Module, values: Tensor) -> None:
        beside = (before[name],) if name in before else ()
        requests[name].take(module, values, *beside)

    # The products are too small to share; NumPy's threads and torch's would wait for each other.
    with threadpool_limits(1, user_api="blas"):
        for images in batches:
            if unpruned is not None:
                _visit(unpruned, images, requests, keep)
            _visit(model, images, requests, take)


def _visit(
    model: nn.Module,
    images: Tensor,
    names: Iterable[str],
    visitor: Callable[[str, nn.Module, Tensor], None],
) -> None:
    """Show a visitor what some modules of a network read of images; it is left at the last."""
    waiting = set(names)

    def hook(name: str) -> Hook:
        def visited(module: nn.Module, values: Tensor) -> None:
            visitor(name, module, values)
            waiting.discard(name)
            if not waiting:
                raise _Enough

        return visited

    with reading_inputs(model, {name: hook(name) for name in waiting}), suppress(_Enough):
        model(images)
