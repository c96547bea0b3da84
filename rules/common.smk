# Names and paths that several stages share.
import sys
from pathlib import Path

import pandas as pd
from snakemake.utils import Paramspace

SCRIPTS = Path(workflow.basedir) / "scripts"
sys.path.insert(0, str(SCRIPTS))

from neuron_pruning.configuration import (
    CONVOLUTIONS,
    check_config,
    compared_labels,
    cut_layers,
    pruned_layers,
    technique_choices,
)
from neuron_pruning.errors import UserError
from neuron_pruning.methods import find_technique

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

# As objects: 0.0005 stays Python's own number in paths, never np.float64(0.0005).
RUNS = Paramspace(
    pd.DataFrame(
        [
            (model, learning_rate, batch_size, seed)
            for model in MODELS
            for batch_size in config["models"][model]["batch_sizes"]
            for learning_rate in config["models"][model]["learning_rates"]
            for seed in SEEDS
        ],
        columns=["model", "learning_rate", "batch_size", "seed"],
    ).astype(object)
)
RUN = RUNS.wildcard_pattern
FACES = f"{ROOT}/faces"
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

PRUNE = config["pruning"]
TECHNIQUES = technique_choices(PRUNE)
COMPARED = compared_labels(PRUNE)
FINE_TUNING = PRUNE["fine_tuning"]


wildcard_constraints:
    model="|".join(MODELS),
    learning_rate=r"[0-9.e-]+",
    batch_size=r"\d+",
    seed=r"\d+",
    state="trained|untrained",
    technique="|".join(TECHNIQUES),
    amount=r"[0-9.e-]+",
    layer=r"fc\d+",
    compensation="[a-z_]+",
    cut="|".join(PRUNE["cuts"]) or "none",
