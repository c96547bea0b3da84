"""The tables as the page shows them: headings, rows of texts and a caption."""

import re
from collections.abc import Callable, Iterator
from typing import Any

import pandas as pd

from neuron_pruning.reporting.templating import display_name
from neuron_pruning.tables.rendering import interval, over_seeds

Display = Callable[[pd.DataFrame], pd.DataFrame]
FIRST_LINES = 12
UNTRAINED = ", untrained"  # as Tables 5 and 6 mark it
SHARED = {8: ["Machine", "Split", "Accuracy"]}  # columns that become headings of rows
TEXT_COLUMNS = ("Technique", "Compensation", "Split")
CAPTIONS = {
    1: "Train and test accuracy of every setting in percent, with the 95 % interval (Wilson) of "
    "the test accuracy; * {starred}.",
    2: "Test precision and recall of {name} by class, as shares; the 95 % interval (Wilson) of the "
    "accuracy is {interval} %.",
    4: "Units removed from the pruned layer, and test accuracy in percent before and after it, "
    "with the 95 % interval (Wilson). Seeds worse: those whose own accuracy is significantly lower "
    "after pruning (McNemar's exact test, p < 0.05 after Holm's correction).",
    5: "Techniques at equal numbers of removed units, by rank: test accuracy in percent after "
    "removing so many units, in brackets the paired difference in points from random removal with "
    "the same compensation, or without where random removal cannot have it; * significant over the "
    "seeds (corrected resampled t-test, p < 0.05 after Holm's correction within network and "
    "number). Free: units that can be removed for less than one point.",
    6: "Compensations of distinctiveness: test accuracy in percent, in brackets the paired "
    "differences in points from no compensation and from random removal of as many units; * the "
    "former is significant over the seeds (corrected resampled t-test, Holm within the angle).",
    7: "Networks, SVMs, constants and published figures under every split of the images: test "
    "accuracy in percent, in square brackets the 95 % interval (Wilson) of one test part of that "
    "size; * significantly better than always naming the largest training class (exact binomial "
    "test, p < 0.05 after Holm's correction within the split).",
    8: "SVMs class by class on the test images, and below them the published ones: accuracy in "
    "percent with its 95 % interval (Wilson), the others as shares.",
}  # 2 also of Table 3


def page_table(number: int, rows: pd.DataFrame, display: Display) -> dict[str, Any]:
    """One table; ``rest`` has the lines that the page folds."""
    shown = display(rows)
    early = FOLDS[number](shown) if number in FOLDS else pd.Series(True, index=shown.index)
    shared = SHARED.get(number, [])
    inner = shown.drop(columns=shared)
    return {
        "number": number,
        "caption": caption(number, rows),
        "head": list(inner.columns),
        "text_columns": [n for n, name in enumerate(inner.columns) if name in TEXT_COLUMNS],
        "groups": list(groups(shown, shared)),
        "rows": list(texts(inner[early])),
        "rest": list(texts(inner[~early])),
    }


def groups(shown: pd.DataFrame, shared: list[str]) -> Iterator[tuple[str, list[list[str]]]]:
    """Rows below a heading of what they share, so that a narrow page need not repeat it."""
    if not shared:
        return
    for key, found in shown.groupby(shared, sort=False):
        svm, split, accuracy = (str(value) for value in key)
        yield f"{svm}, {split}: accuracy {accuracy}", list(texts(found.drop(columns=shared)))


def caption(number: int, rows: pd.DataFrame) -> str:
    """What the figures of a table are."""
    figures = f" Figures are {over_seeds(int(rows['seeds'].max()))}"
    if number >= 5:
        return f"{CAPTIONS[number]}{figures}.{sources(rows)}"
    words = {"starred": starred(rows), "name": display_name(rows.iloc[0]["model"])}
    if number in (2, 3):
        overall = rows[(rows["metric"] == "accuracy") & (rows["class"] == "all")].iloc[0]
        words["interval"] = interval(overall["low"], overall["high"])
    images = rows["test_images"].max()
    text = CAPTIONS[2 if number == 3 else number].format(**words)
    return f"{text}{figures}, {images} test images; the paper's own stand beside them."


def starred(rows: pd.DataFrame) -> str:
    """What the star of Table 1 means."""
    parts = sorted(set(rows.get("selected_on", ())) - {"fixed"})
    return f"selected on {' or '.join(parts)} images" if parts else "fixed in the config"


def sources(rows: pd.DataFrame) -> str:
    """Where the published figures of Table 7 are from."""
    if "note" not in rows:
        return ""
    published = rows.dropna(subset=["note"]).drop_duplicates("contender")
    noted = [f"{name}: {note}" for name, note in published[["contender", "note"]].to_numpy()]
    return f" Published figures: {'; '.join(noted)}." if noted else ""


def first_lines(shown: pd.DataFrame) -> "pd.Series[bool]":
    """The first lines of every network in Table 5; an untrained one goes with its trained one."""
    networks = shown["Network"].str.removesuffix(UNTRAINED)
    return shown.groupby(networks).cumcount() < FIRST_LINES


def trained_lines(shown: pd.DataFrame) -> "pd.Series[bool]":
    """The lines of the trained networks in Table 6."""
    return ~shown["Network"].str.endswith(UNTRAINED)


FOLDS = {5: first_lines, 6: trained_lines}  # what stays in sight


def texts(rows: pd.DataFrame) -> Iterator[list[str]]:
    """Cells as the page writes them, a dash where there is no figure.

    A cell breaks at most before its brackets.
    """
    for row in rows.to_numpy():
        first, *others = ("–" if pd.isna(cell) else str(cell) for cell in row)
        yield [first, *(re.sub(r" (?![(\[])", "\N{NO-BREAK SPACE}", cell) for cell in others)]
