"""The audit of the paper as one Markdown page: its figures recomputed, its text compared."""

import re
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from neuron_pruning.core.errors import UserError
from neuron_pruning.core.files import write_text
from neuron_pruning.statistics.paper_audit import (
    Count,
    as_count,
    at_least_one_of,
    best_of,
    confusion_margins,
    flattened_alexnet,
    pairing_bounds,
    parameters,
    share_of_whole_means,
    smallest_loss_interval,
    unit_parameters,
    unpaired_p,
)
from neuron_pruning.statistics.significance import better_than, holm, p_words
from neuron_pruning.tables.rendering import DISPLAY_NAMES, degrees
from runtime.job_adapter import Mirrored, run_job

Figures = Mapping[str, Any]
PAPER_KEYS = {"table1", "classes", "table4", "protocol", "baseline", "selected", "networks"}
ENTRIES = {
    "contradictions": {"topic", "weight", "quotes", "finding"},
    "unsupported": {"quote", "missing"},
    "unstated": {"what", "assumed"},
    "conclusions": {"claim", "quotes", "paper", "verdict", "runs", "command"},
}  # keys of an entry of each list of findings
WEIGHTS = {
    "result": "They change a result or what it means",
    "method": "They change how to repeat the work",
    "wording": "Slips of wording",
}


def audit_paper(paper: Path, audit: Path, document: Path) -> Mirrored:
    """Write the page from the paper's figures and the findings on its text."""
    figures, findings = read_yaml(paper, PAPER_KEYS), read_yaml(audit, set(ENTRIES))
    check_findings(findings, audit)
    sections = [
        heading(figures, findings),
        counts_section(figures),
        comparisons_section(figures),
        classes_section(figures),
        network_section(figures),
        contradictions_section(findings),
        unstated_section(findings),
        consistent_section(figures),
        conclusions_section(findings),
    ]
    write_text(document, reflow("\n".join(sections)))
    return Mirrored(metrics={"contradictions": len(findings["contradictions"])})


def read_yaml(path: Path, keys: set[str]) -> dict[str, Any]:
    """A YAML file that must have these keys.

    Raises:
        UserError: the file is missing, is no YAML, or lacks a key.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist; restore it from the repository") from error
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from error
    missing = keys - set(found or {})
    if missing:
        raise UserError(f"{path} lacks {', '.join(sorted(missing))}; add what the audit reads")
    return found


def check_findings(findings: Figures, path: Path) -> None:
    """Refuse entries that the page could not show.

    Raises:
        UserError: an entry lacks a key or has a weight that is none.
    """
    for name, keys in ENTRIES.items():
        for number, entry in enumerate(findings[name], 1):
            missing = ", ".join(sorted(keys - set(entry)))
            if missing:
                raise UserError(f"{path}: number {number} of {name} lacks {missing}; add it")
            if entry.get("weight", "result") not in WEIGHTS:
                raise UserError(
                    f"{path}: {entry['weight']!r} of number {number} of {name} is no weight; "
                    f"choose of {', '.join(WEIGHTS)}"
                )


def size_of_test(figures: Figures) -> int:
    """Images of one test set."""
    return round(figures["protocol"]["images"] * figures["protocol"]["test_share"])


def size_of_training(figures: Figures) -> int:
    """Images of one training set."""
    return figures["protocol"]["images"] - size_of_test(figures)


def selected_cell(figures: Figures, model: str) -> Count:
    """Test accuracy of the cell that the paper goes on with."""
    wanted = {"model": model, **figures["selected"][model]}
    row = next(r for r in figures["table1"] if wanted.items() <= r.items())
    return as_count(row["test_accuracy"], size_of_test(figures))


def cells(figures: Figures, model: str) -> list[Count]:
    """Test accuracies of a model's cells in Table 1."""
    images = size_of_test(figures)
    return [as_count(r["test_accuracy"], images) for r in figures["table1"] if r["model"] == model]


# --- how things are written


def reflow(text: str, width: int = 100) -> str:
    """Paragraphs and list items filled to lines of ``width``; all else as it is."""
    blocks = []
    for block in re.split(r"\n{2,}", text.strip()):
        if not block.startswith(("#", "|", ">", "`")):
            items = re.split(r"\n(?=- )", block)
            block = "\n".join(fill(item, width) for item in items)
        blocks.append(block)
    return "\n\n".join(blocks) + "\n"


