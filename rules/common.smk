# Names, settings and helpers that several stages share.
import ast
import hashlib
import sys
from functools import cache
from pathlib import Path

import pandas as pd
from snakemake.utils import Paramspace

SCRIPTS = Path(workflow.basedir) / "scripts"
sys.path.insert(0, str(SCRIPTS))

from neuron_pruning.configuration import check_config
from neuron_pruning.errors import UserError

try:
    check_config(config, Path(workflow.basedir) / "schemas" / "config.schema.yaml")
except UserError as error:
    raise WorkflowError(str(error)) from None

EXPERIMENT = config["experiment"]
ROOT = f"results/{EXPERIMENT}"
SEEDS = config["seeds"]
MODELS = config["run_models"]
RECIPE = config["recipes"][config["recipe"]]
STATES = ["trained", "untrained"] if config["controls"]["untrained"] else ["trained"]
ENVIRONMENT = "../envs/workflow.yaml"

RUNS = Paramspace(
    pd.DataFrame(
        [
            (model, learning_rate, batch_size, seed)
            for model in MODELS
            for learning_rate in config["models"][model]["learning_rates"]
            for batch_size in config["models"][model]["batch_sizes"]
            for seed in SEEDS
        ],
        columns=["model", "learning_rate", "batch_size", "seed"],
    ).astype(
        object
    )  # Python's own numbers: 0.0005 in paths, never np.float64(0.0005)
)
RUN = RUNS.wildcard_pattern


wildcard_constraints:
    model="|".join(MODELS),
    learning_rate=r"[0-9.e-]+",
    batch_size=r"\d+",
    seed=r"\d+",
    state="trained|untrained",
    angle=r"[0-9.e-]+",
    table=r"table\d",


def code_of(script):
    """Python files that a script imports, directly or not: inputs of its rule.

    Snakemake itself tracks the script alone, so a changed module would not rerun its jobs.
    """
    start = SCRIPTS / f"{script}.py"
    found, waiting = {start}, [start]
    while waiting:
        fresh = imported_files(waiting.pop()) - found
        found |= fresh
        waiting += fresh
    return sorted(str(path.relative_to(workflow.basedir)) for path in found - {start})


@cache
def imported_files(path):
    """Files of neuron_pruning and of other scripts that one file names in its imports."""
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    named = {node.module for node in tree if isinstance(node, ast.ImportFrom)} - {
        "adapter",
        None,
    }
    places = [SCRIPTS.joinpath(*name.split(".")) for name in named]
    modules = {place.with_suffix(".py") for place in places} | {
        file
        for place in places[:]
        if place.parent != SCRIPTS
        for file in place.glob("*.py")
    }
    return {file for file in modules if file.is_file()}


def keys_of(wildcards):
    """Keys of a training run, typed, as every Parquet row carries them."""
    return {
        "experiment": EXPERIMENT,
        "recipe": config["recipe"],
        "model": wildcards.model,
        "learning_rate": float(wildcards.learning_rate),
        "batch_size": int(wildcards.batch_size),
        "seed": int(wildcards.seed),
    }


def architecture_of(wildcards):
    """Arguments of build_network; the output layer follows from the classes of the data."""
    model = config["models"][wildcards.model]
    return {
        "name": wildcards.model,
        "input_size": config["dataset"]["input_size"],
        "channels": model["channels"],
        "widths": model["widths"],
        "normalisation": RECIPE["normalisation"],
    }


def network_of(wildcards):
    """Checkpoint of a run: trained, or as it was before its first step."""
    if wildcards.state == "untrained":
        return f"{ROOT}/networks/model~{{model}}/seed~{{seed}}/initial.safetensors"
    return f"{ROOT}/runs/{RUN}/network.safetensors"


def run_paths(pattern, **selected):
    """``pattern`` for every run of the grid whose parameters equal ``selected``."""
    rows = RUNS.dataframe
    for name, value in selected.items():
        rows = rows[rows[name] == value]
    return expand(pattern, zip, **rows.to_dict("list")) if len(rows) else []


def selected_cells(model=None):
    """Selected learning rate and batch size, a dictionary a model."""
    from neuron_pruning.records import read_rows

    rows = read_rows(checkpoints.select_hyperparameters.get().output.selection)
    names = ("model", "learning_rate", "batch_size")
    return [
        {name: row[name] for name in names}
        for row in rows
        if row["selected"] and model in (None, row["model"])
    ]


def selected_paths(pattern, model=None):
    """``pattern`` for the runs with the selected hyper-parameters, all seeds."""
    return [
        path for cell in selected_cells(model) for path in run_paths(pattern, **cell)
    ]
