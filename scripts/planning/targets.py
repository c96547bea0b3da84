"""Which files an experiment asks for: input functions of the rules, as typed methods."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from neuron_pruning.any_network.peers import OURS, PEERS
from neuron_pruning.configuration.derived import compared_labels, input_size_of, pruned_layers
from neuron_pruning.configuration.validation import check_comparison
from neuron_pruning.core.errors import UserError
from neuron_pruning.data.named_datasets import DATASETS, PARTS, is_named
from neuron_pruning.models.checkpoints import description_path
from planning.job_settings import Config, JobSettings, Wildcards
from planning.paths import CELL_KEYS, Paths, combinations, fill

Row = Mapping[str, Any]
InputFunction = Callable[[Wildcards], list[str]]
TORCH_PRUNING = "torch_pruning_"  # techniques that the library scores
TABLES_OF_MODELS = ("table2", "table3")  # per-class results, a model each


@dataclass(frozen=True)
class Targets:
    """Files of one experiment by what they are for.

    Attributes:
        settings: settings of jobs, from the checked config.
        paths: names of its files.
        selection: reads the rows of the hyper-parameter selection, once they are there.
    """

    settings: JobSettings
    paths: Paths
    selection: Callable[[], Sequence[Row]]

    # What the config says

    @property
    def config(self) -> Config:
        """The checked config."""
        return self.settings.config

    @property
    def states(self) -> list[str]:
        """Trained networks, and untrained ones where the config asks for the control."""
        return ["trained", "untrained"] if self.config["controls"]["untrained"] else ["trained"]

    @cached_property
    def runs(self) -> Sequence[Row]:
        """Wildcards of all trainings of the grid; Table 7 varies split, crop and recipe too."""
        config, rows = self.config, []
        crop = config["dataset"]["crop"]
        shared = {"split": config["split"], "crop": crop, "recipe": config["recipe"]}
        for name in config["run_models"]:
            model = config["models"][name]
            cells = combinations(
                model=[name], batch_size=model["batch_sizes"], learning_rate=model["learning_rates"]
            )
            rows += [{**shared, **cell, "seed": seed} for cell in cells for seed in config["seeds"]]
        return rows

    @property
    def class_tables(self) -> dict[str, str]:
        """Tables of per-class results, and the model that each shows."""
        return dict(zip(TABLES_OF_MODELS, self.config["run_models"], strict=False))

    @property
    def tables(self) -> list[str]:
        """Names of the tables of the experiment itself."""
        return sorted({"table1", "table4", "table5", "table6", *self.class_tables})

    @property
    def comparison_tables(self) -> list[str]:
        """Names of the tables of target ``comparison``."""
        comparison = self.config["comparison"]
        names = ["table7", "table8"] if comparison["baselines"] else ["table7"]
        return names if comparison["splits"] else []

    def shows_faces(self, compared: bool) -> bool:
        """Whether a report shows found faces: its networks or SVMs look at faces.

        ``compared``: the report of target ``comparison``.
        """
        comparison = self.config["comparison"]
        looked_at = bool(comparison["splits"]) and (
            "images" in comparison["baselines"]
            or any("face" in network["crops"] for network in comparison["networks"])
        )
        return self.config["dataset"]["crop"] == "face" or (compared and looked_at)

    @property
    def wildcard_constraints(self) -> dict[str, str]:
        """Regular expressions of the wildcards in file names."""
        names = {
            "split": self.config["splits"],
            "crop": ["none", "face"],
            "recipe": self.config["recipes"],
            "model": self.config["models"],
            "state": ["trained", "untrained"],
            "technique": self.settings.techniques,
            "baseline": ["images", "feature_table"],
            "cut": self.config["pruning"]["cuts"] or ["none"],
            "network": self.config["networks"] or ["none"],
            "dataset": DATASETS,
            "part": PARTS,
            "peer": PEERS,
        }
        number, whole = r"[0-9.e-]+", r"\d+"
        return {
            **{key: "|".join(map(re.escape, known)) for key, known in names.items()},
            **{"size": r"\d+x\d+", "layer": r"fc\d+"},
            **{"learning_rate": number, "amount": number},
            **{"batch_size": whole, "seed": whole, "draw": whole},
        }

    def published(self, name: str) -> list[str]:
        """File of published figures to set beside ours: none beside drawn faces, which are no SFEW.

        Other images get none either: what reads the file compares their classes.
        """
        return [] if self.config["dataset"]["path"] is None else [f"resources/{name}.yaml"]

    def rendered(self, name: str) -> list[str]:
        """A table in every format of the config."""
        return self.paths.rendered(name, self.config["tables"]["formats"])

    # Images and splits

    @property
    def image_folder(self) -> dict[str, str]:
        """The experiment's images, where the workflow makes them and they are not the user's."""
        path = self.config["dataset"]["path"]
        if path is None:
            return {"folder": self.paths.faces}
        return {"folder": self._named_dataset(path)} if is_named(path) else {}

    def _named_dataset(self, name: str) -> str:
        """Folder of a data set that the config names, ``library/set/part``."""
        dataset, _, part = name.rpartition("/")
        return self.paths.named_dataset.format(dataset=dataset, part=part)

    @property
    def made_folders(self) -> list[str]:
        """All folders of images that the workflow makes."""
        rows = combinations(dataset=DATASETS, part=PARTS)
        return [self.paths.faces, *fill(self.paths.named_dataset, rows)]

    def images_at(self, crop: str, size: Sequence[int]) -> str:
        """Array of whole frames or faces at one size (height, width)."""
        height, width = size
        return self.paths.images.format(crop=crop, size=f"{height}x{width}")

    def images(self, wildcards: Wildcards) -> str:
        """Images as the network of a run sees them."""
        size = input_size_of(self.config, wildcards["model"])
        return self.images_at(wildcards["crop"], size)

    def splits_named(self, *names: str) -> list[str]:
        """Split files of some splits, all seeds."""
        splits = dict.fromkeys(names)
        return fill(self.paths.split, combinations(split=splits, seed=self.config["seeds"]))

    # Networks

    def network(self, name: str) -> Callable[[Wildcards], str]:
        """Input function: a file of a run's network, trained or as it was before its first step."""
        trained, initial = self.paths.run[name], self.paths.initial[name]
        return lambda wildcards: trained if wildcards["state"] == "trained" else initial

    def of_runs(self, pattern: str, cell: Row | None = None) -> list[str]:
        """``pattern`` for every run of the grid, or of one cell of it."""
        wanted = (cell or {}).items()
        rows = [run for run in self.runs if all(run[key] == value for key, value in wanted)]
        return fill(pattern, rows)

    def of_selected(self, *patterns: str, model: str | None = None) -> list[str]:
        """Each pattern for the runs with the selected hyper-parameters, all seeds."""
        cells = [
            {key: row[key] for key in CELL_KEYS}
            for row in self.selection()
            if row["selected"] and model in (None, row["model"])
        ]
        return [path for one in patterns for cell in cells for path in self.of_runs(one, cell)]

    def evaluations(self, name: str, *states: str) -> InputFunction:
        """Input function: a file of the evaluations of the selected networks, of all states."""
        rows = combinations(state=states or self.states)
        patterns = fill(self.paths.evaluation[name], rows)
        return lambda wildcards: self.of_selected(*patterns)

    def trained(self, name: str) -> str:
        """Pattern of a file of the evaluations of trained networks."""
        return fill(self.paths.evaluation[name], [{"state": "trained"}])[0]

    def class_metrics(self, wildcards: Wildcards) -> list[str]:
        """Evaluations of the selected networks of the model that a table shows."""
        model = self.class_tables[wildcards["table"]]
        return self.of_selected(self.trained("metrics"), model=model)

    def selected_and_compared(self, wildcards: Wildcards) -> list[str]:
        """Predictions of the selected networks that Table 7 has under the experiment's split."""
        check_comparison(self.config)  # not before anybody asks for Table 7
        compared = self.config["split"] in self.config["comparison"]["splits"]
        return self.of_selected(self.trained("predictions")) if compared else []

    @property
    def compared_predictions(self) -> list[str]:
        """Predictions of the networks that the config names for Table 7."""
        return list(dict.fromkeys(fill(self.trained("predictions"), self._compared_runs())))

    def _compared_runs(self) -> Iterator[Row]:
        """Wildcards of the networks that Table 7 names, all splits and seeds."""
        comparison = self.config["comparison"]
        for network in comparison["networks"]:
            splits = network["splits"] or comparison["splits"]
            rows = combinations(
                recipe=network["recipes"],
                crop=network["crops"],
                split=[split for split in comparison["splits"] if split in splits],
                seed=self.config["seeds"],
            )
            yield from ({**network, **row} for row in rows)

    def svm_files(self, name: str) -> list[str]:
        """A file of every support vector machine of Tables 7 and 8."""
        comparison, seeds = self.config["comparison"], self.config["seeds"]
        rows = combinations(
            baseline=comparison["baselines"], split=comparison["splits"], seed=seeds
        )
        return fill(self.paths.svm[name], rows)

    # Pruning

    @property
    def fine_tunes(self) -> bool:
        """Whether the saved pruned networks are fine-tuned."""
        return bool(self.config["pruning"]["fine_tuning"]["epochs"])

    def pruned_metrics(self, wildcards: Wildcards) -> list[str]:
        """Metrics of the saved pruned networks, fine-tuned if the config asks for it."""
        pruning = self.config["pruning"]
        files = self.paths.fine_tuned if self.fine_tunes else self.paths.pruned
        rows = []
        for label in pruning["saved_techniques"]:
            by_angle = self.settings.techniques[label]["amount"] == "angle"
            rows += combinations(
                state=[state for state in self.states if self._offers(state, label)],
                technique=[label],
                amount=pruning["angles"] if by_angle else pruning["counts"],
            )
        return self.of_selected(*fill(files["metrics"], rows))

    def _offers(self, state: str, label: str) -> bool:
        """Whether a technique has what it needs: sensitivity comes from training."""
        return state == "trained" or self.settings.techniques[label]["name"] != "karnin"

    def precomputed_scores(self, wildcards: Wildcards) -> list[str]:
        """Files of the scores that a technique looks up; a cut computes torch-pruning's itself."""
        name = self.settings.techniques[self.settings.label(wildcards)]["name"]
        if name.startswith(TORCH_PRUNING) and wildcards.get("cut") is None:
            return [self.paths.torch_pruning_scores]
        return [self.paths.run["sensitivity"]] if name == "karnin" else []

    @property
    def compared_scores(self) -> list[str]:
        """Importances by torch-pruning, where Table 5 has a technique that reads them."""
        used = any(
            self.settings.techniques[label]["name"].startswith(TORCH_PRUNING)
            for label in compared_labels(self.config["pruning"])
        )
        rows = combinations(state=self.states)
        return self.of_selected(*fill(self.paths.torch_pruning_scores, rows)) if used else []

    def measured_cuts(self, wildcards: Wildcards) -> list[str]:
        """Sizes and latencies of all cuts of the selected networks."""
        rows = combinations(state=["trained"], cut=self.config["pruning"]["cuts"])
        return self.of_selected(*fill(self.paths.measured_cut["measured"], rows))

    def sweep_points(self, wildcards: Wildcards) -> list[str]:
        """Sweeps of all techniques that Table 5 compares."""
        labels, found = compared_labels(self.config["pruning"]), []
        for state in self.states:
            offered = [label for label in labels if self._offers(state, label)]
            found += self._of_layers(self.paths.sweep, technique=offered, state=[state])
        return found

    def compensation_points(self, wildcards: Wildcards) -> list[str]:
        """Compensations of Table 6."""
        return self._of_layers(self.paths.compensations, state=self.states)

    def _of_layers(self, pattern: str, **values: Iterable[str]) -> list[str]:
        """``pattern`` for every combination, selected network and pruned layer of it."""
        return [
            path
            for model in self.config["run_models"]
            for layer in pruned_layers(self.config["models"][model])
            for path in self.of_selected(
                *fill(pattern, combinations(**values, layer=[layer])), model=model
            )
        ]

    def images_to_tune(self, wildcards: Wildcards) -> list[str]:
        """The images, where whole networks are fine-tuned."""
        whole = self.config["pruning"]["fine_tuning"]["trainable"] == "all"
        return [self.images(wildcards)] if whole else []

    # Networks that were trained elsewhere

    @property
    def network_tables(self) -> list[str]:
        """Tables of target ``networks``."""
        return [self.paths.table(name) for name in self._network_tables]

    @property
    def _network_tables(self) -> list[str]:
        section = self.config["network_pruning"]
        compared = ["table11"] if section["peers"] else []
        timed = ["table12"] if section["latency"]["runtimes"] else []
        return ["table9", "table10", *compared, *timed]

    def network_files(self, wildcards: Wildcards) -> list[str]:
        """What target ``networks`` makes.

        Raises:
            UserError: the config names no network.
        """
        if not self.config["networks"]:
            raise UserError(
                "networks: the config names none; copy configs/any_network.yaml, and give it with "
                "--configfile"
            )
        rendered = [file for name in self._network_tables for file in self.rendered(name)]
        return [self.paths.networks, *self.network_tables, *rendered]

    def first_plan(self, wildcards: Wildcards) -> str:
        """Input function: the sizes that the first draw of a network has."""
        return self.paths.plan.format(**wildcards, draw=0)

    def of_imported(self, pattern: str) -> list[str]:
        """``pattern`` for every network of the config."""
        return fill(pattern, combinations(network=self.config["networks"]))

    def network_points(self, wildcards: Wildcards) -> list[str]:
        """Files of all prunings of these networks."""
        section = self.config["network_pruning"]
        labels = dict.fromkeys([*section["techniques"], "random"])
        rows = combinations(
            network=self.config["networks"], draw=range(section["draws"]), technique=labels
        )
        return fill(self.paths.points, rows)

    def peer_points(self, wildcards: Wildcards) -> list[str]:
        """Files of the prunings of others, and of ours beside them."""
        section = self.config["network_pruning"]
        rows = combinations(
            network=self.config["networks"],
            draw=range(section["draws"]),
            peer=dict.fromkeys([OURS, *section["peers"]]),
        )
        return fill(self.paths.peer_points, rows)

    def weights(self, wildcards: Wildcards) -> list[str]:
        """Files of the user's that hold the weights of a network, if the config names any."""
        section = self.config["networks"][wildcards["network"]]
        stored = [] if self._is_made(section["source"]) else self._stored(section["source"])
        return [path for path in (section["weights"], *stored) if path]

    def made_for_network(self, wildcards: Wildcards) -> dict[str, str]:
        """Files that the workflow makes for a network, by the key of its section that names them.

        Its images, and the network itself where this experiment trains it.
        """
        section, made = self.config["networks"][wildcards["network"]], {}
        for kind in ("calibration", "evaluation"):
            if is_named(section[kind]):
                made[kind] = self._named_dataset(section[kind])
        if self._is_made(section["source"]):
            made |= zip(("source", "description"), self._stored(section["source"]), strict=True)
        return made

    def _is_made(self, source: str) -> bool:
        """Whether a source is a file of this experiment."""
        return bool(self._stored(source)) and source.startswith(f"{self.paths.root}/")

    @staticmethod
    def _stored(source: str) -> list[str]:
        """Weights and description of a source that is a network of the workflow; else none."""
        named = source.endswith(".safetensors")
        return [source, str(description_path(Path(source)))] if named else []
