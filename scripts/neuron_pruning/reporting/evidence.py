"""What the test images can show, and what they cannot, in words: a statement a question.

A difference is real here where a test says so, p < 0.05 after Holm's correction; all others are
"no difference that these images could show", with their figures.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import fisher_exact

from neuron_pruning.reporting.results import Results, as_dicts, display_name
from neuron_pruning.statistics.model_comparison import CONSTANT, CONTENDER, NETWORK, PUBLISHED
from neuron_pruning.statistics.significance import (
    SIGNIFICANT,
    PairedSeeds,
    difference_sentence,
    holm,
    p_words,
    paired_over_seeds,
)
from neuron_pruning.tables.rendering import count, degrees, percent, signed

Statement = tuple[str, str]  # what it is about, and the sentence
NONE_SHOWN = "no difference that these images could show"


@dataclass(frozen=True)
class Finding:
    """One comparison in words.

    Attributes:
        difference: of accuracies, a share.
        shown: 1 better, -1 worse, 0 not shown; None where the seeds disagree.
        tested: seeds and p.
    """

    name: str
    difference: float
    shown: int | None
    tested: str


def evidence(results: Results) -> list[Statement]:
    """All statements that the results have data for."""
    statements = [
        *(against_guessing(results, model) for model in results.models),
        *after_pruning(results),
        *between_networks(results),
        *against_machine(results),
        *on_strangers(results),
        *by_selection(results),
    ]
    return [(subject, unbroken(sentence)) for subject, sentence in statements]


def unbroken(sentence: str) -> str:
    """The sentence, where no line ends between a figure and its unit or name."""
    return re.sub(r"(?<=\bp) ([=<]) | (?=%|points\b)", _hard_spaces, sentence)


def _hard_spaces(found: re.Match[str]) -> str:
    return found[0].replace(" ", "\N{NO-BREAK SPACE}")


def against_guessing(results: Results, model: str) -> Statement:
    """Whether a network is better than naming classes without a look at the image."""
    row = results.standing(model)
    guesses = {
        "naming a class at random": ("chance", row["p_chance"]),
        "always naming the largest training class": ("majority class", row["p_majority"]),
    }
    said = {
        f"{words} ({percent(results.constant(name), digits=1)} %, {p_words(p)})": p < SIGNIFICANT
        for words, (name, p) in guesses.items()
    }
    return display_name(model), (
        f"{percent(row['accuracy_mean'], digits=1)} % of {row['test_images']:.0f} test images are "
        f"right, {interval_words(row['low'], row['high'])}: {_beaten(said)}."
    )


def _beaten(said: Mapping[str, bool]) -> str:
    """``better than A and than B``; ``better than A, but not shown to be better than B``."""
    beaten = " and than ".join(words for words, shown in said.items() if shown)
    others = " or than ".join(words for words, shown in said.items() if not shown)
    if not others:
        return f"better than {beaten}"
    doubt = f"not shown to be better than {others}"
    return f"better than {beaten}, but {doubt}" if beaten else doubt


def interval_words(low: float, high: float) -> str:
    """``95 % interval 38 to 55 %``."""
    return f"95 % interval {100 * low:.0f} to {100 * high:.0f} %"


def after_pruning(results: Results) -> Iterator[Statement]:
    """What pruning costs the trained networks, from Table 4: one a network and technique."""
    rows = results.tables[4]
    rows = rows[rows["state"] == "trained"]
    several = rows["technique"].nunique() > 1
    for (model, technique), found in rows.groupby(["model", "technique"], sort=False):
        how = f" by {technique}" if several else ""
        epochs = int(found["fine_tuning"].max())
        more = f" and {epochs} epochs of further training" if epochs else ""
        subject = f"{display_name(str(model))}, pruned{how}{more}"
        yield subject, f"{'; '.join(_pruning_clauses(found))}."


def _pruning_clauses(rows: pd.DataFrame) -> Iterator[str]:
    """Real differences one by one; then what shows none, and where nothing goes."""
    nothing = rows[(rows["removed_mean"] == 0) & (rows["fine_tuning"] == 0)]
    found = [pruning_finding(row) for row in as_dicts(rows.drop(nothing.index))]
    for finding in found:
        if finding.shown is None:
            yield f"{finding.name} the seeds disagree ({finding.tested})"
        elif finding.shown:
            verb = "gains" if finding.shown > 0 else "loses"
            yield f"{finding.name} it {verb} {_points(finding)} ({finding.tested})"
    same = [finding for finding in found if finding.shown == 0]
    if same:
        figures = [signed(finding.difference) for finding in same]
        listed = figures[0] if len(set(figures)) == 1 else _listed(figures)
        yield f"{_amounts([f.name for f in same])} {NONE_SHOWN} ({listed} points)"
    if len(nothing):
        amounts = _amounts([_amount(row) for row in as_dicts(nothing)])
        yield f"{amounts} no unit goes, so that nothing changes"


def _amounts(names: Sequence[str]) -> str:
    """``at 15° and 10°``: the preposition once."""
    first, *others = names
    return _listed([first, *(name.removeprefix("at ") for name in others)])


def pruning_finding(row: Mapping[str, Any]) -> Finding:
    """A row of Table 4: after pruning against before, on the same images."""
    difference = row["test_accuracy_after_mean"] - row["test_accuracy_before_mean"]
    return _of_seeds(_amount(row), difference, row)


def _amount(row: Mapping[str, Any]) -> str:
    if pd.isna(row["angle"]):
        return f"with {count(row['removed_mean'])} units gone"
    return f"at {degrees(row['angle'])}"


def _of_seeds(name: str, difference: float, row: Mapping[str, Any]) -> Finding:
    """What the tests of the seeds say together, from the columns that Tables 4 and 7 share."""
    better, worse, seeds = (int(row[key]) for key in ("seeds_better", "seeds_worse", "seeds"))
    shown = int(np.sign(better - worse)) if not (better and worse) else None
    if shown and np.sign(difference) != shown:  # one seed shows what the mean denies
        shown = None
    if shown is None:
        return Finding(name, difference, None, f"better in {better}, worse in {worse} of {seeds}")
    tested = f"{better + worse} of {_seeds(seeds)}, {p_words(row['p_images'])}"
    return Finding(name, difference, shown, tested)


def between_networks(results: Results) -> Iterator[Statement]:
    """The experiment's networks against each other, on the same test images of each seed."""
    for first, second in combinations(results.models, 2):
        answers = [results.right_answers(model) for model in (first, second)]
        seeds = sorted(answers[0].keys() & answers[1].keys())
        pairs = [[right[seed] for seed in seeds] for right in answers]
        paired = paired_over_seeds(pairs[0], pairs[1], results.test_to_train)
        names = display_name(first), display_name(second)
        sentence = f"{difference_sentence(*names, paired)}.{about_the_next(paired)}"
        yield "Network against network", sentence


