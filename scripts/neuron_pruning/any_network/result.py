"""What a pruning gave: the smaller network, its sizes, errors and answer, as text and as files."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from neuron_pruning.any_network.costs import Size
from neuron_pruning.any_network.evaluation import Answer
from neuron_pruning.any_network.options import Goal, Method
from neuron_pruning.any_network.pruner import Cut
from neuron_pruning.any_network.unit_layers import FoundLayers
from neuron_pruning.core.errors import UserError

if TYPE_CHECKING:
    from neuron_pruning.any_network.figure import Figure


@dataclass(frozen=True, repr=False)
class PruningResult:
    """A pruned network, and what is known of it.

    Attributes:
        model: the smaller network: the same modules with smaller tensors, in evaluation mode.
        found: unit layers of the unpruned network.
        goal: how much was to be removed.
        method: technique, compensation and the like.
        cut: selections by layer, and the errors of their consumers.
        sizes: before and after.
        latency_ms: of one image, before and after, on this machine.
        answer: what it still does, on images that nothing was fitted on.
        input_shape: of a batch of one image.
        unpruned: the network before, in evaluation mode.
        notes: what could not be done as asked.
    """

    model: nn.Module
    found: FoundLayers
    goal: Goal
    method: Method
    cut: Cut
    sizes: tuple[Size, Size]
    latency_ms: tuple[float, float]
    answer: Answer
    input_shape: tuple[int, ...]
    unpruned: nn.Module
    notes: tuple[str, ...] = ()

    def rows(self) -> list[dict[str, Any]]:
        """One row per pruned layer: units, removed and idle ones, and what its consumers lose.

        Errors are shares of the variance of the consumers' outputs, summed over the consumers. The
        removed units are also counted by the rules of their removal.
        """
        rows = []
        for name, selection in self.cut.selections.items():
            layer, errors = self.found.layers[name], self.cut.errors.get(name, {})
            dead, saturated = self.cut.idle.get(name, (None, None))
            rows.append(
                {
                    "layer": name,
                    "units": layer.units,
                    "removed": len(selection.removals),
                    "rules": {rule: n for rule, n in selection.counts.items() if n},
                    "dead": dead,
                    "saturated": saturated,
                    "error without compensation": _sum(
                        e.without_compensation for e in errors.values()
                    ),
                    "error": _sum(e.with_compensation for e in errors.values()),
                }
            )
        return rows

    def __str__(self) -> str:
        """Sizes, answer and layers, as a person reads them."""
        (before, after), (slow, fast) = self.sizes, self.latency_ms
        lines = [
            _line("parameters", before.parameters, after.parameters, ",d"),
            _line("multiply-adds", before.multiply_adds, after.multiply_adds, ",d"),
            _line("milliseconds", slow, fast, ".2f"),
            "",
            *answer_lines(self.answer, self.method),
            *shift_lines(self.cut),
            *(f"note: {note}" for note in self.notes),
            "",
            *text_table(_without_trivial_rules(self.rows())),
        ]
        return "\n".join(lines)

    def __repr__(self) -> str:
        """The same, where a session shows a value; both networks would fill pages."""
        return str(self)

    def figure(self) -> "Figure":
        """What each layer lost, its idle units, and how far batch normalisation moved.

        Returns:
            A figure of matplotlib, as wide as a printed page.

        Raises:
            UserError: matplotlib is missing.
        """
        try:
            from neuron_pruning.any_network.figure import draw
        except ImportError as error:
            raise UserError(
                f"figures need the extra: pip install 'neuron-pruning[networks]' ({error})"
            ) from error
        return draw(self)

    def save(
        self,
        folder: Path | str,
        *,
        onnx: bool = False,
        exported: bool = False,
        source: Mapping[str, Any] | None = None,
    ) -> None:
        """Write ``plan.json`` and ``model.safetensors`` to a folder; see :func:`load_pruned`.

        Args:
            folder: is made.
            onnx: ``model.onnx`` too, checked with onnxruntime.
            exported: ``model.pt2`` of torch.export too, checked.
            source: where the unpruned network came from, as JSON; the plan repeats it.

        Raises:
            UserError: the network cannot be exported, or computes something else then.
        """
        from neuron_pruning.any_network.saving import save_pruned

        save_pruned(self, Path(folder), onnx=onnx, exported=exported, source=source)


def _sum(values: Iterable[float]) -> float | None:
    found = list(values)
    return float(sum(found)) if found else None


def _without_trivial_rules(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Without the rules of removal where they say no more than that units were ranked."""
    if any(row["rules"].keys() - {"ranked"} for row in rows):
        return rows
    return [{name: value for name, value in row.items() if name != "rules"} for row in rows]


def _line(name: str, before: float, after: float, how: str) -> str:
    ratio = after / before if before else 1.0
    return f"{name:14} {before:>16{how}} -> {after:>16{how}}   x {ratio:.3f}"


def answer_lines(answer: Answer, method: Method) -> list[str]:
    """The answer as sentences."""
    images = answer.agreement.images
    lines = [f"agreement with the unpruned network {answer.agreement} on {images} held-out images"]
    if answer.accuracy is not None:
        lines.append(f"accuracy {answer.accuracy}; before {answer.accuracy_before}")
    if answer.difference is not None:
        draws = ", ".join(f"{100 * value:.1f}" for value in answer.random)
        better = "better" if answer.difference >= 0 else "worse"
        given = method.randomly(0).compensation
        how = "same compensation" if given == method.compensation else f"compensation {given}"
        telling = "" if answer.p is not None and answer.p < 0.05 else ", which may be chance"
        lines.append(
            f"random removal, same counts, {how}: {answer.measure} {draws} %; "
            f"{method.technique} is {abs(100 * answer.difference):.1f} points {better} "
            f"(p = {answer.p:.2g}{telling})"
        )
    return lines


def shift_lines(cut: Cut) -> list[str]:
    """Which batch normalisation moved most when it was measured again."""
    if not cut.shifts:
        return []
    name = max(cut.shifts, key=lambda norm: cut.shifts[norm])
    moved = f"{name} moved most, by {cut.shifts[name]:.2g} standard deviations"
    return [f"batch normalisation measured again: {moved}"]


def text_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Rows as aligned columns under their names."""
    if not rows:
        return []
    names = list(rows[0])
    cells = [names, *([_cell(row[name]) for name in names] for row in rows)]
    widths = [max(len(row[place]) for row in cells) for place in range(len(names))]
    right = [not isinstance(rows[0][name], str | Mapping) for name in names]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(row, widths, right, strict=True)
        ).rstrip()
        for row in cells
    ]


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {name}" for name, count in value.items()) or "-"
    return f"{value:.3g}" if isinstance(value, float) else str(value)
