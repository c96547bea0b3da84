"""Networks that were trained elsewhere as the workflow prunes them: opened, with their images."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from neuron_pruning.any_network.batches import Batches
from neuron_pruning.any_network.network_images import images_for
from neuron_pruning.any_network.preprocessing import Preprocessing
from neuron_pruning.any_network.pruner import Pruner
from neuron_pruning.any_network.sources import OpenedNetwork, open_network
from neuron_pruning.any_network.unit_layers import FoundLayers, find_unit_layers


@dataclass(frozen=True)
class ImportedNetwork:
    """A network of the config's section ``networks``.

    Attributes:
        section: that section, with every key.
        calibration_images: of a draw.
        evaluation_images: at most; None: all.
        contents: digests of its images and code, by which the workflow sees that they changed.
        made: where a job finds what the workflow made, by the keys of the section that name it;
            other names are ignored.
    """

    section: Mapping[str, Any]
    calibration_images: int
    evaluation_images: int | None
    contents: Sequence[str] = ()
    made: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def opened(self) -> OpenedNetwork:
        """The network itself.

        Raises:
            UserError: as :func:`open_network`.
        """
        section, preprocessing = self.section, None
        if section["input"] is not None:
            (height, width), *scale = (section["input"][name] for name in ("size", "mean", "std"))
            preprocessing = Preprocessing(height, width, *scale)
        return open_network(
            str(self._place("source")),
            section["weights"],
            classes=section["classes"],
            preprocessing=preprocessing,
        )

    @cached_property
    def evaluation(self) -> Batches:
        """Images that judge, with labels where they have any."""
        labelled = None if self.section["labelled"] else False
        return self._batches("evaluation", self.evaluation_images, 0, labelled)

    def calibration(self, draw: int) -> Batches:
        """Images of one draw, to measure and fit on without labels."""
        return self._batches("calibration", self.calibration_images, draw, False)

    @cached_property
    def found(self) -> FoundLayers:
        """Its unit layers."""
        images, _ = next(self.evaluation.labelled())
        return find_unit_layers(self.opened.module, images[:1])

    def pruner(self, draw: int) -> Pruner:
        """The network ready to be pruned on one draw of calibration images."""
        return Pruner(self.opened.module, self.found, self.calibration(draw))

    def _place(self, key: str) -> Path | str:
        """Where what a key of the section names lies: of a bucket's, a copy on this machine."""
        return self.made.get(key, self.section[key])

    def _batches(self, folder: str, limit: int | None, seed: int, labelled: bool | None) -> Batches:
        images = images_for(
            self.opened, Path(self._place(folder)), limit=limit, seed=seed,
            classes=self.section["class_names"] or (),
            labelled=labelled,
            remedy="give class_names, the class folder of each output in order, or labelled: false",
        )  # fmt: skip
        return Batches.of(self.opened.module, images)
