"""Names of all files below ``results/``: nowhere else does a file name stand.

Patterns hold wildcards in braces, as Snakemake fills them in. What one job writes stands together,
by the names under which its script takes the files.
"""

from collections.abc import Iterable, Mapping
from typing import Any

Files = dict[str, str]

CELL_KEYS = ("split", "crop", "recipe", "model", "learning_rate", "batch_size")
RUN_KEYS = (*CELL_KEYS, "seed")


def wildcards_in_path(*keys: str) -> str:
    """``key~{key}`` for each key, as folders."""
    return "/".join(f"{key}~{{{key}}}" for key in keys)


RUN = wildcards_in_path(*RUN_KEYS)
NETWORK = wildcards_in_path("split", "crop", "recipe", "model", "seed")
NETWORK_STATE = f"{RUN}/{wildcards_in_path('state')}"
PRUNING = f"{NETWORK_STATE}/{wildcards_in_path('technique', 'amount')}"
LAYER = f"{NETWORK_STATE}/{wildcards_in_path('layer')}"
SWEEP = f"{LAYER}/{wildcards_in_path('technique')}"
COMPENSATION = f"{LAYER}/{wildcards_in_path('compensation')}"
CUT = f"{NETWORK_STATE}/{wildcards_in_path('cut')}"
SPLIT = wildcards_in_path("split", "seed")
IMAGES = wildcards_in_path("crop", "size")
SVM = wildcards_in_path("baseline", "split", "seed")


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
        self.boxes = f"{root}/dataset/boxes.parquet"
        self.leakage = f"{root}/dataset/leakage.parquet"
        self.images = f"{root}/dataset/{IMAGES}/images.npy"
        self.split = f"{root}/splits/{SPLIT}.parquet"
        self.selection = f"{root}/selection.parquet"
        self.torch_pruning_scores = f"{root}/evaluations/{NETWORK_STATE}/torch_pruning.safetensors"
        self.sweep = f"{root}/sweeps/{SWEEP}.parquet"
        self.compensation = f"{root}/compensations/{COMPENSATION}.parquet"
        self.features = f"{root}/baselines/baseline~{{baseline}}/features.parquet"
        self.report = f"{root}/report.html"
        self.benchmarks = f"{root}/benchmarks"
        self.tracking = f"{root}/tracking"
        self.index: Files = {
            "index": f"{root}/dataset/index.parquet",
            "audit": f"{root}/dataset/audit.parquet",
        }
        self.published_features: Files = {
            "features": self.features.format(baseline="feature_table"),
            "faults": f"{root}/baselines/baseline~feature_table/faults.parquet",
        }
        self.initial = self._network(f"{root}/networks/{NETWORK}/initial")
        self.run = {
            **self._network(f"{root}/runs/{RUN}/network"),
            "history": f"{root}/runs/{RUN}/history.parquet",
            "speed": f"{root}/runs/{RUN}/speed.parquet",
            "sensitivity": f"{root}/runs/{RUN}/sensitivity.safetensors",
        }
        self.evaluation = self._in(
            f"{root}/evaluations/{NETWORK_STATE}",
            "predictions.parquet",
            "metrics.parquet",
            "confusion.parquet",
            "activations.safetensors",
        )
        self.svm = self._in(f"{root}/baselines/{SVM}", "predictions.parquet", "metrics.parquet")
        pruned = f"{root}/pruned/{PRUNING}"
        self.pruned = {
            "pruned": f"{pruned}/network.safetensors",
            "description": f"{pruned}/network.json",
            **self._in(pruned, "metrics.parquet", "units.parquet"),
        }
        tuned = f"{root}/fine_tuned/{PRUNING}"
        self.fine_tuned = {
            **self._network(f"{tuned}/network"),
            "metrics": f"{tuned}/metrics.parquet",
        }
        cut = f"{root}/cuts/{CUT}"
        self.cut = {
            "pruned": f"{cut}/network.safetensors",
            "description": f"{cut}/network.json",
            **self._in(cut, "metrics.parquet", "units.parquet"),
        }
        self.measured_cut = {
            "exported": f"{cut}/network.onnx",
            "measured": f"{cut}/measured.parquet",
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

    @staticmethod
    def _network(stem: str) -> Files:
        """Weights and description of a stored network."""
        return {"network": f"{stem}.safetensors", "description": f"{stem}.json"}

    @staticmethod
    def _in(folder: str, *names: str) -> Files:
        """Files of a folder, under their names without suffix."""
        return {name.split(".")[0]: f"{folder}/{name}" for name in names}