def fill(paragraph: str, width: int) -> str:
    """One paragraph or list item in lines of ``width``, words and addresses whole."""
    return textwrap.fill(
        " ".join(paragraph.split()),
        width,
        subsequent_indent="  " if paragraph.startswith("- ") else "",
        break_long_words=False,
        break_on_hyphens=False,
    )


def table(rows: Iterable[Mapping[str, str]]) -> str:
    """A Markdown table, a column a key; a bar in a cell does not end it."""
    frame = pd.DataFrame([{k: v.replace("|", r"\|") for k, v in r.items()} for r in rows])
    return frame.to_markdown(index=False, disable_numparse=True)


def percent(share: float, digits: int = 2) -> str:
    """``22.96`` of 0.2296."""
    return f"{100 * share:.{digits}f}"


def interval(ends: tuple[float, float]) -> str:
    """``16.7–30.7`` of two shares."""
    return f"{percent(ends[0], 1)}–{percent(ends[1], 1)}"


def p_range(ends: tuple[float, float]) -> str:
    """``0.001 to 0.16`` of two p values."""
    low, high = (p_words(p).removeprefix("p ").removeprefix("= ") for p in ends)
    return low if low == high else f"{low} to {high}"


def p_value(p: float) -> str:
    """``0.14`` or ``< 0.001``."""
    return p_range((p, p))


def quotation(quote: Mapping[str, str]) -> str:
    """A line of a block quotation with its place."""
    place = quote["where"] if quote["where"][0].isalpha() else f"Section {quote['where']}"
    return f"> “{quote['text']}” ({place})"


def quotations(quotes: Sequence[Mapping[str, str]]) -> str:
    """Several quotations as one block, a paragraph each."""
    return "\n>\n".join(map(quotation, quotes))


# --- sections


def heading(figures: Figures, findings: Figures) -> str:
    """Title and summary."""
    alexnet, vgg = selected_cell(figures, "alexnet"), selected_cell(figures, "vgg")
    largest = figures["protocol"]["largest_class"] / figures["protocol"]["images"]
    losses = [before - after for _, (before, after, _) in prunings(figures, 5)]
    claims = "\n".join(f"- {c['claim']} *{c['verdict']}*" for c in findings["conclusions"])
    return f"""# Audit of the paper

Zhang, "The Pruning Methods for Convolutional Neural Networks based on SFEW database". Made by the
rule `audit_paper` from `resources/paper.yaml` (figures) and `resources/audit.yaml` (text); change
those, not this page. Intervals are Wilson's at 95 %, tests are exact unless said. Images count as
independent, as the paper counts them; frames of one clip are not, so true intervals are wider.

## In short

- All figures of Table 1 are whole counts of {size_of_training(figures)} and
  {size_of_test(figures)} images, so they show single runs, not means of three. One test image is
  {percent(1 / alexnet.images)} points.
- The {percent(alexnet.share)} and {percent(vgg.share)} % of the networks do not differ from the
  {percent(figures["baseline"], 1)} % of the SVM by more than chance (p =
  {both_p(figures, figures["baseline"])}), nor from each other. Against always naming the largest
  class, p is {both_p(figures, largest)}. Allowing for the choice of the best of four cells on the
  test images, that becomes {both_p(figures, largest, 4)}.
- The loss at 15 degrees may be chance or not: p can be anything from
  {" (AlexNet) and from ".join(p_range(pairing_bounds(*pair)) for _, pair in prunings(figures, 15))}
  (VGG), depending on which images were lost, which is not given. The loss at 5 degrees is
  {" and ".join(map(str, losses))} image; the interval of the true loss then reaches
  {percent(smallest_loss_interval(1, alexnet.images)[1], 1)} points even in the clearest case.
- The precisions and recalls of Tables 2 and 3, if rounded, belong to no single confusion matrix
  of {alexnet.images} images.
- The units removed at 15 degrees hold {percent(removed_share(figures, "alexnet"), 1)} % of
  AlexNet's and {percent(removed_share(figures, "vgg"))} % of VGG's parameters.
- The text contradicts itself, its figures or its sources in {len(findings["contradictions"])}
  places, among them the pruning rule, and leaves {len(findings["unstated"])} choices open.

Its conclusions, and what our runs say of each (section 8):

{claims}
"""


