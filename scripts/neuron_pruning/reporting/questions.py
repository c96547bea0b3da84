"""What the sweeps answer: a question, its answer in a sentence a layer, and a chart a layer."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.ticker import MaxNLocator

from neuron_pruning.reporting.charts import LINES, STATES, Curve, Level, banded_curves
from neuron_pruning.reporting.curves import (
    Line,
    by_angle,
    by_removed,
    compensation_lines,
    label,
    shown_lines,
)
from neuron_pruning.reporting.panels import Panel
from neuron_pruning.reporting.results import Results, display_name
from neuron_pruning.reporting.sentences import (
    agreement_sentence,
    angle_sentence,
    compensation_sentence,
    how_much_sentence,
)

ANGLES = range(0, 91, 15)  # degrees
Network = tuple[str, str]  # model and pruned layer


@dataclass(frozen=True)
class Question:
    """A figure under the question that it answers; ``sentences``: with what each is about."""

    name: str
    heading: str
    sentences: list[tuple[str, str]]
    panels: list[Panel]
    caption: str


def questions(results: Results) -> list[Question]:
    """All questions that the sweeps have data for."""
    asked = (how_much(results), compensated(results), same_answers(results), at_angles(results))
    return [question for question in asked if question.panels]


def how_much(results: Results) -> Question:
    """Accuracy against removed units, the best techniques and the controls."""
    return Question(
        "how-much",
        "How much of the layer can go?",
        answers(results, results.networks, how_much_sentence),
        [accuracy_panel(results, *n, shown_lines(results, *n), "go") for n in results.networks],
        "Test accuracy of the trained networks against the number of removed units: the best "
        "techniques of Table 5, each with the better of its own compensation and lstsq, beside "
        "distinctiveness as the paper has it and random removal. Dotted: one point below the "
        "unpruned network, and guessing.",
    )


def compensated(results: Results) -> Question:
    """Accuracy against removed units, with and without compensation."""
    return Question(
        "compensation",
        "What does the compensation bring?",
        answers(results, results.networks, compensation_sentence),
        [
            accuracy_panel(results, *n, compensation_lines(results, *n), "compensated")
            for n in results.networks
        ],
        "Test accuracy against the number of removed units, by what the remaining network gets in "
        "return: nothing; the mean of the removed units in the biases (bias); what the technique "
        "itself gives; or outgoing weights fitted by least squares on the training images (lstsq). "
        "Dotted: as above.",
    )


def same_answers(results: Results) -> Question:
    """Agreement with the unpruned network, the lines of the first question."""
    return Question(
        "agreement",
        "Does the pruned network answer the same?",
        answers(results, results.networks, agreement_sentence),
        [agreement_panel(results, *network) for network in results.networks],
        "Test images with the answer of the unpruned network, right or wrong, against the number "
        "of removed units; the lines are those of the first chart of this section.",
    )


def at_angles(results: Results) -> Question:
    """Removed units against the threshold angle."""
    found = [n for n in results.networks if not by_angle(results, *n, "trained").empty]
    return Question(
        "at-angles",
        "At which angle do units go?",
        answers(results, found, angle_sentence),
        [removed_panel(results, *network) for network in found],
        "Units that distinctiveness removes at every threshold angle: the more, the wider the "
        "angle between two units that count as alike.",
    )


def where(model: str, layer: str) -> str:
    """What a chart or a sentence is about."""
    return f"{display_name(model)}, layer {layer}"


def answers(
    results: Results, networks: Sequence[Network], sentence: Callable[[Results, str, str], str]
) -> list[tuple[str, str]]:
    """One sentence a network and layer, with its subject."""
    return [(where(*network), sentence(results, *network)) for network in networks]


def accuracy_panel(
    results: Results, model: str, layer: str, lines: Sequence[tuple[Line, int]], name: str
) -> Panel:
    """Test accuracy against removed units."""
    found = curves(results, model, layer, lines, "test_accuracy")
    before = float(found[0].values.iloc[0].mean())
    levels = [
        Level("one point below unpruned", before - 1),
        Level("guessing", 100 * results.guessing, in_legend=False),
    ]
    return removal_panel(results, model, layer, found, ("test accuracy", name), levels)


def agreement_panel(results: Results, model: str, layer: str) -> Panel:
    """Answers as before against removed units."""
    found = curves(results, model, layer, shown_lines(results, model, layer), "agreement")
    return removal_panel(results, model, layer, found, ("same answers", "agreement"))


def removal_panel(
    results: Results,
    model: str,
    layer: str,
    found: list[Curve],
    names: tuple[str, str],
    levels: Sequence[Level] = (),
) -> Panel:
    """Curves against removed units; ``names``: of the quantity and of the panel."""
    units = results.units(model, layer)
    seeds = found[0].values.shape[1]
    return Panel(
        f"{names[1]}-{model}-{layer}",
        where(model, layer),
        f"{names[0]} in percent of {display_name(model)} against the number of units removed from "
        f"{layer}, {seeds} {'seed' if seeds == 1 else 'seeds'}; {'; '.join(map(ends, found))}",
        banded_curves(
            found, (f"removed of {units} units", f"{names[0]} (%)"), ticks(units), levels
        ),
    )


def ticks(units: int) -> list[float]:
    """Round numbers of removed units, up to all of them."""
    places = MaxNLocator(nbins=6, integer=True).tick_values(0, units)
    return [float(place) for place in places if place <= units]


def ends(curve: Curve) -> str:
    """A curve in words: where it starts, where half its way lies, where it ends."""
    means = curve.values.mean(axis=1)
    places = sorted({0, len(means) // 2, len(means) - 1})
    listed = ", ".join(f"{means.iloc[p]:.1f} at {means.index[p]:g}" for p in places)
    return f"{curve.label}: {listed}"


def curves(
    results: Results, model: str, layer: str, lines: Sequence[tuple[Line, int]], figure: str
) -> list[Curve]:
    """One a line, in the look that its place stands for."""
    return [
        Curve(label(line), by_removed(results, model, layer, line, figure), LINES[place])
        for line, place in lines
    ]


def removed_panel(results: Results, model: str, layer: str) -> Panel:
    """Removed units against the threshold, trained and untrained."""
    found = [
        Curve(state, values, look)
        for state, look in STATES.items()
        if not (values := by_angle(results, model, layer, state)).empty
    ]
    return Panel(
        f"at-angles-{model}-{layer}",
        where(model, layer),
        f"units of {layer} of {display_name(model)} removed against the threshold angle in "
        f"degrees; {'; '.join(map(ends, found))}",
        banded_curves(
            found,
            ("threshold angle (degrees)", f"removed of {results.units(model, layer)} units"),
            ANGLES,
        ),
    )
