"""Memory of jobs in MB, from what they hold (docs/explanation/performance.md)."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from neuron_pruning.models.architectures import Architecture, layer_sizes, memory_mb, with_classes
from planning.job_settings import JobSettings, Wildcards

Resource = Callable[[Wildcards, int], int]  # of a job, at its first, second ... attempt
CLASSES = 7  # stand for any number: the output layer is small


def growing(megabytes: int | Callable[[Wildcards], int]) -> Resource:
    """A job that a cluster killed for its memory gets twice as much, then three times."""

    def memory(wildcards: Wildcards, attempt: int) -> int:
        return attempt * (megabytes(wildcards) if callable(megabytes) else megabytes)

    return memory


@dataclass(frozen=True)
class Memory:
    """Memory of the jobs that hold networks."""

    settings: JobSettings

    def network(
        self, copies: int, images: int | Callable[[Wildcards], int] | None = None
    ) -> Resource:
        """``copies`` of the parameters, and ``images`` at once: by default those of a step."""

        def megabytes(wildcards: Wildcards) -> int:
            at_once = images(wildcards) if callable(images) else images
            images_at_once = at_once or self._step_images(wildcards)
            return memory_mb(self._architecture(wildcards), images_at_once, copies)

        return growing(megabytes)

    def layer(self) -> Resource:
        """One layer and those downstream: float64, a few copies."""

        def megabytes(wildcards: Wildcards) -> int:
            architecture = self._architecture(wildcards)
            names = architecture.layer_names
            sizes = {layer.name: layer for layer in layer_sizes(architecture)}
            downstream = [sizes[name] for name in names[names.index(wildcards["layer"]) :]]
            weights = sum(layer.inputs * layer.outputs for layer in downstream)
            return round(1500 + 8 * (3 * weights + 6 * downstream[0].outputs ** 2) / 1e6)

        return growing(megabytes)

    def imported(self) -> Resource:
        """A network of the section ``networks``, of which only the weights' file is known.

        ASSUME: 2 GB for the libraries, images and Gram matrices, and ten times the weights.
        """

        def megabytes(wildcards: Wildcards) -> int:
            section = self.settings.config["networks"][wildcards["network"]]
            file = Path(section["weights"] or section["source"])
            return 2000 + 10 * (file.stat().st_size // 2**20 if file.is_file() else 100)

        return growing(megabytes)

    def calibration_images(self, wildcards: Wildcards) -> int:
        """Images that the initialisation looks at."""
        return int(self.settings.recipe(wildcards)["initialisation"]["calibration_images"])

    def _architecture(self, wildcards: Wildcards) -> Architecture:
        return with_classes(self.settings.architecture(wildcards), CLASSES)

    def _step_images(self, wildcards: Wildcards) -> int:
        """Images that a training step works on at once."""
        batch_size = int(wildcards["batch_size"])
        return min(batch_size, self.settings.config["training"]["micro_batch"] or batch_size)
