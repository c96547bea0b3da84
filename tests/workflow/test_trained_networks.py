"""A network that the workflow trains on a named data set, and then prunes as one from elsewhere."""

import numpy as np
import pandas as pd
import pytest
import torch

from neuron_pruning import image_batches, load_pruned, open_network, prune
from tests.project import copy_project

RUN = (
    "split~random/crop~none/recipe~stabilised/model~small/learning_rate~0.002/batch_size~32/seed~0"
)
STORED = f"results/trained/runs/{RUN}/network.safetensors"
PREDICTIONS = f"results/trained/evaluations/{RUN}/state~trained/predictions.parquet"
OVERLAY = {
    "experiment": "trained",
    "dataset": {"path": "scikit-learn/digits/train", "input_size": [16, 16]},
    "seeds": [0],
    "run_models": ["small"],
    "recipe": "stabilised",
    "models": {
        "small": {
            "architecture": "vgg8", "channels": [8] * 8, "widths": [16], "pruned_layer": "fc1",
            "learning_rates": [0.002], "batch_sizes": [32],
        }
    },
    "networks": {
        "mine": {
            "source": STORED,
            "calibration": "scikit-learn/digits/train",
            "evaluation": "scikit-learn/digits/test",
        }
    },
    "network_pruning": {
        "multiply_adds": [0.5], "techniques": ["l1"], "draws": 1,
        "calibration_images": 64, "evaluation_images": 200, "latency": {"runtimes": []},
    },
    "tracking": {"uri": None},
}  # fmt: skip
PRUNED = {
    "inspect_network": 1, "plan_network": 1, "prune_network": 2, "table_networks": 1,
    "table_unit_layers": 1, "build_networks_report": 1,
}  # fmt: skip
TRAINED = {"index_images": 1, "prepare_frames": 1, "split_dataset": 1, "initialise": 1, "train": 1}


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = copy_project(tmp_path_factory.mktemp("trained"))
    assert project.dry_run(OVERLAY, "networks") == {"make_dataset": 2, **TRAINED, **PRUNED}
    ran = project.run("networks", PREDICTIONS, overlay=OVERLAY)
    assert ran.returncode == 0, ran.stderr
    return project


def test_it_is_trained_first_and_again_only_if_that_changes(project):
    assert project.dry_run(OVERLAY, "networks") == {}
    longer = {**OVERLAY, "training": {"epochs": 3}}
    assert project.dry_run(longer, "networks") == {"train": 1, **PRUNED}
    other = {**OVERLAY["networks"]["mine"], "evaluation": "scikit-learn/digits/train"}
    faults = project.run("-n", "networks", overlay={**OVERLAY, "networks": {"mine": other}})
    assert faults.returncode == 1 and "is the folder of calibration" in faults.stdout


def test_its_predictions_are_those_of_the_workflow(project):
    evaluated = pd.read_parquet(project.folder / PREDICTIONS).set_index("image")
    opened = open_network(str(project.folder / STORED))
    folder = (
        project.folder / "results/trained/named_datasets/dataset~scikit-learn/digits/part~train"
    )
    images = image_batches(folder, opened.preprocessing, batch_size=1000)
    ((batch, _),) = images
    with torch.inference_mode():
        found = opened.module(batch).softmax(1).numpy()
    names = [f"{file.parent.name}/{file.name}" for file in images.files]
    assert len(names) == len(evaluated) == 896
    wanted = evaluated.loc[names, [f"p_{digit}" for digit in range(10)]].to_numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    assert (found.argmax(1) == evaluated.loc[names, "predicted"].astype(int)).all()


def test_tables_show_it_and_a_cut_loads_again(project, tmp_path):
    points = pd.concat(
        map(pd.read_parquet, project.folder.glob("results/trained/imported/*/*/*/points.parquet"))
    )
    assert set(points["technique"]) == {"l1", "random"} and points["images"].eq(200).all()
    assert points["accuracy"].between(0.1, 1).all()
    layers = pd.read_parquet(project.folder / "results/trained/tables/table9.parquet")
    assert "fc1" in set(layers["layer"]) and "features.0" in set(layers["layer"])
    source = str(project.folder / STORED)
    images = [torch.randn(40, 3, 16, 16)]
    result = prune(open_network(source).module, images, amount=0.5, random_draws=1)
    result.save(tmp_path / "small")
    loaded = load_pruned(tmp_path / "small", lambda: open_network(source).module)
    assert torch.equal(loaded(images[0]), result.model(images[0]))