def about_the_next(paired: PairedSeeds) -> str:
    """What a difference between trained networks does not say about the way they are made."""
    if len(paired.tests) == 1:
        return " One seed cannot say how the next training would end."
    shown = paired.better or paired.worse
    if not shown or paired.over_seeds.p < SIGNIFICANT:
        return ""
    return (
        f" That is about these networks: whether others, trained alike, would differ too, "
        f"{len(paired.tests)} seeds do not show."
    )


def against_machine(results: Results) -> Iterator[Statement]:
    """Networks against the support vector machine, from Table 7: one a split."""
    if 7 not in results.tables:
        return
    rows = results.tables[7]
    rows = rows[(rows["kind"] == NETWORK) & rows["reference"].notna()]
    for (split, reference), found in rows.groupby(["split", "reference"], sort=False):
        machine = results.contender_name(str(reference))
        findings = [_of_seeds(r["name"], r["difference"], r) for r in as_dicts(found)]
        yield (
            f"Networks against the {machine}, split {split}",
            f"{_sorted_out(findings, 'networks')}.",
        )


def on_strangers(results: Results) -> Iterator[Statement]:
    """What is left of the figures where no movie lies on both sides, from Table 7.

    ASSUME: Fisher's exact test of the mean numbers of right answers in one test part each. The
    two parts are not the same images, so that nothing can be paired; where they overlap, p is too
    large rather than too small.
    """
    splits = results.compared_splits
    random = next((name for name, protocol in splits.items() if protocol == "random"), None)
    movie = next((name for name, protocol in splits.items() if protocol == "movie"), None)
    if random is None or movie is None:
        return
    rows = results.tables[7]
    rows = rows[~rows["kind"].isin([CONSTANT, PUBLISHED])]
    keys = ["name", *CONTENDER]
    pairs = as_dicts(rows[rows["split"] == movie].merge(rows[rows["split"] == random], on=keys))
    adjusted = holm([_fisher(pair) for pair in pairs])
    findings = [_stranger(pair, float(p)) for pair, p in zip(pairs, adjusted, strict=True)]
    if findings:
        yield (
            f"Split {movie} against {random}",
            (
                "with no movie, and so hardly anybody, on both sides, "
                f"{_sorted_out(findings, 'contenders')}. Other images cannot be paired: this is "
                "Fisher's exact test of one test part each."
            ),
        )


