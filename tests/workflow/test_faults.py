"""Bad input and faults: one clear message, a non-zero exit, nothing finished lost."""

import os
import shutil
import subprocess

import numpy as np
import pytest
from PIL import Image

QUIET = {"tracking": {"uri": None}}
ARRAY = "results/tiny/dataset/crop~none/size~300x300/images.npy"


def data_folder(folder, per_class=6, size=(30, 30)):
    rng = np.random.default_rng(0)
    for label in ("Cat", "Dog"):
        (folder / label).mkdir(parents=True)
        for n in range(per_class):
            pixels = rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / label / f"Film_{n}_0.png")
    return folder


def prepare(project, overlay):
    return project.run(ARRAY, overlay={**QUIET, **overlay})


@pytest.mark.parametrize(
    ("overlay", "message"),
    [
        ({"epochs": 3}, "epochs: unknown key"),
        ({"models": {"vgg": {"learning_rates": ["5e-4"]}}}, "'5e-4' is no number"),
        (
            {"pruning": {"angles": [100]}},
            "pruning.angles.0: must be less than or equal to 90; not 100",
        ),
        ({"models": {"vgg": {"pruned_layer": "fc8"}}}, "no hidden layer 'fc8'"),
        ({"dataset": {"input_size": [100, 300]}}, "100 x 300 (height x width) are too small for"),
    ],
)
def test_config_faults_stop_before_any_job(fresh, overlay, message):
    ran = fresh.run(overlay=overlay)
    assert ran.returncode != 0
    assert message in ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr
    assert not (fresh.folder / "results").exists()


def test_a_missing_folder_stops_the_dry_run(fresh):
    ran = fresh.run("-n", overlay={"dataset": {"path": "data/nowhere"}})
    assert ran.returncode != 0
    assert "dataset.path: data/nowhere is no folder" in ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr


def test_a_config_whose_anchors_explode_is_not_walked_through(fresh):
    """Ten to the power of 30 values in config.yaml."""
    levels = [
        f"a{n}: &a{n} {{{', '.join(f'k{m}: *a{n - 1}' for m in range(10))}}}" for n in range(1, 30)
    ]
    (fresh.folder / "config.yaml").write_text("\n".join(["a0: &a0 {x: 1}", *levels]))
    ran = fresh.run("-n")
    assert ran.returncode != 0
    assert "config.yaml: holds itself or over 100,000 values" in ran.stderr + ran.stdout
    assert "Traceback" not in ran.stderr


def test_an_empty_folder_and_a_small_class(fresh):
    (fresh.folder / "data").mkdir()
    ran = prepare(fresh, {"dataset": {"path": "data"}})
    assert ran.returncode != 0 and "data holds no class folders" in ran.stderr
    data_folder(fresh.folder / "few", per_class=4)
    ran = prepare(fresh, {"dataset": {"path": "few"}})
    assert ran.returncode != 0 and "Cat has 4" in ran.stderr and "5 at least" in ran.stderr


def test_a_broken_image_is_named_then_skipped_and_a_new_one_reruns(fresh):
    folder = data_folder(fresh.folder / "data")
    (folder / "Dog" / "Film_0_0.png").write_text("no image")
    overlay = {"dataset": {"path": "data"}}
    ran = prepare(fresh, overlay)
    assert ran.returncode != 0 and "data/Dog/Film_0_0.png" in ran.stderr
    assert not (fresh.folder / ARRAY).exists()
    overlay["dataset"]["on_bad_image"] = "skip"
    ran = prepare(fresh, overlay)
    assert ran.returncode == 0, ran.stderr
    array = np.load(fresh.folder / ARRAY, mmap_mode="r")
    assert array.shape == (11, 300, 300, 3)
    Image.new("RGB", (30, 30)).save(folder / "Cat" / "Film_99_0.png")
    assert fresh.dry_run({**QUIET, **overlay}, ARRAY) == {"index_images": 1, "prepare_frames": 1}


def test_the_same_images_elsewhere_and_later_rerun_nothing(fresh):
    folder = data_folder(fresh.folder / "data")
    (folder / "Cat" / "inner").mkdir()
    shutil.copy(folder / "Cat" / "Film_0_0.png", folder / "Cat" / "inner" / "x.png")
    ran = prepare(fresh, {"dataset": {"path": "data"}})
    assert ran.returncode == 0, ran.stderr
    assert "warning: 1 images are not used: Cat/inner (1: in a folder of a class" in ran.stderr
    for path in folder.rglob("*.png"):
        os.utime(path)
    (folder / "Cat" / ".DS_Store").touch()
    (folder / "Thumbs.db").touch()
    assert fresh.dry_run({**QUIET, "dataset": {"path": "data"}}, ARRAY) == {}
    copy = shutil.copytree(folder, fresh.folder / "other place")
    shutil.rmtree(folder)
    overlay = {**QUIET, "dataset": {"path": str(copy)}}
    assert fresh.dry_run(overlay, ARRAY) == {}
    Image.new("RGB", (30, 30), "red").save(copy / "Cat" / "Film_0_0.png")
    assert fresh.dry_run(overlay, ARRAY) == {"index_images": 1, "prepare_frames": 1}


def paste(project, command):
    """Run a line that was printed, as someone does who copies it."""
    return subprocess.run(
        ["bash", "-c", command],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=False,
        env=project.variables,
    )


def test_tracking_that_is_down_costs_nothing_but_a_warning(fresh):
    """The store does not answer, the work goes on, and what is printed sends what waited."""
    data_folder(fresh.folder / "data")
    overlay = {"dataset": {"path": "data"}, "tracking": {"uri": "http://127.0.0.1:9"}}
    split = "results/tiny/splits/split~random/seed~0.parquet"
    ran = fresh.run(split, overlay=overlay)
    assert ran.returncode == 0, ran.stderr
    assert "2 records were not mirrored to MLflow" in ran.stderr
    pending = fresh.folder / "results/tiny/tracking/pending"
    assert len(list(pending.iterdir())) == 2
    command = ran.stderr.rstrip().splitlines()[-1]
    ran = paste(fresh, command)
    assert ran.returncode != 0 and "does not answer" in ran.stderr
    ran = paste(fresh, command.partition(" --configfile")[0])  # another experiment's
    assert ran.returncode != 0 and "records wait in: results/tiny/tracking" in ran.stderr
    assert not (fresh.folder / "results/paper").exists()
    overlay["tracking"]["uri"] = "sqlite:///results/mlflow.db"
    one, _ = pending.iterdir()
    one.rename(fresh.folder / one.name)
    fresh.command(overlay=overlay)  # writes the overlay
    ran = paste(fresh, command)
    assert ran.returncode == 0, ran.stderr
    assert list(pending.iterdir()) == []
    assert (fresh.folder / "results/mlflow.db").exists()
    (fresh.folder / one.name).rename(one)
    assert fresh.dry_run(overlay, split) == {} and one.exists()
    ran = fresh.run(split, overlay=overlay)  # an idle rerun sends what waits
    assert ran.returncode == 0 and "Nothing to be done" in ran.stdout + ran.stderr
    assert list(pending.iterdir()) == [] and "not mirrored" not in ran.stderr
