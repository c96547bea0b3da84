"""The config keys that a job gets: one dictionary each, since Snakemake compares them by value."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from neuron_pruning.configuration.derived import (
    convolutions_of,
    cut_layers,
    input_size_of,
    pruned_layers,
    technique_choices,
)
from neuron_pruning.configuration.models_training import BFLOAT16_RECIPES, RECIPES
from neuron_pruning.core.checksums import file_digest
from neuron_pruning.data.named_datasets import is_named
from neuron_pruning.pruning.techniques import find_technique
from planning.code_digest import code_digest
from planning.folder_fingerprint import folder_fingerprint
from planning.paths import NETWORK_KEYS, RUN_KEYS

Config = Mapping[str, Any]
Wildcards = Mapping[str, str]
Settings = dict[str, Any]
TYPES: Mapping[str, Callable[[str], Any]] = {"learning_rate": float, "batch_size": int, "seed": int}


@dataclass(frozen=True)
class JobSettings:
    """Settings of every kind of job, from the checked config and a job's wildcards."""

    config: Config

    # Data

    def named_dataset(self, wildcards: Wildcards) -> Settings:
        """Which part of which data set is written."""
        return {"name": wildcards["dataset"], "part": wildcards["part"]}

    def index(self, wildcards: Wildcards) -> Settings:
        """Settings of the index; a folder that the workflow makes itself is an input instead."""
        dataset = self.config["dataset"]
        settings = {"on_bad_image": dataset["on_bad_image"]}
        if dataset["path"] is not None and not is_named(dataset["path"]):
            settings["fingerprint"] = folder_fingerprint(Path(dataset["path"]))
        return settings

    def find_faces(self) -> Settings:
        """Settings of the face detection."""
        return {"given": self.config["dataset"]["boxes"]}

    def images(self, wildcards: Wildcards) -> Settings:
        """Height and width of an array, and how whole frames or faces get there."""
        how = "resize" if wildcards["crop"] == "none" else "margin"
        size = [int(side) for side in wildcards["size"].split("x")]
        return {"size": size, how: self.config["dataset"][how]}

    def split(self, wildcards: Wildcards) -> Settings:
        """Settings of one split."""
        return {
            **self.config["splits"][wildcards["split"]],
            "label": wildcards["split"],
            "seed": int(wildcards["seed"]),
            **self.audit_splits(),
        }

    def audit_splits(self) -> Settings:
        """What counts as the same picture."""
        return {"near_duplicate_distance": self.config["dataset"]["near_duplicate_distance"]}

    # Networks

    def keys(self, wildcards: Wildcards, names: tuple[str, ...] = RUN_KEYS) -> Settings:
        """Keys of a training run, typed, as every Parquet row carries them; or some of them."""
        typed = {name: TYPES.get(name, str)(wildcards[name]) for name in names}
        return {"experiment": self.config["experiment"], **typed}

    def architecture(self, wildcards: Wildcards) -> Settings:
        """Arguments of ``build_network``; the output layer follows from the classes of the data."""
        model = self.config["models"][wildcards["model"]]
        return {
            "name": model["architecture"] or wildcards["model"],
            "input_size": input_size_of(self.config, wildcards["model"]),
            "channels": model["channels"],
            "widths": model["widths"],
            "normalisation": self.recipe(wildcards)["normalisation"],
        }

    def recipe(self, wildcards: Wildcards) -> Config:
        """What the paper leaves open about the training of a run."""
        recipe: Config = self.config["recipes"][wildcards["recipe"]]
        return recipe

    def initialise(self, wildcards: Wildcards) -> Settings:
        """Settings of an initial network, which all runs of a model and seed share."""
        return {
            "architecture": self.architecture(wildcards),
            "initialisation": self.recipe(wildcards)["initialisation"],
            "keys": self.keys(wildcards, NETWORK_KEYS),
        }

    def train(self, wildcards: Wildcards) -> Settings:
        """Settings of one run."""
        untrained = {**dict(wildcards.items()), "state": "untrained"}
        return {**self.network(untrained), "training": self.training(wildcards)}

    def training(self, wildcards: Wildcards, of_images: bool = True) -> Settings:
        """How a run is trained: the experiment's settings and its recipe's.

        The precision ``auto`` stays where the processor of the job is to decide. ``of_images``:
        not of recorded activations, which is in float32 always.
        """
        recipe = self.recipe(wildcards)
        own = {key: recipe[key] for key in ("optimiser", "augmentation", "label_smoothing")}
        if recipe["epochs"] is not None:
            own["epochs"] = recipe["epochs"]
        training = {**self.config["training"], **own}
        if training["precision"] == "auto" and not (of_images and self._may_round(wildcards)):
            training["precision"] = "float32"
        return training

    def _may_round(self, wildcards: Wildcards) -> bool:
        """Whether a recipe is one that bfloat16 leaves as good as it is, initialised as there."""
        name = wildcards["recipe"]
        scheme = self.recipe(wildcards)["initialisation"]["scheme"]
        return name in BFLOAT16_RECIPES and scheme == RECIPES[name].initialisation.scheme

    def evaluate(self, wildcards: Wildcards) -> Settings:
        """Settings of one evaluation."""
        return {**self.network(wildcards), **self.config["evaluation"]}

    def network(self, wildcards: Wildcards) -> Settings:
        """Which network a job looks at, and the provenance that its description must have."""
        trained = wildcards["state"] == "trained"
        return {
            "run": {
                "keys": self.keys(wildcards),
                "belongs": self.keys(wildcards, RUN_KEYS if trained else NETWORK_KEYS),
                "architecture": self.architecture(wildcards),
                "state": wildcards["state"],
            }
        }

    # Pruning

    @cached_property
    def techniques(self) -> dict[str, Settings]:
        """Techniques by label, with their settings."""
        return technique_choices(self.config["pruning"])

    def label(self, wildcards: Wildcards) -> str:
        """Label of the technique of a pruning, a sweep or a cut."""
        cut = wildcards.get("cut")
        cuts = self.config["pruning"]["cuts"]
        return str(wildcards["technique"] if cut is None else cuts[cut]["technique"])

    def technique(self, wildcards: Wildcards) -> Settings:
        """That technique and its settings."""
        label = self.label(wildcards)
        return {"technique": {"label": label, **self.techniques[label]}}

    def layers(self, wildcards: Wildcards) -> Settings:
        """Layers whose units go."""
        return {"layers": pruned_layers(self.config["models"][wildcards["model"]])}

    def prune(self, wildcards: Wildcards) -> Settings:
        """Settings of one pruned network."""
        return {
            **self.torch_pruning_scores(wildcards),
            **self.technique(wildcards),
            "amount": float(wildcards["amount"]),
        }

    def fine_tune(self, wildcards: Wildcards) -> Settings:
        """Settings of the fine-tuning of one pruned network."""
        section = self.config["pruning"]["fine_tuning"]
        return {
            "keys": self.keys(wildcards),
            "fine_tuning": {
                **{key: section[key] for key in ("epochs", "trainable")},
                **self.config["evaluation"],
                **self.layers(wildcards),
            },
            "training": self.training(wildcards, of_images=section["trainable"] == "all"),
        }

    def torch_pruning_scores(self, wildcards: Wildcards) -> Settings:
        """Settings of the importances of torch-pruning."""
        return {**self.network(wildcards), **self.layers(wildcards)}

    def sweep(self, wildcards: Wildcards) -> Settings:
        """Settings of one technique on one layer, without those that it ignores."""
        chosen, pruning = self.techniques[self.label(wildcards)], self.config["pruning"]
        sweep = {**pruning["sweep"], "counts": pruning["counts"]}
        if chosen["amount"] != "angle":
            sweep["step"] = None
        if "draw" not in chosen["settings"]:
            sweep["draws"] = 1
        return {
            **self.network(wildcards),
            **self.technique(wildcards),
            "layer": wildcards["layer"],
            "sweep_settings": sweep,
        }

    def compensations(self, wildcards: Wildcards) -> Settings:
        """Settings of all compensations on one layer."""
        pruning, technique = self.config["pruning"], self.techniques["distinctiveness"]
        return {
            **self.network(wildcards),
            "layer": wildcards["layer"],
            "technique": {key: technique[key] for key in ("name", "settings")},
            "comparison": {
                "compensations": pruning["compensations"],
                "angles": pruning["compared_angles"],
                "epochs": sorted({0, pruning["fine_tuning"]["compared_epochs"]}),
                "draws": pruning["sweep"]["draws"],
            },
            "training": self.training(wildcards, of_images=False),
        }

    def cut(self, wildcards: Wildcards) -> Settings:
        """Settings of a cut of several layers."""
        cut = self.config["pruning"]["cuts"][wildcards["cut"]]
        model = self.config["models"][wildcards["model"]]
        return {
            **self.network(wildcards),
            "layers": cut_layers(model, cut, convolutions_of(model, wildcards["model"])),
            **self.technique(wildcards),
            "amount": cut["amount"],
            **self.config["evaluation"],
        }

    def measure_cut(self, wildcards: Wildcards) -> Settings:
        """Settings of the timing of one cut."""
        latency = self.config["pruning"]["latency"]
        return {"keys": self.keys(wildcards), "cut": wildcards["cut"], "latency": latency}

    # Networks that were trained elsewhere

    def inspect_network(self, wildcards: Wildcards) -> Settings:
        """Settings of a look at a network."""
        angles = self.config["network_pruning"]["angles"]
        return {**self._imported(wildcards, {}), "angles": angles}

    def plan_network(self, wildcards: Wildcards) -> Settings:
        """Settings of the sizes that a network is pruned to."""
        shares = self.config["network_pruning"]["multiply_adds"]
        draw = {"draw": int(wildcards["draw"])}
        return {**self._imported(wildcards, draw), "multiply_adds": shares}

    def prune_network(self, wildcards: Wildcards) -> Settings:
        """Settings of one technique on one network."""
        section = self.config["network_pruning"]
        draw = {"draw": int(wildcards["draw"])}
        return {
            **self._imported(wildcards, draw),
            **self.technique(wildcards),
            "methods": {name: section[name] for name in ("compensations", "batch_norms", "order")},
        }

    def time_network(self, wildcards: Wildcards) -> Settings:
        """Settings of the timing of the networks that a plan makes of one."""
        latency = self.config["network_pruning"]["latency"]
        return {**self._imported(wildcards, {}), "latency": latency}

    def prune_by_peer(self, wildcards: Wildcards) -> Settings:
        """Settings of one pruning of others on one network."""
        rules = self.config["network_pruning"]["batch_norms"]
        draw = {"draw": int(wildcards["draw"])}
        peer = wildcards["peer"]
        return {**self._imported(wildcards, draw), "peer": peer, "batch_norms": rules}

    def _imported(self, wildcards: Wildcards, keys: Settings) -> Settings:
        name, section = wildcards["network"], self.config["network_pruning"]
        return {
            "keys": {"network": name, **keys},
            "imported": {
                "section": self.config["networks"][name],
                "calibration_images": section["calibration_images"],
                "evaluation_images": section["evaluation_images"],
                "contents": self._contents[name],
            },
        }

    @cached_property
    def _contents(self) -> dict[str, list[str]]:
        """By network, digests of its images, and of its factory's module or its own folder.

        Images and networks that the workflow makes are inputs instead.
        """
        contents = {}
        for name, section in self.config["networks"].items():
            named = [section[kind] for kind in ("calibration", "evaluation")]
            folders = [Path(path) for path in named if not is_named(path)]
            own = sorted(Path(section["source"]).glob("*.*"))
            own += [Path(*section["source"].partition(":")[0].split(".")).with_suffix(".py")]
            files = map(file_digest, filter(Path.is_file, own))
            contents[name] = [*map(folder_fingerprint, folders), *files]
        return contents

    # Baselines, report, tracking, code

    def classify(self, wildcards: Wildcards) -> Settings:
        """Settings of one support vector machine."""
        keys = self.keys(
            {**dict(wildcards.items()), "crop": "face"}, ("baseline", "split", "crop", "seed")
        )
        return {"keys": keys, "svm": self.config["baseline"]["svm"]}

    def report(self, benchmarks: str) -> Settings:
        """The config as the report states it.

        The address of the tracking store is no part of the result, and may hold a password.
        """
        hidden = ("tracking", "resume")
        stated = {key: value for key, value in self.config.items() if key not in hidden}
        return {"config": stated, "benchmarks": benchmarks}

    def networks_report(self) -> Settings:
        """What the report on networks that were trained elsewhere states."""
        stated = ("experiment", "networks", "network_pruning")
        return {"config": {name: self.config[name] for name in stated}}

    def tracking(self) -> Settings:
        """Where records of jobs are sent."""
        return {**self.config["tracking"], "experiment": self.config["experiment"]}

    def code(self, script: str, *labels: str) -> Callable[[Wildcards], str]:
        """Parameter function: digest of a script's code, and of the techniques that a job runs.

        Those are named by ``labels``, or else by the wildcards of the job.
        """

        def digest(wildcards: Wildcards) -> str:
            run = labels or (self.label(wildcards),)
            names = [find_technique(self.techniques[label]["name"]).module for label in run]
            return code_digest(script, *names)

        return digest
