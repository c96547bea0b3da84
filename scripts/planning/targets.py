"""Which files an experiment asks for: input functions of the rules, as typed methods."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any

from neuron_pruning.configuration.derived import (
    compared_labels,
    hyper_parameters,
    input_size_of,
    pruned_layers,
)
from planning.job_settings import JobSettings
from planning.paths import CELL_KEYS, Paths, fill

Config = Mapping[str, Any]
Wildcards = Mapping[str, str]
Row = Mapping[str, Any]
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
    def shared(self) -> dict[str, str]:
        """Split, crop and recipe of the grid and of all that is pruned; Table 7 varies them."""
        config = self.config
        crop = config["dataset"]["crop"]
        return {"split": config["split"], "crop": crop, "recipe": config["recipe"]}

    @property
    def states(self) -> list[str]:
        """Trained networks, and untrained ones where the config asks for the control."""
        return ["trained", "untrained"] if self.config["controls"]["untrained"] else ["trained"]

    @cached_property
    def runs(self) -> list[Row]:
        """Wildcards of all trainings of the grid."""
        config = self.config
        return [
            {**self.shared, "model": model, **cell, "seed": seed}
            for model in config["run_models"]
            for cell in hyper_parameters(config["models"][model])
            for seed in config["seeds"]
        ]

    @property
    def class_tables(self) -> dict[str, str]:
        """Tables of per-class results, and the model that each shows."""
        return dict(zip(TABLES_OF_MODELS, self.config["run_models"], strict=False))

    @property
    def tables(self) -> list[str]:
        """Names of all tables."""
        names = {"table1", "table4", "table5", "table6", *self.class_tables}
        comparison = self.config["comparison"]
        if comparison["splits"]:
            names.add("table7")
            if comparison["baselines"]:
                names.add("table8")
        return sorted(names)

    @property
    def shows_faces(self) -> bool:
        """Whether anything looks at faces; found faces are then shown in the report."""
        comparison = self.config["comparison"]
        compared = comparison["splits"] and (
            "images" in comparison["baselines"]
            or any("face" in network["crops"] for network in comparison["networks"])
        )
        return self.shared["crop"] == "face" or bool(compared)

    @property
    def wildcard_constraints(self) -> dict[str, str]:
        """Regular expressions of the wildcards in file names."""
        config = self.config
        return {
            "split": "|".join(config["splits"]),
            "crop": "none|face",
            "size": r"\d+x\d+",
            "recipe": "|".join(config["recipes"]),
            "model": "|".join(config["models"]),
            "learning_rate": r"[0-9.e-]+",
            "batch_size": r"\d+",
            "seed": r"\d+",
            "state": "trained|untrained",
            "technique": "|".join(self.settings.techniques),
            "amount": r"[0-9.e-]+",
            "layer": r"fc\d+",
            "compensation": "[a-z_]+",
            "baseline": "images|feature_table",
            "cut": "|".join(config["pruning"]["cuts"]) or "none",
        }

    def rendered(self, name: str) -> list[str]:
        """A table in every format of the config."""
        return self.paths.rendered(name, self.config["tables"]["formats"])

    # Images and splits

    def images_at(self, crop: str, size: Sequence[int]) -> str:
        """Array of whole frames or faces at one size (height, width)."""
        height, width = size
        return self.paths.images.format(crop=crop, size=f"{height}x{width}")

    def images(self, wildcards: Wildcards) -> str:
        """Images as the network of a run sees them."""
        size = input_size_of(self.config, wildcards["model"])
        return self.images_at(wildcards["crop"], size)

    @property
    def splits(self) -> list[str]:
        """Split files of the experiment and of Table 7."""
        names = dict.fromkeys([self.config["split"], *self.config["comparison"]["splits"]])
        return self.splits_named(names)

    @property
    def splits_of_runs(self) -> list[str]:
        """Split files of the grid."""
        return self.splits_named([self.config["split"]])

    @property
    def compared_splits(self) -> list[str]:
        """Split files of Table 7."""
        return self.splits_named(self.config["comparison"]["splits"])

    def splits_named(self, names: Sequence[str] | Mapping[str, None]) -> list[str]:
        """Split files of some splits, all seeds."""
        return fill(self.paths.split, self._rows(split=list(names), seed=self.config["seeds"]))

    # Networks

    def network(self, wildcards: Wildcards) -> str:
        """Network file of a run: trained, or as it was before its first step."""
        files = self.paths.run if wildcards["state"] == "trained" else self.paths.initial
        return files["network"]

    def description(self, wildcards: Wildcards) -> str:
        """Description beside that network file: architecture and provenance."""
        files = self.paths.run if wildcards["state"] == "trained" else self.paths.initial
        return files["description"]

    def of_runs(self, pattern: str, cell: Row | None = None) -> list[str]:
        """``pattern`` for every run of the grid, or of one cell of it."""
        wanted = (cell or {}).items()
        rows = [run for run in self.runs if all(run[key] == value for key, value in wanted)]
        return fill(pattern, rows)

    def of_selected(self, pattern: str, model: str | None = None) -> list[str]:
        """``pattern`` for the runs with the selected hyper-parameters, all seeds."""
        cells = [
            {key: row[key] for key in CELL_KEYS}
            for row in self.selection()
            if row["selected"] and model in (None, row["model"])
        ]
        return [path for cell in cells for path in self.of_runs(pattern, cell)]

    def selected_evaluations(self, name: str) -> Callable[[Wildcards], list[str]]:
        """Input function: a file of the evaluations of the selected networks, every state."""
        pattern = self.paths.evaluation[name]
        return lambda wildcards: self._of_all(fill(pattern, self._rows(state=self.states)))

    def trained(self, name: str) -> str:
        """Pattern of a file of the evaluations of trained networks."""
        return fill(self.paths.evaluation[name], [{"state": "trained"}])[0]

    def trained_evaluations(self, name: str) -> Callable[[Wildcards], list[str]]:
        """Input function: the same of trained networks alone."""
        return lambda wildcards: self.of_selected(self.trained(name))

    def class_metrics(self, wildcards: Wildcards) -> list[str]:
        """Evaluations of the selected networks of the model that a table shows."""
        return self.of_selected(self.trained("metrics"), self.class_tables[wildcards["table"]])

    def compared_predictions(self, wildcards: Wildcards) -> list[str]:
        """Predictions of the networks of Table 7: its own and, under their split, the selected."""
        pattern, comparison = self.trained("predictions"), self.config["comparison"]
        own = self.of_selected(pattern) if self.config["split"] in comparison["splits"] else []
        return list(dict.fromkeys([*own, *fill(pattern, self._compared_runs())]))

    def svm_files(self, name: str) -> list[str]:
        """A file of every support vector machine of Tables 7 and 8."""
        comparison = self.config["comparison"]
        rows = self._rows(
            baseline=comparison["baselines"], split=comparison["splits"], seed=self.config["seeds"]
        )
        return fill(self.paths.svm[name], rows)

    # Pruning

    def pruned_metrics(self, wildcards: Wildcards) -> list[str]:
        """Metrics of the saved pruned networks, fine-tuned if the config asks for it."""
        pruning = self.config["pruning"]
        files = self.paths.fine_tuned if pruning["fine_tuning"]["epochs"] else self.paths.pruned
        rows = [
            {"state": state, "technique": label, "amount": amount}
            for label in pruning["saved_techniques"]
            for state in self._states_of(label)
            for amount in self._amounts_of(label)
        ]
        return self._of_all(fill(files["metrics"], rows))

    def precomputed_scores(self, wildcards: Wildcards) -> list[str]:
        """Files of the scores that a technique looks up, if it does."""
        name = self.settings.techniques[wildcards["technique"]]["name"]
        if name.startswith("torch_pruning_"):
            return [self.paths.torch_pruning_scores]
        return [self.paths.run["sensitivity"]] if name == "karnin" else []

    def scores_of_cut(self, wildcards: Wildcards) -> list[str]:
        """Scores that training left, for techniques that look them up."""
        technique = self.config["pruning"]["cuts"][wildcards["cut"]]["technique"]
        found = self.precomputed_scores({"technique": technique})
        return [path for path in found if path == self.paths.run["sensitivity"]]

    def measured_cuts(self, wildcards: Wildcards) -> list[str]:
        """Sizes and latencies of all cuts of the selected networks."""
        rows = self._rows(state=["trained"], cut=self.config["pruning"]["cuts"])
        return self._of_all(fill(self.paths.measured_cut["measured"], rows))

    def sweep_points(self, wildcards: Wildcards) -> list[str]:
        """Sweeps of all techniques that Table 5 compares."""
        labels = compared_labels(self.config["pruning"])
        return [
            path
            for state in self.states
            for path in self._of_layers(
                self.paths.sweep,
                self._rows(
                    technique=[label for label in labels if state in self._states_of(label)],
                    state=[state],
                ),
            )
        ]

    def compensation_points(self, wildcards: Wildcards) -> list[str]:
        """Compensations of Table 6."""
        names = self.config["pruning"]["compensations"]
        rows = self._rows(state=self.states, compensation=names)
        return self._of_layers(self.paths.compensation, rows)

    def images_to_tune(self, wildcards: Wildcards) -> list[str]:
        """The images, where whole networks are fine-tuned."""
        whole = self.config["pruning"]["fine_tuning"]["trainable"] == "all"
        return [self.images(wildcards)] if whole else []

    # Pieces

    def _of_all(self, patterns: Sequence[str]) -> list[str]:
        return [path for pattern in patterns for path in self.of_selected(pattern)]

    def _of_layers(self, pattern: str, rows: Sequence[Row]) -> list[str]:
        """``pattern`` for every row, selected network and pruned layer of it."""
        return [
            path
            for model in self.config["run_models"]
            for layer in pruned_layers(self.config["models"][model])
            for one in fill(pattern, [{**row, "layer": layer} for row in rows])
            for path in self.of_selected(one, model)
        ]

    def _compared_runs(self) -> Iterator[Row]:
        """Wildcards of every network of Table 7, all splits and seeds."""
        comparison = self.config["comparison"]
        for network in comparison["networks"]:
            splits = network["splits"] or comparison["splits"]
            rows = self._rows(
                recipe=network["recipes"],
                crop=network["crops"],
                split=[split for split in comparison["splits"] if split in splits],
                seed=self.config["seeds"],
            )
            yield from ({**network, **row} for row in rows)

    def _amounts_of(self, label: str) -> Sequence[float]:
        """Angles or numbers of units at which pruned networks are saved."""
        pruning = self.config["pruning"]
        by_angle = self.settings.techniques[label]["amount"] == "angle"
        return list(pruning["angles"] if by_angle else pruning["counts"])

    def _states_of(self, label: str) -> list[str]:
        """States for which a technique has what it needs: sensitivity comes from training."""
        untrained = self.settings.techniques[label]["name"] != "karnin"
        return [state for state in self.states if state == "trained" or untrained]

    @staticmethod
    def _rows(**values: Any) -> list[Row]:
        """Every combination of some wildcards, the last varying fastest."""
        return [dict(zip(values, row, strict=True)) for row in product(*values.values())]