def both_p(figures: Figures, share: float, tried: int = 1) -> str:
    """``0.14 and 0.26``: p of the two selected networks against a share, best of ``tried``."""
    counts = [selected_cell(figures, model) for model in figures["selected"]]
    return " and ".join(
        p_value(at_least_one_of(count.right, count.images, share, tried)) for count in counts
    )


def prunings(figures: Figures, angle: float) -> list[tuple[str, tuple[int, int, int]]]:
    """Right answers before and after, and images, of each model at an angle."""
    images = size_of_test(figures)
    return [
        (
            row["model"],
            (
                as_count(row["before"], images).right,
                as_count(row["after"], images).right,
                images,
            ),
        )
        for row in figures["table4"]
        if row["angle"] == angle
    ]


def removed_share(figures: Figures, model: str, angle: float = 15) -> float:
    """Share of a network's parameters that the removed units of Table 4 have."""
    network = figures["networks"][model]
    removed = next(
        row["removed"]
        for row in figures["table4"]
        if row["model"] == model and row["angle"] == angle
    )
    return removed * unit_parameters(network) / parameters(network)


def counts_section(figures: Figures) -> str:
    """Section 1: the figures of Tables 1 and 4 as counts."""
    training, test = size_of_training(figures), size_of_test(figures)
    runs = figures["protocol"]["runs"]
    counts = [
        (row, as_count(row["train_accuracy"], training), as_count(row["test_accuracy"], test))
        for row in figures["table1"]
    ]
    every = [count for _, *pair in counts for count in pair]
    fits = {fit: sum(c.fit == fit for c in every) for fit in ("rounded", "cut", "none")}
    chance = [share_of_whole_means(images, runs) for images in (training, test)]
    odds = 1 / (chance[0] * chance[1]) ** len(counts)
    after = [(row, as_count(row["after"], test)) for row in figures["table4"]]
    return f"""## 1. Tables 1 and 4 as counts

Table 1, of {training} training and {test} test images. “Cut” means that digits were dropped.

{table(count_row(*entry) for entry in counts)}

Of the {len(every)} figures {fits["rounded"]} are whole counts, rounded; {fits["cut"]} is a whole
count, cut; {fits["none"]} fit no whole count. A mean of {runs} runs is a multiple of
1/{runs * test} (or 1/{runs * training}); by enumeration {percent(chance[1], 1)} % (or
{percent(chance[0], 1)} %) of those print like a whole count. If the figures were means of {runs}
different runs, all {len(every)} would look so once in {odds / 1e6:.0f} million times. They are
single runs, or {runs} identical ones (one seed), and no spread is known.

Table 4, accuracy after pruning, of the same {test} images. The accuracies before pruning are those
of Table 1.

{table(pruned_row(*entry) for entry in after)}
"""


def count_row(row: Figures, train: Count, test: Count) -> dict[str, str]:
    """A line of Table 1 as counts."""
    return {
        "Network": DISPLAY_NAMES[row["model"]],
        "Rate": f"{row['learning_rate']:g}",
        "Batch": str(row["batch_size"]),
        "Train": percent(row["train_accuracy"]),
        "Images": f"{train.right} ({train.fit})",
        "Interval": interval(train.interval),
        "Test": percent(row["test_accuracy"]),
        "Images ": f"{test.right} ({test.fit})",
        "Error": f"{100 * test.error:+.3f}".replace("-", "−"),
        "Interval ": interval(test.interval),
    }


def pruned_row(row: Figures, count: Count) -> dict[str, str]:
    """A line of Table 4 as a count."""
    return {
        "Network": DISPLAY_NAMES[row["model"]],
        "Angle": degrees(row["angle"]),
        "Removed": str(row["removed"]),
        "After": percent(row["after"]),
        "Images": f"{count.right} ({count.fit})",
        "Error": f"{100 * count.error:+.3f}".replace("-", "−"),
        "Interval": interval(count.interval),
    }


