# Names and paths that several stages share.
import sys
import time
from pathlib import Path

import pandas as pd
from snakemake.io import sourcecache_entry
from snakemake.utils import Paramspace

SCRIPTS = Path(workflow.basedir) / "scripts"
sys.path.insert(0, str(SCRIPTS))

from guards import RunLock, date_back
from neuron_pruning.configuration.derived import (
    convolutions_of,
    compared_labels,
    cut_layers,
    hyper_parameters,
    input_size_of,
    pruned_layers,
    technique_choices,
)
from neuron_pruning.configuration.validation import check_config
from neuron_pruning.core.errors import UserError
from neuron_pruning.pruning.techniques import find_technique

try:
    check_config(config)
except UserError as error:
    raise WorkflowError(str(error)) from None


def shipped(path):
    """A file of the workflow itself as an input: it lies here also where results are in a bucket.

    Not ``local``, which without a shared file system would bind its jobs to this machine.
    """
    return sourcecache_entry(path, path)


def given(path):
    """A file of the user's, if the config names one: it lies on this machine."""
    return local(path) if path else []


EXPERIMENT = config["experiment"]
ROOT = f"results/{EXPERIMENT}"
SEEDS = config["seeds"]
MODELS = config["run_models"]
MAIN = {
    "split": config["split"],
    "crop": config["dataset"]["crop"],
    "recipe": config["recipe"],
}  # what the grid and all that is pruned share; Table 7 varies it
STATES = ["trained", "untrained"] if config["controls"]["untrained"] else ["trained"]
ENVIRONMENT = "../envs/workflow.yaml"

if workflow.is_main_process and date_back(Path(ROOT), time.time()):
    print("files from the future were dated back: a clock has jumped", file=sys.stderr)
LOCK = RunLock(Path(ROOT))


def take_lock():
    """One run at a time in the results of an experiment."""
    try:
        LOCK.take()
    except UserError as error:
        raise WorkflowError(str(error)) from None


RUN_KEYS = [*MAIN, "model", "learning_rate", "batch_size", "seed"]
# As objects: 0.0005 stays Python's own number in paths, never np.float64(0.0005).
RUNS = Paramspace(
    pd.DataFrame(
        [
            {**MAIN, "model": model, **cell, "seed": seed}
            for model in MODELS
            for cell in hyper_parameters(config["models"][model])
            for seed in SEEDS
        ],
        columns=RUN_KEYS,
    ).astype(object)
)
RUN = RUNS.wildcard_pattern
NETWORK = str(Path(*(f"{key}~{{{key}}}" for key in [*MAIN, "model", "seed"])))
FACES = f"{ROOT}/faces"
FOLDER = {"folder": FACES} if config["dataset"]["path"] is None else {}
VIEW = f"{ROOT}/dataset/crop~{{crop}}/size~{{size}}"
SPLIT = f"{ROOT}/splits/split~{{split}}/seed~{{seed}}.parquet"
MACHINE = f"{ROOT}/baselines/baseline~{{baseline}}/split~{{split}}/seed~{{seed}}"
INITIAL = f"{ROOT}/networks/{NETWORK}/initial.safetensors"
ABOUT_INITIAL = f"{ROOT}/networks/{NETWORK}/initial.json"
EVALUATION = f"{ROOT}/evaluations/{RUN}/state~{{state}}"
PRUNING = f"{RUN}/state~{{state}}/technique~{{technique}}/amount~{{amount}}"
PRUNED = f"{ROOT}/pruned/{PRUNING}"
TUNED = f"{ROOT}/fine_tuned/{PRUNING}"
CUT = f"{ROOT}/cuts/{RUN}/state~{{state}}/cut~{{cut}}"
ON_LAYER = f"{RUN}/state~{{state}}/layer~{{layer}}"

CLASS_TABLES = {f"table{2 + place}": model for place, model in enumerate(MODELS)}
if len(CLASS_TABLES) > 2:
    raise WorkflowError("run_models: Tables 2 and 3 have room for two models")
TABLES = sorted({"table1", "table4", "table5", "table6", *CLASS_TABLES})
COMPARISON = config["comparison"]
if COMPARISON["splits"]:
    TABLES.append("table7")
    if COMPARISON["baselines"]:
        TABLES.append("table8")

PRUNE = config["pruning"]
TECHNIQUES = technique_choices(PRUNE)
COMPARED = compared_labels(PRUNE)
FINE_TUNING = PRUNE["fine_tuning"]


wildcard_constraints:
    split="|".join(config["splits"]),
    crop="none|face",
    size=r"\d+x\d+",
    recipe="|".join(config["recipes"]),
    model="|".join(config["models"]),
    learning_rate=r"[0-9.e-]+",
    batch_size=r"\d+",
    seed=r"\d+",
    state="trained|untrained",
    technique="|".join(TECHNIQUES),
    amount=r"[0-9.e-]+",
    layer=r"fc\d+",
    compensation="[a-z_]+",
    baseline="images|feature_table",
    cut="|".join(PRUNE["cuts"]) or "none",
