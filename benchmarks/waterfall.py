"""A finished run as one picture: which job ran when, and what of it was start and imports.

    python -m benchmarks.waterfall results/demo docs/pictures/waterfall.png

A bar is a job, a line of bars what ran one after the other, the pale part of a bar its start and
imports. The run is the last one of this folder; jobs of earlier runs are left out.
"""

import argparse
import json
import re
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks.common import machine

LOGS = Path(".snakemake/log")  # Snakemake names them by the moment of the command
STAGES = {  # rules by what they are for, in the order of a run
    "images": ("make_faces", "index_images", "prepare_frames", "find_faces", "crop_faces"),
    "splits": ("split_dataset", "audit_splits"),
    "training": ("initialise", "train"),
    "evaluation": ("evaluate", "select_hyperparameters"),
    "pruning": ("prune", "prune_untrained", "fine_tune", "sweep_technique",
                "compare_compensations", "score_with_torch_pruning"),
    "baselines": ("describe_images", "classify", "read_feature_table"),
}  # fmt: skip
REST = "tables and report"


class Job(NamedTuple):
    """A job: seconds from the command to its start, to its work, to its end; and its stage."""

    began: float
    worked: float
    ended: float
    stage: str


def command_began() -> float:
    """When the last command was given, in seconds since 1970."""
    newest = max(LOGS.glob("*.snakemake.log"))
    return datetime.strptime(newest.name.split(".")[0], "%Y-%m-%dT%H%M%S").timestamp()


def jobs_of(place: Path, began: float) -> Iterator[Job]:
    """Jobs of the experiment in ``place`` that started after ``began``."""
    for path in (place / "benchmarks").rglob("*.jsonl"):
        name = path.relative_to(place / "benchmarks")
        log = (place / "logs" / name).with_suffix(".log").read_text(encoding="utf-8")
        worked = float(re.findall(r"worked for ([\d.]+) s", log)[-1])
        wall = json.loads(path.read_text(encoding="utf-8").splitlines()[-1])["s"]
        ended = path.stat().st_mtime - began
        if ended > wall:
            yield Job(ended - wall, ended - worked, ended, stage_of(name.parts[0]))


def stage_of(rule: str) -> str:
    """Stage of a rule, or of the file named after it."""
    rule = rule.removesuffix(".jsonl")
    return next((stage for stage, rules in STAGES.items() if rule in rules), REST)


def lanes(jobs: Sequence[Job]) -> Iterator[tuple[int, Job]]:
    """Every job with a line on which no other runs at its time."""
    free: list[float] = []
    for job in sorted(jobs):
        lane = next((k for k, ended in enumerate(free) if ended <= job.began), len(free))
        free[lane : lane + 1] = [job.ended]
        yield lane, job


def draw(jobs: Sequence[Job], title: str) -> Figure:
    """The picture."""
    stages = [*STAGES, REST]
    colours = dict(zip(stages, mpl.color_sequences["tab10"], strict=False))
    figure = Figure(figsize=(9, 2.8), layout="constrained")
    axes = figure.subplots()
    for lane, job in lanes(jobs):
        colour = colours[job.stage]
        axes.barh(lane, job.ended - job.began, left=job.began, color=colour, alpha=0.35)
        axes.barh(lane, job.ended - job.worked, left=job.worked, color=colour)
    present = [stage for stage in stages if any(job.stage == stage for job in jobs)]
    handles = [mpl.patches.Patch(color=colours[stage], label=stage) for stage in present]
    handles.append(mpl.patches.Patch(color="grey", alpha=0.35, label="start, imports"))
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False)
    axes.set(xlabel="seconds since the command", yticks=[], xlim=0, title=title)
    axes.invert_yaxis()
    axes.spines[["left", "top", "right"]].set_visible(False)
    return figure


def main() -> None:
    """Draw the last run of an experiment, and print its figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("experiment", type=Path, help="its folder, for instance results/demo")
    parser.add_argument("picture", type=Path)
    arguments = parser.parse_args()
    jobs = list(jobs_of(arguments.experiment, command_began()))
    first = min(job.began for job in jobs)
    training = min((job.worked for job in jobs if job.stage == "training"), default=float("nan"))
    busy = sum(job.ended - job.began for job in jobs)
    starts = sum(job.worked - job.began for job in jobs)
    end = max(job.ended for job in jobs)
    draw(jobs, f"{arguments.experiment.name}: {len(jobs)} jobs on {machine()}").savefig(
        arguments.picture, dpi=150
    )
    print(
        f"{len(jobs)} jobs in {end:.0f} s: the first after {first:.1f} s, the first training after "
        f"{training:.1f} s; {busy:.0f} s in jobs, {starts:.0f} s of them start and imports."
    )


if __name__ == "__main__":
    main()