def comparisons_section(figures: Figures) -> str:
    """Section 2: the differences that the text discusses."""
    return "\n".join(
        [
            "## 2. Do the differences exceed noise?\n",
            baselines_part(figures),
            cells_part(figures),
            prunings_part(figures),
        ]
    )


def baselines_part(figures: Figures) -> str:
    """Section 2.1: the selected networks against the SVM, guessing and each other."""
    protocol = figures["protocol"]
    references = {
        f"the SVM's {percent(figures['baseline'], 1)} %": figures["baseline"],
        f"1 of {protocol['classes']} classes": 1 / protocol["classes"],
        "the largest class": protocol["largest_class"] / protocol["images"],
    }
    rows = []
    for model in figures["selected"]:
        count, tried = selected_cell(figures, model), len(cells(figures, model))
        for name, share in references.items():
            rows.append(
                {
                    "Network": f"{DISPLAY_NAMES[model]} {percent(count.share)} %",
                    "Against": name,
                    "Share": percent(share),
                    "Points": f"{100 * (count.share - share):+.1f}",
                    "p": p_value(better_than(count.right, count.images, share)),
                    f"p, best of {tried}": p_value(
                        at_least_one_of(count.right, count.images, share, tried)
                    ),
                }
            )
    alexnet, vgg = selected_cell(figures, "alexnet"), selected_cell(figures, "vgg")
    pair = (alexnet.right, vgg.right, alexnet.images)
    return f"""### 2.1 Against the SVM, against guessing, against each other

Binomial test, one-sided (greater), once as if the cell had been fixed in advance and once for the
best of all cells (Bonferroni).

{table(rows)}

The SVM's accuracy counts here as exact and as one of the same protocol; it is neither, so these p
values are too small. AlexNet against VGG, {alexnet.right} and {vgg.right} of {alexnet.images}:
p = {p_value(unpaired_p(*pair))} if the test images are not the same (Fisher),
{p_range(pairing_bounds(*pair))} if they are (McNemar, over all pairs that the counts allow).
"""


def cells_part(figures: Figures) -> str:
    """Section 2.2: the hyper-parameters."""
    rows = []
    for model in figures["selected"]:
        counts = cells(figures, model)
        images = counts[0].images
        best = best_of([c.right for c in counts], images)
        rows.append(
            {
                "Network": DISPLAY_NAMES[model],
                "Right": ", ".join(str(c.right) for c in counts),
                "p that all are alike": p_value(best.p_alike),
                "Mean": percent(best.mean / images, 1),
                "Best": percent(best.best / images, 1),
                "Best expected of equals": percent(best.expected / images, 1),
            }
        )
    return f"""### 2.2 Between the hyper-parameters

Right answers of the cells of Table 1, a chi-squared test that all cells are alike, and the largest
accuracy to be expected of as many cells that all have the mean as their true accuracy.

{table(rows)}

The cells do not differ by more than chance. The selected accuracies lie above the means of their
cells by about as much as choosing the best of equals on the test images gives, so the table shows
no advantage of one setting over another.
"""


def prunings_part(figures: Figures) -> str:
    """Section 2.3: before and after pruning."""
    images = size_of_test(figures)
    largest = figures["protocol"]["largest_class"] / figures["protocol"]["images"]
    pairs = [
        (row, as_count(row["before"], images), as_count(row["after"], images))
        for row in figures["table4"]
    ]
    bounds = [pairing_bounds(before.right, after.right, images) for _, before, after in pairs]
    corrected = holm([low for low, _ in bounds])
    rows = [
        {
            "Network": DISPLAY_NAMES[row["model"]],
            "Angle": degrees(row["angle"]),
            "Right": f"{before.right} → {after.right}",
            "Points": f"{100 * (after.share - before.share):+.1f}".replace("-", "−"),
            "Of the right answers": f"−{percent(1 - after.right / before.right, 0)} %",
            "p": p_range(bound),
            "Smallest p, Holm": p_value(smallest),
            "After, against the largest class": p_value(better_than(after.right, images, largest)),
        }
        for (row, before, after), bound, smallest in zip(pairs, bounds, corrected, strict=True)
    ]
    lost = smallest_loss_interval(1, images)
    return f"""### 2.3 Before and after pruning

Two counts of the same {images} images. McNemar's test needs the images that one network alone has
right, which the paper does not give: p is bounded by the clearest case (pruning spoils answers and
mends none) and the least clear one (as few images as possible are right both times). Holm's
correction is for {len(rows)} prunings in their clearest case. The last column tests the pruned
network against naming the largest class ({percent(largest, 1)} %).

{table(rows)}

“Significantly reduced” (15 degrees) can be true; to show it takes the pairs. After it AlexNet has
exactly the {percent(largest)} % that one full class has of all images, VGG less. “Dropped by no
more than 1%” (5 degrees) is one image of {images}: true of these images in points, and
{percent(1 / pairs[2][1].right, 0)} % of AlexNet's right answers. In the clearest case the interval
of the true loss is {interval(lost)} points, so a loss of {percent(lost[1], 0)} points is compatible
with it. The four differences at 10 and 5 degrees cannot be shown by {images} images after
correction, whatever the pairs are.
"""


