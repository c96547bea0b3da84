"""Names of all files below ``results/``: nowhere else does a file name stand.

Patterns hold wildcards in braces, as Snakemake fills them in. What one job writes stands together,
by the names under which its script takes the files.
"""

from collections.abc import Iterable, Mapping
from itertools import product
from typing import Any

CELL_KEYS = ("split", "crop", "recipe", "model", "learning_rate", "batch_size")
RUN_KEYS = (*CELL_KEYS, "seed")
NETWORK_KEYS = ("split", "crop", "recipe", "model", "seed")  # before its training


def wildcards_in_path(*keys: str) -> str:
    """``key~{key}`` for each key, as folders."""
    return "/".join(f"{key}~{{{key}}}" for key in keys)


RUN = wildcards_in_path(*RUN_KEYS)
NETWORK = wildcards_in_path(*NETWORK_KEYS)
NETWORK_STATE = wildcards_in_path(*RUN_KEYS, "state")
PRUNING = wildcards_in_path(*RUN_KEYS, "state", "technique", "amount")
SWEEP = wildcards_in_path(*RUN_KEYS, "state", "layer", "technique")
LAYER = wildcards_in_path(*RUN_KEYS, "state", "layer")
CUT = wildcards_in_path(*RUN_KEYS, "state", "cut")
SPLIT = wildcards_in_path("split", "seed")
IMAGES = wildcards_in_path("crop", "size")
SVM = wildcards_in_path("baseline", "split", "seed")
DATASET = wildcards_in_path("dataset", "part")
IMPORTED = wildcards_in_path("network")
DRAW = wildcards_in_path("network", "draw")
NETWORK_PRUNING = wildcards_in_path("network", "draw", "technique")
PEER = wildcards_in_path("network", "draw", "peer")


def combinations(**values: Iterable[Any]) -> list[dict[str, Any]]:
    """Every combination of some wildcards, the last varying fastest."""
    return [dict(zip(values, row, strict=True)) for row in product(*values.values())]


def fill(pattern: str, rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """A path for each row of wildcards; wildcards that no row names stay."""
    return [pattern.format_map(_Known(row)) for row in rows]


class _Known(dict[str, Any]):
    """Values by name; a name without one stands for itself, in braces."""

    def __missing__(self, name: str) -> str:
        return f"{{{name}}}"


class Paths:
    """Patterns of the files of one experiment."""

    def __init__(self, experiment: str) -> None:
        self.root = root = f"results/{experiment}"
        self.faces = f"{root}/faces"
        self.named_dataset = f"{root}/named_datasets/{DATASET}"
        self.boxes = f"{root}/dataset/boxes.parquet"
        self.leakage = f"{root}/dataset/leakage.parquet"
        self.compared_leakage = f"{root}/dataset/compared_leakage.parquet"
        self.images = f"{root}/dataset/{IMAGES}/images.npy"
        self.split = f"{root}/splits/{SPLIT}.parquet"
        self.selection = f"{root}/selection.parquet"
        self.torch_pruning_scores = f"{root}/evaluations/{NETWORK_STATE}/torch_pruning.safetensors"
        self.sweep = f"{root}/sweeps/{SWEEP}.parquet"
        self.compensations = f"{root}/compensations/{LAYER}.parquet"
        self.features = f"{root}/baselines/baseline~{{baseline}}/features.parquet"
        self.plan = f"{root}/imported/{DRAW}/plan.parquet"
        self.running_times = f"{root}/imported/{IMPORTED}/running_times.parquet"
        self.points = f"{root}/imported/{NETWORK_PRUNING}/points.parquet"
        self.peer_points = f"{root}/imported/{PEER}/points.parquet"
        self.report = f"{root}/report.html"
        self.comparison = f"{root}/comparison.html"
        self.networks = f"{root}/networks.html"
        self.benchmarks = f"{root}/benchmarks"
        self.tracking = f"{root}/tracking"
        self.index = self._in("dataset", index="parquet", audit="parquet")
        self.published_features = self._in(
            "baselines/baseline~feature_table", features="parquet", faults="parquet"
        )
        self.initial = self._network(f"networks/{NETWORK}", "network", "initial")
        self.run = {
            **self._network(f"runs/{RUN}", "network"),
            **self._in(f"runs/{RUN}", history="parquet", speed="parquet"),
            **self._in(f"runs/{RUN}", sensitivity="safetensors"),
        }
        self.evaluation = self._in(
            f"evaluations/{NETWORK_STATE}",
            predictions="parquet",
            metrics="parquet",
            confusion="parquet",
            activations="safetensors",
        )
        self.svm = self._in(f"baselines/{SVM}", predictions="parquet", metrics="parquet")
        self.imported = self._in(f"imported/{IMPORTED}", predictions="parquet", layers="parquet")
        self.pruned, self.cut = (
            {
                **self._network(folder, "pruned"),
                **self._in(folder, metrics="parquet", units="parquet"),
            }
            for folder in (f"pruned/{PRUNING}", f"cuts/{CUT}")
        )
        self.fine_tuned = {
            **self._network(f"fine_tuned/{PRUNING}", "network"),
            **self._in(f"fine_tuned/{PRUNING}", metrics="parquet"),
        }
        self.measured_cut = {
            "exported": f"{root}/cuts/{CUT}/network.onnx",
            "measured": f"{root}/cuts/{CUT}/measured.parquet",
        }

    def log(self, rule: str, wildcards: str = "") -> str:
        """Log of a rule's job."""
        return f"{self.root}/logs/{rule}/{wildcards}".rstrip("/") + ".log"

    def benchmark(self, rule: str, wildcards: str = "") -> str:
        """Time and memory of a rule's job."""
        return f"{self.benchmarks}/{rule}/{wildcards}".rstrip("/") + ".jsonl"

    def table(self, name: str) -> str:
        """A table as Parquet."""
        return f"{self.root}/tables/{name}.parquet"

    def rendered(self, name: str, formats: Iterable[str]) -> list[str]:
        """A table in formats for people."""
        return [f"{self.root}/tables/{name}.{suffix}" for suffix in formats]

    def _network(self, folder: str, name: str, stem: str = "network") -> dict[str, str]:
        """Weights of a stored network, under ``name``, and its description."""
        place = f"{self.root}/{folder}/{stem}"
        return {name: f"{place}.safetensors", "description": f"{place}.json"}

    def _in(self, folder: str, **suffixes: str) -> dict[str, str]:
        """Files of a folder, under their names without suffix."""
        return {name: f"{self.root}/{folder}/{name}.{kind}" for name, kind in suffixes.items()}
