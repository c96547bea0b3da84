"""What the sweeps say, in a sentence a network and layer."""

from collections.abc import Iterator, Sequence

import pandas as pd

from neuron_pruning.reporting.charts import STATES
from neuron_pruning.reporting.curves import (
    CHANCE,
    Line,
    by_angle,
    by_removed,
    compensation_lines,
    compensation_words,
    free_units,
    in_words,
    shown_lines,
    table_lines,
)
from neuron_pruning.reporting.results import Results
from neuron_pruning.tables.rendering import count, degrees

UNIT = "\N{NO-BREAK SPACE}%"


def free_sentence(results: Results, model: str, layer: str) -> str:
    """The most units that go for less than a point, and what random removal reaches."""
    rows = table_lines(results, model, layer)
    best = rows.sort_values(["free_units", "rank"], ascending=[False, True]).iloc[0]
    units, number = results.units(model, layer), best["free_units"]
    line = (best["technique"], best["compensation"])
    much = f"Up to {count(number)} of the {units} units of layer {layer}"
    start = f"{much} go for less than one point, by"
    if line[0] == "random":
        return f"{start} {in_words(line)}; no technique lets more go."
    chance = free_units(results, model, layer, ("random", best["reference"]))
    same = best["reference"] == line[1]
    how = "with the same compensation" if same else compensation_words(best["reference"])
    return (
        f"{start} {in_words(line)} (the best of {len(rows)} lines of Table 5 on the same test "
        f"images); random removal {how} reaches {count(chance)}."
    )


def how_much_sentence(results: Results, model: str, layer: str) -> str:
    """Units that go for less than a point, by the lines of the chart."""
    lines = [line for line, _ in shown_lines(results, model, layer)]
    return free_list(results, model, layer, lines)


def free_list(results: Results, model: str, layer: str, lines: Sequence[Line]) -> str:
    """The most first: ``… 62 of 100 units go by obd_unit with lstsq, 8 by …``."""
    free = {line: free_units(results, model, layer, line) for line in lines}
    found = [(number, line) for line, number in free.items() if number is not None]
    found.sort(key=lambda item: -item[0])
    if not found:
        return "no line of the chart is in Table 5."
    (most, best), *others = found
    first = f"{most} of {results.units(model, layer)} units go by {in_words(best)}"
    listed = ", ".join([first, *(f"{number} by {in_words(line)}" for number, line in others)])
    return f"for less than one point of accuracy, {listed}."


def compensation_sentence(results: Results, model: str, layer: str) -> str:
    """Accuracy at half the layer of every line of the chart."""
    lines = [line for line, _ in compensation_lines(results, model, layer)]
    return at_half(results, model, layer, lines, "test_accuracy", "the test accuracy is")


def agreement_sentence(results: Results, model: str, layer: str) -> str:
    """Share of unchanged answers at half the layer, by the lines of the chart."""
    lines = [line for line, _ in shown_lines(results, model, layer)]
    return at_half(results, model, layer, lines, "agreement", "the answers that stay are")


def at_half(
    results: Results, model: str, layer: str, lines: Sequence[Line], figure: str, what: str
) -> str:
    """A figure of every line where half the layer is gone; some do not get so far."""
    means = {line: by_removed(results, model, layer, line, figure).mean(axis=1) for line in lines}
    half = halfway(means[CHANCE])
    reached = {line: values[half] for line, values in means.items() if half in values.index}
    ordered = sorted(reached.items(), key=lambda item: -item[1])
    listed = ", ".join(f"{value:.1f}{UNIT} for {in_words(line)}" for line, value in ordered)
    short = [in_words(line) for line in lines if line not in reached]
    rest = f"; {' and '.join(short)} cannot remove so many" if short else ""
    units = results.units(model, layer)
    return f"with {half} of {units} units gone, {what} {listed}{rest}."


def halfway(values: pd.Series) -> int:
    """The number of removed units nearest to half of the largest."""
    numbers = values.index.to_numpy()
    return int(numbers[abs(numbers - (numbers.max() + 1) / 2).argmin()])


def angle_sentence(results: Results, model: str, layer: str) -> str:
    """Units gone at the widest threshold, and the angle at which half the layer is gone."""
    widest, units = max(results.config["pruning"]["angles"]), results.units(model, layer)
    means = {
        state: values.mean(axis=1)
        for state in STATES
        if not (values := by_angle(results, model, layer, state)).empty
    }
    gone = " and ".join(
        f"{count(round(up_to(values, widest), 1))} of the {state}"
        for state, values in means.items()
    )
    half = " and ".join(half_text(state, values, units) for state, values in means.items())
    return (
        f"at {degrees(widest)}, the widest threshold of Table 4, {gone} "
        f"network's {units} units go. Half the layer is gone {half}."
    )


def up_to(values: pd.Series, angle: float) -> float:
    """Removed units at the last threshold that is no wider."""
    return float(values[values.index <= angle].iloc[-1])


def half_text(state: str, values: pd.Series, units: int) -> str:
    """``at 62.5° in the trained network`` or ``never in …``."""
    enough = values.index[values >= units / 2]
    angle = f"at {degrees(enough[0])}" if len(enough) else "never"
    return f"{angle} in the {state} network"


def free_sentences(results: Results, model: str) -> Iterator[str]:
    """One a pruned layer of a network that Table 5 has; a small one may lack all its numbers."""
    for layer in results.layers(model):
        if len(table_lines(results, model, layer)):
            yield free_sentence(results, model, layer)
