"""What the sweeps show of a pruned layer: which lines a chart has, and their figures."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import pandas as pd

from neuron_pruning.reporting.charts import LINES, STATES
from neuron_pruning.reporting.results import Results
from neuron_pruning.statistics.technique_comparison import per_seed

Line = tuple[str, str]  # technique and compensation
PlacedLines = Mapping[Line, int]  # with the place in LINES, which is how a line looks
LINE_KEYS = ["technique", "compensation"]
RANDOM_REMOVAL: Line = ("random", "none")
MOST_COMPENSATIONS = 5


@dataclass(frozen=True)
class Layer:
    """A pruned layer; its figures are of the trained network unless a name says otherwise.

    Attributes:
        cells: Table 5, one row per line and number of removed units, the best rank first; empty
            for a small layer that lacks all numbers of that table.
        sweeps: every technique at every amount, trained and untrained.
    """

    model: str
    name: str
    cells: pd.DataFrame
    sweeps: pd.DataFrame

    @property
    def units(self) -> int:
        """Units before pruning."""
        return int(self.sweeps["units"].iloc[0])

    @cached_property
    def by_count(self) -> dict[Line, pd.DataFrame]:
        """Figures of every line by number of removed units and seed; means over draws."""
        rows = per_seed(self.sweeps[self.sweeps["state"] == "trained"])
        return {(str(t), str(c)): found for (t, c), found in rows.groupby(LINE_KEYS)}

    @property
    def shown(self) -> pd.DataFrame:
        """The lines that Table 5 shows: every technique with its own compensation and lstsq."""
        rows = self.cells[self.cells["technique"] != "majority class"].drop_duplicates(LINE_KEYS)
        own = rows["compensation"] == rows["default_compensation"]
        return rows[own | (rows["compensation"] == "lstsq")]

    @property
    def ranked(self) -> pd.DataFrame:
        """The shown lines with a rank, the best first, without random removal."""
        return self.shown[(self.shown["technique"] != "random") & self.shown["rank"].notna()]

    @cached_property
    def at_count(self) -> dict[Line, pd.Series]:
        """Rows of Table 5 at the number of removed units that is nearest to half the layer."""
        rows, half = self.cells, self.units / 2
        nearest = min(set(rows["removed"]), key=lambda count: (abs(count - half), count), default=0)
        return {
            (row["technique"], row["compensation"]): row
            for _, row in rows[rows["removed"] == nearest].iterrows()
        }

    def effects(self, lines: Iterable[Line]) -> list[tuple[pd.Series, pd.Series | None]]:
        """Those rows of some lines, each with the random removal that it is compared with."""
        rows = [self.at_count[line] for line in lines if line in self.at_count]
        return [(row, self.at_count.get(("random", row["reference"]))) for row in rows]

    @property
    def opening(self) -> tuple[pd.Series, pd.Series | None] | None:
        """The effect of the line with the best rank."""
        best = self.ranked[LINE_KEYS].head(1).itertuples(index=False, name=None)
        return next(iter(self.effects(best)), None)

    @cached_property
    def best_lines(self) -> PlacedLines:
        """The techniques of the four best ranks, distinctiveness as in the paper, random removal.

        Each of the best techniques has the better of its two compensations.
        """
        best = self.ranked.drop_duplicates("technique").head(4)[LINE_KEYS]
        others = [line for line in best.itertuples(index=False, name=None) if line != self.own_line]
        lines = [(self.own_line, 0), *((line, place) for place, line in enumerate(others, 1))]
        return self._with_data([*lines, (RANDOM_REMOVAL, len(LINES) - 1)])

    @cached_property
    def compensation_lines(self) -> PlacedLines:
        """Random removal and distinctiveness under several compensations."""
        lines = [
            (self.own_line, 0),
            (("distinctiveness", "none"), 1),
            (RANDOM_REMOVAL, 5),
            (("random", "bias"), 3),
            (("random", "lstsq"), 4),
            (("distinctiveness", "lstsq"), 2),  # where the technique's own is none
        ]
        return dict(list(self._with_data(lines).items())[:MOST_COMPENSATIONS])

    @property
    def own_line(self) -> Line | None:
        """Distinctiveness with its own compensation, if it was compared."""
        rows = self.sweeps[self.sweeps["technique"] == "distinctiveness"]
        return None if rows.empty else ("distinctiveness", rows["default_compensation"].iloc[0])

    def _with_data(self, lines: Iterable[tuple[Line | None, int]]) -> PlacedLines:
        """Those of the lines that the sweeps have, each at its first place."""
        places: dict[Line, int] = {}
        for line, place in lines:
            if line in self.by_count:
                places.setdefault(line, place)
        return places

    def by_removed(self, line: Line, figure: str) -> pd.DataFrame:
        """A figure of a line in percent, by number of removed units (rows) and seed (columns).

        Numbers of units that not every seed reaches are left out: the mean would jump there.
        """
        rows = self.by_count[line].pivot(index="removed", columns="seed", values=figure)
        return 100 * rows.dropna()

    def at_half(self, lines: PlacedLines, figure: str) -> tuple[int, dict[Line, float | None]]:
        """The removed units nearest to half of all, and a figure of each line there in percent.

        A line that cannot remove so many has none.
        """
        means = {line: self.by_removed(line, figure).mean(axis=1) for line in lines}
        numbers = means[RANDOM_REMOVAL].index.to_numpy()
        half = int(numbers[abs(numbers - (numbers.max() + 1) / 2).argmin()])
        return half, {line: values.get(half) for line, values in means.items()}

    @cached_property
    def by_angle(self) -> dict[str, pd.DataFrame]:
        """Units that distinctiveness removes, by state: threshold angles in rows, seeds in columns.

        One compensation stands for all: none changes which units are removed.
        """
        rows = self.sweeps[self.sweeps["technique"] == "distinctiveness"]
        rows = rows[rows["angle"].notna() & (rows["compensation"] == rows["default_compensation"])]
        found = {state: rows[rows["state"] == state] for state in STATES}
        return {
            state: of.pivot(index="angle", columns="seed", values="removed").dropna()
            for state, of in found.items()
            if len(of)
        }

    def at_angle(self, widest: float) -> dict[str, tuple[float, float | None]]:
        """By state: units removed at an angle, and the angle that removes half of all."""
        means = {state: values.mean(axis=1) for state, values in self.by_angle.items()}
        return {
            state: (m[m.index <= widest].iloc[-1], next(iter(m.index[m >= self.units / 2]), None))
            for state, m in means.items()
        }


def layers(results: Results) -> list[Layer]:
    """Every network and pruned layer in the order of the config."""
    table = results.tables[5]
    cells = table[table["state"] == "trained"].sort_values("rank", kind="stable")
    found = []
    for model in results.models:
        for name in results.layers(model):
            both = (cells, results.sweeps)
            own = [rows[(rows["model"] == model) & (rows["layer"] == name)] for rows in both]
            found.append(Layer(model, name, *own))
    return found
