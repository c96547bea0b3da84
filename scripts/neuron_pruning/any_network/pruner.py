"""Removal of units from the layers of one network, whatever chooses how many."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from torch import nn

from neuron_pruning.any_network.batch_norm import reestimate
from neuron_pruning.any_network.batches import Batches
from neuron_pruning.any_network.compensation import (
    WITHOUT_STATISTICS,
    Consumers,
    LayerError,
    uses_patches,
)
from neuron_pruning.any_network.gates import LayerGates
from neuron_pruning.any_network.idle import Idle, idle_units
from neuron_pruning.any_network.moments import (
    Accumulator,
    Measured,
    Request,
    collect,
)
from neuron_pruning.any_network.network_copy import copied
from neuron_pruning.any_network.options import LEAST_SQUARES, Method
from neuron_pruning.any_network.surgery import cut, kept_entries
from neuron_pruning.any_network.unit_layers import FoundLayer, FoundLayers
from neuron_pruning.any_network.views import channels_of, readings, unit_view
from neuron_pruning.pruning.row_sample import SAMPLE_ROWS
from neuron_pruning.pruning.selection import Selection
from neuron_pruning.pruning.units import UnitLayer

Amounts = Mapping[str, float]  # by layer: units that are removed, or a threshold in degrees


@dataclass(frozen=True)
class Cut:
    """A pruned network and how it came about.

    Attributes:
        model: smaller, in evaluation mode.
        selections: by layer, in the order in which they were cut.
        errors: by layer, then by consumer.
        idle: dead and saturated units by layer, where they were measured.
        shifts: by batch normalisation, how far its means moved when they were measured again, in
            standard deviations.
    """

    model: nn.Module
    selections: Mapping[str, Selection]
    errors: Mapping[str, Mapping[str, LayerError]]
    idle: Mapping[str, Idle]
    shifts: Mapping[str, float]

    @property
    def removed(self) -> dict[str, tuple[int, ...]]:
        """Removed units by layer."""
        return {name: chosen.removed for name, chosen in self.selections.items()}


class Wanted(NamedTuple):
    """What is measured of a consumer: patches, and how many rows drawn with which seed."""

    patches: bool
    rows: int
    seed: int


@dataclass(frozen=True)
class Pruner:
    """A network, its unit layers and the images that they are measured on.

    ``measured`` keeps what was measured of the unpruned network: other methods, and random removal,
    need no pass of their own.
    """

    model: nn.Module
    found: FoundLayers
    batches: Batches
    measured: dict[tuple[str, Wanted], Measured] = field(default_factory=dict, repr=False)

    @cached_property
    def readings(self) -> dict[str, Any]:
        """How the consumers are read."""
        return readings(self.found)

    def cut(self, amounts: Amounts, method: Method) -> Cut:
        """Remove units from some layers, input side first.

        Args:
            amounts: by layer, what the technique takes: a number of units, or degrees.
            method: how.

        Raises:
            UserError: a layer or amount that cannot be, or a technique that needs what a layer of
                any network does not offer.
        """
        names = [name for name in self.found.layers if name in amounts]
        working = copied(self.model)
        session = Session(self, working, method)
        session.measure(names if method.order == "parallel" else names[:1])
        selections: dict[str, Selection] = {}
        for place, name in enumerate(names):
            if place and method.order == "sequential":
                session.measure([name])
            selections[name] = session.prune(self.found[name], amounts[name])
        cut(working, kept_entries((self.found[n], s.removed) for n, s in selections.items()))
        shifts = {}
        if method.batch_norm == "reestimate" and any(s.removals for s in selections.values()):
            shifts = reestimate(working, self.batches.calibration())
        return Cut(working, selections, session.errors, session.idle, shifts)

    def session(self, method: Method) -> "Session":
        """A pass through the layers of the unpruned network, which it leaves as it is."""
        return Session(self, self.model, method)

    def view(self, name: str, method: Method) -> UnitLayer:
        """A layer of the unpruned network as the technique sees it."""
        session = self.session(method)
        session.measure([name])
        return session.view(self.found[name])


@dataclass(frozen=True)
class Sensitivity:
    """Errors of a layer's consumers when so many of its units are removed.

    Attributes:
        removed: numbers of units, ascending from 0.
        errors: with compensation, as a share of the variance of the consumers' outputs, summed.
        without: the same without compensation.
    """

    removed: tuple[int, ...]
    errors: tuple[float, ...]
    without: tuple[float, ...]


class Session:
    """One pass through the layers of a network, which changes on the way."""

    def __init__(self, pruner: Pruner, working: nn.Module, method: Method) -> None:
        self.pruner, self.working, self.method = pruner, working, method
        self.modules = dict(working.named_modules())
        self.alive = {n: np.ones(len(r.columns), bool) for n, r in pruner.readings.items()}
        self.measured: dict[str, Measured] = {}
        self.consumers = Consumers(
            self.modules, dict(pruner.model.named_modules()), pruner.found, pruner.readings,
            self.measured, self.alive,
        )  # fmt: skip
        self.errors: dict[str, Mapping[str, LayerError]] = {}
        self.idle: dict[str, Idle] = {}
        self._need = method.chosen.needed(method.settings)

    def measure(self, names: Sequence[str], errors: bool = False) -> None:
        """Measure what the consumers of some layers read now; ``errors``: they are asked for."""
        unread = self._need == "weights" and self.method.compensation in WITHOUT_STATISTICS
        if unread and not errors:
            return
        wanted = {c: self._wanted(c) for name in names for c in self.pruner.found[name].consumers}
        known = {} if self.cut_anything else self.pruner.measured
        missing = {c: what for c, what in wanted.items() if (c, what) not in known}
        requests = {c: self._request(c, what) for c, what in missing.items()}
        if requests:
            beside = self.cut_anything and self.method.compensation in LEAST_SQUARES
            unpruned = self.pruner.model if beside else None
            collect(self.working, self.pruner.batches.calibration(), requests, unpruned)
        fresh = {(c, missing[c]): request.measured for c, request in requests.items()}
        if not self.cut_anything:
            self.pruner.measured.update(fresh)
        self.measured.update({c: {**known, **fresh}[c, what] for c, what in wanted.items()})

    @property
    def cut_anything(self) -> bool:
        """Whether the network is not the unpruned one any more."""
        return bool(self.errors)

    def _wanted(self, consumer: str) -> Wanted:
        patched = uses_patches(self.method.compensation, self.modules[consumer])
        if self._need != "activations":
            return Wanted(patched, 0, 0)
        return Wanted(patched, SAMPLE_ROWS, self.method.seed)

    def _request(self, consumer: str, wanted: Wanted) -> Request:
        return Request(
            self.pruner.readings[consumer],
            Accumulator(consumer, wanted.rows, wanted.seed),
            Accumulator(consumer) if wanted.patches else None,
        )

    def view(self, layer: FoundLayer) -> UnitLayer:
        """A layer as the technique sees it now."""
        gates, scores, labelled = None, None, self.pruner.batches.labelled
        if self._need in ("gates", "loss"):
            gates = LayerGates(self.working, layer, labelled, self.method.seed)
        if self.method.technique.startswith("torch_pruning_"):
            # Imported where it is asked for: the library brings others that take seconds to load.
            from neuron_pruning.any_network.library_scores import library_scores

            scores = library_scores(self.working, layer, self.method.technique, labelled())
        measured = {} if self._need == "weights" else self.measured
        return unit_view(
            layer, self.modules, self.pruner.readings, measured,
            scores=scores, gates=gates, seed=self.method.seed,
        )  # fmt: skip

    def settings_for(self, layer: FoundLayer) -> dict[str, Any]:
        """Settings of the technique: angles are about 0.5 for sigmoids alone, as in the paper."""
        settings = dict(self.method.settings)
        if "centring" in self.method.chosen.settings and "centring" not in settings:
            settings["centring"] = layer.centring
        return settings

    def sensitivity(self, name: str, counts: Sequence[int]) -> Sensitivity:
        """Errors of a layer's consumers when it loses so many units, one number after the other."""
        layer = self.pruner.found[name]
        select = self.method.chosen.prepared(self.view(layer), **self.settings_for(layer))
        errors = []
        for count in counts:
            selection = select(count)
            changes = self.consumers.changes(layer, selection, self.method.compensation)
            found = [
                self._on_other_images(layer, selection, consumer, change.error)
                for consumer, change in changes.items()
                if change.error is not None
            ]
            errors.append(np.sum(found, axis=0) if found else np.zeros(2))
        # A larger cut never costs less: what says so is rounding, or a lucky choice.
        lost, left = np.maximum.accumulate(np.array(errors), axis=0).T
        return Sensitivity(tuple(counts), tuple(left.tolist()), tuple(lost.tolist()))

    def _on_other_images(
        self, layer: FoundLayer, selection: Selection, consumer: str, error: LayerError
    ) -> LayerError:
        """What is to be expected on images that nothing was fitted on.

        Least squares on nearly as many columns as rows fit these rows, not the layer: a classifier
        behind global pooling reads one row per image. ASSUME: generalised cross-validation (Golub,
        Heath & Wahba 1979), every kept column counted; no compensation where there are no more
        rows than columns.
        """
        name, module = self.method.compensation, self.modules[consumer]
        if name not in LEAST_SQUARES:
            return error
        measured, alive = self.measured[consumer], self.alive[consumer]
        moments = measured.patches if uses_patches(name, module) else measured.moments
        assert moments is not None
        channels = channels_of(layer, consumer, self.pruner.readings[consumer])
        kept = int(alive.sum()) - channels[list(selection.removed)].size
        share = (kept * len(moments.mean) / len(alive) + 1) / moments.rows
        lost, left = error
        return LayerError(lost, min(lost, left / (1.0 - share) ** 2) if share < 1.0 else lost)

    def prune(self, layer: FoundLayer, amount: float) -> Selection:
        """Choose units of a layer, compensate for them and silence them."""
        technique = self.method.chosen
        select = technique.prepared(self.view(layer), **self.settings_for(layer))
        selection = select(amount)
        idle = idle_units(layer, self.pruner.readings, self.measured)
        if idle is not None:
            self.idle[layer.name] = idle
        if selection.removals:
            self.errors[layer.name] = self.consumers.apply(
                layer, selection, self.method.compensation, self.method.batch_norm == "rescale"
            )
        for consumer in layer.consumers:
            channels = channels_of(layer, consumer, self.pruner.readings[consumer])
            self.alive[consumer][channels[list(selection.removed)]] = False
        return selection
