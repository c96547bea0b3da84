import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

import runtime.job_adapter as adapter
from neuron_pruning import UserError
from runtime import provenance


class Named(dict):
    """Named files as Snakemake hands them over: by name, iterated as paths."""

    def __iter__(self):
        for files in self.values():
            yield from [files] if isinstance(files, str) else files


@pytest.fixture
def job(tmp_path, monkeypatch):
    """What a script sees of a job without a tracking store."""
    monkeypatch.chdir(tmp_path)
    return SimpleNamespace(
        rule="train",
        wildcards={"seed": "3"},
        input=Named(array="a.npy"),
        output=Named(network="n.bin"),
        params={"settings": {"epochs": 2}, "code": "one"},
        log=["logs/train.log"],
        threads=1,
        config={
            "experiment": "e",
            "tracking": {"uri": None, "artifacts": None},
            "resume": {"minutes": 5},
        },
    )


def test_names_of_the_rule_become_arguments(job):
    seen = {}

    def work(array, network, epochs, threads):
        seen.update(array=str(array), network=str(network), epochs=epochs, threads=threads)

    adapter.run_job(job, work)
    assert seen == {"array": "a.npy", "network": "n.bin", "epochs": 2, "threads": 1}


def test_files_of_resources_come_by_their_names_wherever_the_job_runs(job):
    seen = []
    job.params["code"] = "make_table resources/paper.yaml 0123"
    adapter.run_job(job, lambda paper, **_others: seen.append(paper.read_text()))
    assert "table1:" in seen[0]


@pytest.mark.parametrize(
    ("error", "told", "traced"),
    [(UserError("mend this"), "train seed=3: mend this", False), (KeyError("x"), "KeyError", True)],
)
def test_errors_are_told_and_only_ours_are_traced(job, capsys, caplog, error, told, traced):
    def fail(**_arguments):
        raise error

    with pytest.raises(SystemExit) as stopped:
        adapter.run_job(job, fail)
    assert stopped.value.code == 1
    printed = capsys.readouterr().err
    assert told in printed and "Traceback" not in printed
    assert ("Traceback" in caplog.text) == traced


def test_a_mirror_that_fails_never_costs_the_job(job, capsys, monkeypatch):
    def fail(*_arguments):
        raise OSError("disk full")

    monkeypatch.setattr(adapter, "queue_record", fail)
    job.config["tracking"]["uri"] = "http://127.0.0.1:9"
    adapter.run_job(job, lambda **_arguments: adapter.TrackedResult())
    assert "train seed=3 is complete, but its record" in capsys.readouterr().err


def test_a_job_leaves_a_record_and_loads_no_mlflow(job, tmp_path):
    job.config["tracking"]["uri"] = "http://127.0.0.1:9"
    adapter.run_job(
        job, lambda **_arguments: adapter.TrackedResult({"accuracy": 0.5}, {"loss": [2.0]})
    )
    (path,) = (tmp_path / "results/e/tracking/pending").iterdir()
    record = json.loads(path.read_text())
    assert record["name"] == "train seed=3" and record["status"] == "FINISHED"
    assert record["metrics"] == {"accuracy": 0.5} and record["series"] == {"loss": [2.0]}
    assert record["parameters"] == {"epochs": 2}
    assert record["artifacts"] == ["n.bin", "logs/train.log"]


def test_the_commit_is_unknown_where_there_is_no_git(monkeypatch):
    def missing(*_arguments, **_options):
        raise FileNotFoundError("git")

    monkeypatch.setattr(subprocess, "run", missing)
    assert adapter.git_commit() == "unknown"


def test_settings_are_flat_in_the_store():
    nested = {"keys": {"seed": 1}, "optimiser": {"name": "adam", "more": {"x": 2}}, "n": 3}
    flat = {"keys.seed": 1, "optimiser.name": "adam", "optimiser.more.x": 2, "n": 3}
    assert adapter._flatten(nested) == flat


PANDASLESS = [
    "make_faces",
    "index_images",
    "prepare_frames",
    "crop_faces",
    "split_dataset",
    "prune",
    "sweep_technique",
]
TORCHLESS = [
    "select_hyperparameters",
    "make_table",
    "build_report",
    "sync_tracking",
    "runtime.tracking_uploader",
]
TORCHLESS += [f"neuron_pruning.tables.{table}" for table in ("grid", "per_class", "pruning")]


LOADED = """
import importlib, json, sys
loaded = {}
for script in sys.argv[1:]:
    importlib.import_module(script)
    loaded[script] = sorted({"torch", "mlflow", "pandas"} & set(sys.modules))
print(json.dumps(loaded))
"""


def test_jobs_without_a_network_load_neither_torch_nor_mlflow():
    """One after the other in one process: the first that loads one of them is named."""
    folder = str(Path(adapter.__file__).parents[1])
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, *PANDASLESS, *TORCHLESS],
        env={"PYTHONPATH": folder},
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = {script: [] for script in PANDASLESS} | {script: ["pandas"] for script in TORCHLESS}
    assert json.loads(ran.stdout) == wanted


ROWS = """
import sys
from pathlib import Path
import pyarrow as pa
from neuron_pruning.core.parquet import column, read_frame, read_rows, schema, write_rows
from runtime.job_adapter import _leave_pandas_out
_leave_pandas_out()
path, rows = Path(sys.argv[1]), [{"a": "x", "b": 1.5}, {"a": None, "b": None}]
kinds = column("a", pa.string(), ""), column("b", pa.float64(), "")
write_rows(path, rows, schema(*kinds, run=False))
assert read_rows(path) == rows and "pandas" not in sys.modules
frame = read_frame([path])
assert "pandas" in sys.modules and frame["b"].isna().tolist() == [False, True]
"""