def classes_section(figures: Figures) -> str:
    """Section 3: precision and recall of Tables 2 and 3."""
    images = size_of_test(figures)
    rows, sizes = [], []
    for model, published in figures["classes"].items():
        precision, recall = (list(published[m].values()) for m in ("precision", "recall"))
        rounded = list(confusion_margins(precision, recall, images))
        either = list(confusion_margins(precision, recall, images, "either"))
        sizes.append({tuple(size for _, size, _ in margins) for margins in either})
        right = sorted({sum(r for r, _, _ in margins) for margins in either})
        rows.append(
            {
                "Table": f"{len(rows) + 2}, {DISPLAY_NAMES[model]}",
                "Mean precision": f"{sum(precision) / len(precision):.3f}",
                "Mean recall": f"{sum(recall) / len(recall):.3f}",
                "Accuracy": f"{published['accuracy']:.2f}",
                "Rounded throughout": str(len(rounded)),
                "Rounded or cut": str(len(either)),
                "Right answers then": " or ".join(map(str, right)) or "–",
                "Table 1": str(selected_cell(figures, model).right),
            }
        )
    shared = len(set.intersection(*sizes))
    return f"""## 3. Tables 2 and 3: could they be confusion matrices?

Recall is right answers over images of a class, precision right answers over answers; images and
answers of all classes each add up to {images}. Enumerated: every choice of whole numbers that
prints as the published figures.

{table(rows)}

- If every figure is rounded, no single confusion matrix of {images} images gives either table.
- If each figure may be rounded or cut (Tables 1 and 4 do both), a few sets of whole numbers give
  them, with as many right answers as in Table 1 or one more. So either digits were cut here too,
  or these are means over runs, or of other images, beside an accuracy of one run. The figures
  alone cannot tell.
- Of the sets of Table 2 {shared or "none"} {"have" if shared > 1 else "has"} the class sizes of
  one of Table 3. So if both are of one run, the two networks were not tested on the same images,
  and a difference between them is also one of test sets.
- The mean recall equals the accuracy in both tables, as it nearly must where classes are of
  nearly one size.
"""


def network_section(figures: Figures) -> str:
    """Section 4: sizes."""
    rows = []
    for model, network in figures["networks"].items():
        total, unit = parameters(network), unit_parameters(network)
        removed = {r["angle"]: r["removed"] for r in figures["table4"] if r["model"] == model}
        rows.append(
            {
                "Network": DISPLAY_NAMES[model],
                "Parameters": f"{total / 1e6:.2f} M",
                "Of one unit": f"{unit:,}",
                "Of the whole layer": f"{percent(network['pruned'] * unit / total)} %",
                **{
                    f"Removed at {degrees(angle)}": f"{percent(count * unit / total)} %"
                    for angle, count in removed.items()
                },
            }
        )
    height, width = figures["protocol"]["input"]
    strides = ", ".join(
        f"{stride}: {flattened_alexnet(height, width, stride):,}" for stride in range(1, 7)
    )
    odd = sum(row["removed"] % 2 for row in figures["table4"])
    steps = sorted({steps_of(figures, row["batch_size"]) for row in figures["table1"]})
    return f"""## 4. What is pruned, and in which networks

{table(rows)}

- Outputs of AlexNet's convolutions by the stride of the second one: {strides}. The paper's 3072
  needs stride 4, which it does not state.
- {odd} of the {len(figures["table4"])} numbers of removed units are odd. Removing similar pairs
  one after the other, both units of each, takes an even number. So one unit of a pair went, or all
  units with some partner below the threshold.
- {figures["protocol"]["epochs"]} epochs of {size_of_training(figures)} images are
  {" or ".join(map(str, steps))} steps of the optimiser (batches of 128 or 64).
"""