def _fisher(pair: Mapping[str, Any]) -> float:
    """P of both splits having one true accuracy; ``_x`` is the movie split, ``_y`` the random."""
    table = []
    for side in ("x", "y"):
        images = int(pair[f"test_images_{side}"])
        right = round(pair[f"accuracy_mean_{side}"] * images)
        table.append([right, images - right])
    return float(fisher_exact(table).pvalue)


def _stranger(pair: Mapping[str, Any], p: float) -> Finding:
    movie, random = pair["accuracy_mean_x"], pair["accuracy_mean_y"]
    shown = int(np.sign(movie - random)) if p < SIGNIFICANT else 0
    figures = f"{percent(movie, digits=1)} instead of {percent(random, digits=1)} %"
    return Finding(pair["name"], movie - random, shown, f"{figures}, {p_words(p)}")


def _sorted_out(findings: Sequence[Finding], what: str) -> str:
    """``2 of 6 networks are better: A by 15.2 points (…), …; of the other 4 these images …``."""
    total, clauses = len(findings), []
    for shown, word in ((1, "better"), (-1, "worse")):
        found = [finding for finding in findings if finding.shown == shown]
        if found:
            verb = "is" if len(found) == 1 else "are"
            each = "; ".join(f"{f.name} by {_points(f)} ({f.tested})" for f in found)
            clauses.append(f"{len(found)} of {total} {what} {verb} {word}: {each}")
    for finding in findings:
        if finding.shown is None:
            clauses.append(f"of {finding.name} the seeds disagree ({finding.tested})")
    same = [finding for finding in findings if finding.shown == 0]
    if same:
        clauses.append(_none_shown(same, total, what))
    return "; ".join(clauses)


def _none_shown(same: Sequence[Finding], total: int, what: str) -> str:
    """Those of which nothing is known: by name where they are few."""
    if len(same) <= 2:
        named = "; ".join(f"{f.name} ({signed(f.difference)} points, {f.tested})" for f in same)
        return f"{NONE_SHOWN}: {named}"
    ordered = sorted(finding.difference for finding in same)
    reach = f"{signed(ordered[0])} to {signed(ordered[-1])} points"
    whose = f"all {total} {what}" if len(same) == total else f"the other {len(same)}"
    return f"{NONE_SHOWN} for {whose} ({reach})"


def by_selection(results: Results) -> Iterator[Statement]:
    """How much a selection on the test images flatters, where validation images can tell."""
    for model in results.models:
        rows = results.selection[results.selection["model"] == model]
        if len(rows) == 1 or rows["selected_on"].iloc[0] == "fixed":
            continue
        yield f"Selection of {display_name(model)}", _flattery(rows)


def _flattery(rows: pd.DataFrame) -> str:
    on = rows["selected_on"].iloc[0]
    if not rows["best_on_validation"].any():
        return (
            f"the best of {len(rows)} settings was chosen on the {on} images themselves, which "
            "flatters its figures; by how much, only a split with a validation_fraction can tell."
        )
    by_test, by_validation = (
        float(rows.loc[rows[f"best_on_{part}"], "test_accuracy_mean"].iloc[0])
        for part in ("test", "validation")
    )
    chosen = f"chosen on the {on} images"
    if (rows["best_on_test"] & rows["best_on_validation"]).any():
        return f"{chosen}; the validation and the test images prefer the same of {len(rows)}."
    return (
        f"{chosen}; with the setting that the test images prefer, "
        f"{percent(by_test, digits=1)} % of them are right, with the one that the validation "
        f"images prefer, {percent(by_validation, digits=1)} %: choosing on the test images "
        f"flatters by {100 * (by_test - by_validation):.1f} points."
    )


def _points(finding: Finding) -> str:
    return f"{100 * abs(finding.difference):.1f} points"


def _seeds(number: int) -> str:
    return "1 seed" if number == 1 else f"{number} seeds"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
