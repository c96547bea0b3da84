"""The GPU program, rehearsed on the CPU."""

import subprocess
import sys
from types import SimpleNamespace

import pandas as pd
import pytest

from benchmarks.gpu import bench, checks, smoke
from tests.project import ROOT

CHECKS = ["device", "training/vgg/bfloat16", "generators", "out_of_memory", "channels"]


@pytest.fixture
def rehearse(tmp_path):
    """Function that runs checks by name, and where their results are."""

    def run(*names):
        command = [sys.executable, "-m", "benchmarks.gpu", "smoke", "--device", "cpu"]
        return subprocess.run(
            [*command, "--threads", "1", "--only", *names],
            cwd=ROOT, capture_output=True, text=True, check=False,
            env={"BENCHMARK_RESULTS": str(tmp_path), "OMP_NUM_THREADS": "1"},
        )  # fmt: skip

    return run


def test_a_rehearsal_passes_and_writes_its_rows(rehearse, tmp_path):
    done = rehearse(*CHECKS)
    assert done.returncode == 0, done.stdout
    lines = [line.split()[:2] for line in done.stdout.splitlines()[:-1]]
    outcomes = ["pass", "pass", "skip", "pass", "pass"]
    assert sorted(lines) == sorted(map(list, zip(outcomes, CHECKS, strict=True)))
    rows = pd.read_parquet(tmp_path / "gpu-smoke.parquet")
    assert sorted(rows["check"]) == sorted(CHECKS)
    assert "| channels | pass |" in (tmp_path / "gpu-smoke.md").read_text()


def test_a_failure_is_told_and_the_next_check_runs(monkeypatch, capsys, tmp_path):
    def fails(bed):
        raise ValueError("no such kernel")

    wanted = {"first": fails, "second": lambda bed: "seen"}
    monkeypatch.setattr(smoke, "all_checks", lambda models: wanted)
    monkeypatch.setattr("benchmarks.common.RESULTS", tmp_path)
    monkeypatch.setattr(smoke, "use_cpu", lambda threads: None)
    assert not smoke.run(SimpleNamespace(device="cpu", threads=1, only=None))
    told = capsys.readouterr().out
    assert "fail  first" in told and "ValueError: no such kernel" in told
    assert "pass  second" in told and "failed: ['first']" in told


def test_a_check_that_a_wrong_loss_fails(monkeypatch):
    bed = SimpleNamespace(device=None, network=lambda name: None, reference=lambda name: [1.0, 2.0])
    monkeypatch.setattr(checks, "train", lambda *_, **__: SimpleNamespace(losses=[1.0, 2.1]))
    with pytest.raises(AssertionError, match=r"losses: off by 5\.0e-02"):
        checks.training_of("vgg", "float32")(bed)


def test_measurements_go_on_after_one_that_takes_too_long(monkeypatch):
    called = []

    def call(command, timeout, **_):
        called.append(command[2])
        if command[2].endswith("training"):
            raise subprocess.TimeoutExpired(command, timeout)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(bench.subprocess, "run", call)
    assert not bench.run(SimpleNamespace(device="cpu", only=["training", "floor"]))
    assert called == ["benchmarks.training", "benchmarks.floor"]