def steps_of(figures: Figures, batch_size: int) -> int:
    """Optimiser steps of a whole training; the last, smaller batch of an epoch counts."""
    return figures["protocol"]["epochs"] * -(-size_of_training(figures) // batch_size)


def contradictions_section(findings: Figures) -> str:
    """Section 5: quotations that cannot both be followed, weightiest first."""
    parts, number = ["## 5. Where the text contradicts itself or its sources\n"], 0
    for weight, title in WEIGHTS.items():
        parts.append(f"### {title}\n")
        for entry in findings["contradictions"]:
            if entry["weight"] == weight:
                number += 1
                quotes = quotations(entry["quotes"])
                parts.append(f"**{number}. {entry['topic']}.**\n\n{quotes}\n\n{entry['finding']}\n")
    claims = table(
        {"Claim": f"“{c['quote']['text']}” ({c['quote']['where']})", "Missing": c["missing"]}
        for c in findings["unsupported"]
    )
    return "\n".join([*parts, f"### Claims without a figure, a test or a source\n\n{claims}\n"])


def unstated_section(findings: Figures) -> str:
    """Section 6: what a repetition has to decide."""
    rows = table({"Not stated": u["what"], "Here": u["assumed"]} for u in findings["unstated"])
    return f"""## 6. What is not stated

What this workflow does instead is a setting wherever that is possible. The whole list, with where
each choice takes effect, is in [ASSUMPTIONS.md](ASSUMPTIONS.md).

{rows}
"""


def consistent_section(figures: Figures) -> str:
    """Section 7: what was checked and holds."""
    height, width = figures["protocol"]["input"]
    vgg = figures["networks"]["vgg"]
    poolings = len(vgg["convolutions"])
    flattened = vgg["convolutions"][-1][0] * (height >> poolings) * (width >> poolings)
    images, classes = figures["protocol"]["images"], figures["protocol"]["classes"]
    missing = figures["protocol"]["largest_class"] * classes - images
    best = {m: max(c.right for c in cells(figures, m)) for m in figures["selected"]}
    selected = all(selected_cell(figures, m).right == best[m] for m in best)
    after = {row["angle"]: row["removed"] for row in reversed(figures["table4"])}
    return f"""## 7. What was checked and holds

- {height} x {width} x 3 = {height * width * 3:,} inputs.
- {images} images are 700 less {missing} of one class; 20 % of them are {size_of_test(figures)}.
- {poolings} convolutions that double their kernels from 8, each pooled, give {flattened:,} outputs.
- The selected cells have {"" if selected else "not "}the highest test accuracy of their network.
- The accuracies of Tables 2 and 3 are those of Table 1 in two digits.
- More than 90 of 100 units go at 15 degrees, more than half at 5 ({after[5]} at least).
- Sigmoid outputs span angles up to 90 degrees, and up to 180 after subtracting 0.5.
"""


def conclusions_section(findings: Figures) -> str:
    """Section 8: the paper's conclusions beside our runs."""
    parts = ["## 8. The paper's conclusions and our runs\n"]
    for number, entry in enumerate(findings["conclusions"], 1):
        parts.append(
            f"""### {number}. {entry["claim"]}

{quotations(entry["quotes"])}

**{entry["verdict"]}**

*The paper's own figures.* {entry["paper"]}

*Our runs* ([RESULTS.md](RESULTS.md)). {entry["runs"]}

```sh
{entry["command"].strip()}
```
"""
        )
    return "\n".join(parts)


if "snakemake" in globals():
    run_job(globals()["snakemake"], audit_paper)
