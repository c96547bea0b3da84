"""Results are valid or made again: whatever changed meanwhile, and whatever Snakemake forgot."""

import os
import random
import shutil

import pandas as pd
import pytest

from tests.faults.conftest import ARGUMENTS, SMALL, jobs_of, wait_for

RUN = "split~random/crop~none/recipe~initialised/model~alexnet/learning_rate~0.001/batch_size~16"
NETWORK = f"results/tiny/runs/{RUN}/seed~0/network.safetensors"
EPOCHS = {**SMALL, "training": {"epochs": 9}}


def planned(disturbed, overlay=SMALL):
    """Jobs that a plain run would start now."""
    return disturbed.project.dry_run(overlay, *ARGUMENTS)


def test_without_snakemakes_memory_nothing_is_stale_and_nothing_is_made_for_nothing(disturbed):
    """As on a new machine: no .snakemake, and times as a copy happened to leave them."""
    results = disturbed.take_over()
    shutil.rmtree(disturbed.project.folder / ".snakemake")
    rng = random.Random(0)
    for path in disturbed.project.folder.rglob("*"):
        if path.is_file():
            os.utime(path, (moment := 1_700_000_000 + rng.randrange(10**7), moment))
    assert planned(disturbed) == {}
    shutil.rmtree(disturbed.project.folder / ".snakemake")
    found = planned(disturbed, EPOCHS)
    assert found["train"] == 1 and "initialise" not in found and "prepare_frames" not in found
    assert (results / "tables" / "table1.parquet").exists()


def test_code_that_changes_during_a_training(disturbed):
    """A git pull in mid-run: the training ends, and counts as older than the new code."""
    disturbed.take_over()
    folder = disturbed.project.folder
    shutil.rmtree((folder / NETWORK).parent)
    run = disturbed.start(NETWORK)
    wait_for(lambda: list(folder.glob("results/tiny/runs/**/.state.safetensors")))
    module = folder / "scripts" / "neuron_pruning" / "training" / "loop.py"
    before = module.read_text()
    module.write_text(before + "\nCHANGED = True\n")
    assert jobs_of(run), "the training is still at work"
    assert run.wait(timeout=300) == 0, disturbed.printed[-5000:]
    assert planned(disturbed)["train"] == 1
    module.write_text(before)  # and what ran partly with other code is trusted by none
    assert planned(disturbed)["train"] == 1


@pytest.mark.parametrize("pattern", ["evaluations/**/metrics.parquet", "tables/table1.parquet"])
def test_an_edited_file_is_named_and_made_again(disturbed, pattern):
    """By the very next run, though all that is made from it is there."""
    path = sorted(disturbed.take_over().glob(pattern))[0]
    frame = pd.read_parquet(path)
    column = frame.select_dtypes("number").columns[-1]
    frame[column] += 1
    frame.to_parquet(path)
    ran = disturbed.run()
    assert ran.returncode == 0, ran.stderr[-5000:]
    assert f"damaged or edited since it was written: results/tiny/{pattern[:6]}" in ran.stderr
    assert path.name in ran.stderr and path.with_name(path.name + ".damaged").exists()
    disturbed.recover()


def test_other_threads_are_told(disturbed):
    """One training with all cores, beside another that one core computed."""
    disturbed.take_over()
    networks = [NETWORK, NETWORK.replace("seed~0", "seed~1")]
    ran = disturbed.project.run(*networks, overlay={**SMALL, "seeds": [0, 1]})
    assert ran.returncode == 0, ran.stderr[-5000:]
    assert ran.stderr.count("warning: threads of train: 2 now, 1 in results that stay;") == 1
