"""What Snakemake can plan only once the hyper-parameters are selected: kinds of jobs and numbers.

The names of those jobs' files depend on the selection; their number does not, because one cell of
every model is selected.
"""

import sys
from collections.abc import Collection, Iterator
from dataclasses import replace
from typing import Any

from planning.targets import Targets


def announce(workflow: Any, targets: Targets) -> None:
    """Print the line, if a run of Snakemake has planned the selection; not where all is quiet."""
    planned = {job.rule.name for job in workflow.dag.needrun_jobs(exclude_finished=False)}
    quiet = {level.name for level in workflow.output_settings.quiet}
    line = after_selection(targets, planned) if "select_hyperparameters" in planned else ""
    if line and "ALL" not in quiet:
        print(line, file=sys.stderr)


def announce_dry_run(workflow: Any, targets: Targets) -> None:
    """The same at the end of a dry run, which calls no handler and counts jobs as finished."""
    if workflow.is_main_process and workflow.dryrun and workflow.dag is not None:
        announce(workflow, targets)


def after_selection(targets: Targets, rules: Collection[str]) -> str:
    """One line about the jobs that follow the selection.

    Args:
        targets: of the experiment.
        rules: names of the rules that are planned so far.

    Returns:
        The line, as if none of the jobs had been done before; empty where none follows.
    """
    first = {run["model"]: {**run, "selected": True} for run in reversed(targets.runs)}
    chosen = replace(targets, selection=lambda: list(first.values()))
    kinds = [f"{number} {kind}" for kind, number in _numbers(chosen, rules) if number]
    return f"after the selection: {', '.join(kinds)}" if kinds else ""


def _numbers(chosen: Targets, rules: Collection[str]) -> Iterator[tuple[str, int]]:
    """Kinds of jobs and how many, each because of a rule that reads what they write."""
    nothing: dict[str, Any] = {}
    if "build_report" in rules or "build_comparison_report" in rules:
        untrained = [state for state in chosen.states if state != "trained"]
        if untrained:
            found = chosen.evaluations("metrics", *untrained)(nothing)
            yield "evaluations of untrained networks", len(found)
    if "table_pruning" in rules:
        prunings = len(chosen.pruned_metrics(nothing))
        yield "prunings", prunings
        yield "fine-tunings", prunings if chosen.fine_tunes else 0
    if "table_techniques" in rules:
        yield "scorings by torch-pruning", len(chosen.compared_scores)
        yield "sweeps", len(chosen.sweep_points(nothing))
    if "table_compensations" in rules:
        yield "comparisons of compensations", len(chosen.compensation_points(nothing))
    if "table_sizes" in rules:
        yield "cuts, each measured", len(chosen.measured_cuts(nothing))