def test_rows_are_written_and_read_without_pandas_and_frames_with_it(tmp_path):
    subprocess.run(
        [sys.executable, "-c", ROWS, str(tmp_path / "rows.parquet")],
        env={"PYTHONPATH": str(Path(adapter.__file__).parents[1])},
        check=True,
    )


def write(path, text):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@pytest.fixture
def results(job):
    """The job with files below the results, as a rule has them."""
    job.input = Named(array=str(write("results/e/a.npy", "whole")))
    job.output = Named(network="results/e/n.bin")
    return job


def test_a_damaged_input_stops_the_job_before_its_work(results, capsys):
    def work(array, network, epochs):
        write(network, array.read_text())

    adapter.run_job(results, work)  # its output is whole now, and what is known of it is noted
    later = SimpleNamespace(**vars(results))
    later.input, later.output = Named(array="results/e/n.bin"), Named(network="results/e/m.bin")
    adapter.run_job(later, work)
    write("results/e/n.bin", "wholf")
    Path("results/e/m.bin").unlink()
    with pytest.raises(SystemExit):
        adapter.run_job(later, work)
    assert "results/e/n.bin (kept as n.bin.damaged)" in capsys.readouterr().err
    assert not Path("results/e/m.bin").exists()
    assert Path("results/e/n.bin.damaged").read_text() == "wholf"


def test_inputs_from_the_future_are_from_now(results):
    """Where the clock has jumped back; Snakemake would throw away what is made from them."""
    tomorrow = time.time() + 86_400
    os.utime("results/e/a.npy", (tomorrow, tomorrow))
    adapter.run_job(results, lambda array, network, epochs: write(network, "n") and None)
    assert Path("results/e/a.npy").stat().st_mtime <= Path("results/e/n.bin").stat().st_mtime


def test_what_killed_processes_left_is_removed(results):
    left = write("results/e/.123.partial.n.bin", "half")
    other = write("results/e/.123.partial.o.bin", "half")
    adapter.run_job(results, lambda array, network, epochs: write(network, "n") and None)
    assert not left.exists() and other.exists()


def test_what_is_kept_belongs_to_the_code(results):
    seen = []

    def work(array, network, epochs, kept):
        seen.append(kept)
        write(kept / "known", "x")
        write(network, "n")

    adapter.run_job(results, work)
    adapter.run_job(results, work)
    assert seen[0] == seen[1] and seen[0].is_relative_to("results/e/.kept/train")
    results.params["code"] = "two"
    adapter.run_job(results, work)
    assert seen[2] != seen[0] and not seen[0].exists() and seen[2].exists()


def test_a_state_belongs_to_settings_inputs_and_threads(results):
    seen = []

    def work(array, network, epochs, resume):
        seen.append(resume.identity if resume else None)
        write(network, "n")

    adapter.run_job(results, work)
    adapter.run_job(results, work)
    results.params["settings"] = {"epochs": 3}
    adapter.run_job(results, work)
    results.params["code"] = "two"
    adapter.run_job(results, work)
    write("results/e/a.npy", "other")
    adapter.run_job(results, work)
    results.threads = 2
    adapter.run_job(results, work)
    assert seen[0] == seen[1] and len(set(seen)) == 5
    results.config["resume"]["minutes"] = None
    adapter.run_job(results, work)
    assert seen[-1] is None


def test_the_arithmetic_that_auto_is_belongs_to_job_state_and_record(results, monkeypatch):
    found, states = [], []
    results.params["settings"] = {"training": {"precision": "auto", "epochs": 2}}
    results.config["tracking"]["uri"] = "http://127.0.0.1:9"

    def work(array, network, training, resume):
        found.append(training)
        states.append(resume.identity)
        write(network, "n")
        return adapter.TrackedResult()

    for precision in ("float32", "bfloat16", "bfloat16"):
        monkeypatch.setattr(provenance, "automatic_precision", lambda found=precision: found)
        adapter.run_job(results, work)
    assert found == [{"precision": p, "epochs": 2} for p in ("float32", "bfloat16", "bfloat16")]
    assert states[0] != states[1] == states[2]
    sent = [json.loads(p.read_text()) for p in Path("results/e/tracking/pending").iterdir()]
    recorded = sorted(record["parameters"]["training.precision"] for record in sent)
    assert recorded == ["bfloat16", "bfloat16", "float32"]


@pytest.mark.parametrize(("used", "name"), [(True, "GPU of the job"), (False, "cpu")])
def test_the_device_of_a_record_is_what_the_job_used(monkeypatch, used, name):
    cuda = SimpleNamespace(
        is_available=lambda: True,
        is_initialized=lambda: used,
        get_device_name=lambda: "GPU of the job",
    )
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    assert adapter._device() == name


def test_a_record_that_cannot_be_made_never_costs_the_job(job, capsys, monkeypatch):
    job.config["tracking"]["uri"] = "sqlite:///x.db"
    monkeypatch.setattr(adapter, "_device", lambda: 1 / 0)
    adapter.run_job(job, lambda **_: adapter.TrackedResult())
    assert "is complete, but its record for MLflow" in capsys.readouterr().err
