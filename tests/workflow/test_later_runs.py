"""Jobs that a finished experiment is asked for later: in other ways, or for more."""

import json
import shutil

import pandas as pd
import pytest

from tests.project import documented_technique
from tests.workflow.conftest import MAIN, RUN, SWEPT, results


def test_training_again_gives_identical_metrics(copied):
    folder = copied.folder
    target = f"results/tiny/evaluations/{RUN}/state~trained/metrics.parquet"
    before = (folder / target).read_bytes()
    settings = ["--set-threads", "train=1", "evaluate=1"]
    ran = copied.run(target, "--forcerun", "train", *settings)
    assert ran.returncode == 0, ran.stderr
    assert "Train alexnet, learning rate 0.001" in ran.stderr + ran.stdout
    assert (folder / target).read_bytes() == before


def test_a_checkpoint_of_another_config(copied):
    folder = copied.folder
    run = f"{MAIN}/model~vgg/learning_rate~0.001/batch_size~16/seed~0"
    description = folder / "results/tiny/runs" / run / "network.json"
    content = json.loads(description.read_text())
    content["provenance"]["recipe"] = "other"
    description.write_text(json.dumps(content))
    shutil.rmtree(folder / "results/tiny/.checksums")  # they would say that it was changed
    target = f"results/tiny/evaluations/{run}/state~trained/metrics.parquet"
    ran = copied.run(target, "--forcerun", "evaluate")
    assert ran.returncode != 0
    assert "does not belong to this config (recipe: other instead of" in ran.stderr
    others = folder.glob("results/tiny/evaluations/**/seed~1/**/metrics.parquet")
    assert len(list(others)) == 7


def test_a_new_technique_is_one_file(copied):
    """The file of docs/how-to/add-a-technique.md, word for word: nothing else is made again."""
    folder = copied.folder
    path, source = documented_technique()
    (folder / path).write_text(source)
    overlay = {"pruning": {"techniques_compared": [*sorted(SWEPT), "bias_size"]}}
    found = copied.dry_run(overlay)
    found.pop("build_report", None)
    assert found == {"sweep_technique": 4, "table_techniques": 1}
    ran = copied.run("results/tiny/tables/table5.md", overlay=overlay)
    assert ran.returncode == 0, ran.stderr[-3000:]
    assert "bias_size" in (folder / "results/tiny/tables/table5.md").read_text()


MERGED = {"technique": "distinctiveness", "compensation": "add"}
MERGED["settings"] = {"centring": "mean", "complementary": "lossless"}


@pytest.mark.parametrize(
    "cut",
    [
        {"technique": "merged", "amount": 80, "layers": ["conv6", "fc1", "fc2"]},
        {"technique": "torch_pruning_taylor", "amount": 0.5, "layers": "all"},
    ],
    ids=["by angle", "by share"],
)
def test_a_cut_network_is_smaller_and_exported(finished, copied, cut):
    folder = copied.folder
    cells = pd.read_parquet(results(finished) / "selection.parquet")
    cell = cells[cells["selected"] & (cells["model"] == "alexnet")].iloc[0]
    run = f"{MAIN}/model~alexnet/learning_rate~{cell['learning_rate']}/batch_size~16/seed~0"
    target = f"results/tiny/cuts/{run}/state~trained/cut~mine/measured.parquet"
    overlay = {"pruning": {"techniques": {"merged": MERGED}, "cuts": {"mine": cut}}}
    ran = copied.run(target, overlay=overlay)
    assert ran.returncode == 0, ran.stderr[-3000:]
    rows = pd.read_parquet(folder / target)
    assert rows["images"].tolist() == [1, 4] and (rows["median_after"] > 0).all()
    assert (rows["parameters_after"] < rows["parameters_before"]).all()
    assert (rows["file_bytes_after"] < rows["file_bytes_before"]).all()
    assert (rows["onnx_difference"] < 1e-4).all()
    assert (folder / target).with_name("network.onnx").stat().st_size > 1000


@pytest.mark.parametrize("trainable", ["downstream", "all"])
def test_written_networks_can_learn_further(copied, trainable):
    folder = copied.folder
    run = f"{MAIN}/model~vgg/learning_rate~0.001/batch_size~16/seed~0/state~trained"
    place = f"results/tiny/fine_tuned/{run}/technique~distinctiveness/amount~15"
    overlay = {"pruning": {"fine_tuning": {"epochs": 2, "trainable": trainable}}}
    ran = copied.run(f"{place}/metrics.parquet", overlay=overlay)
    assert ran.returncode == 0, ran.stderr[-3000:]
    before = pd.read_parquet(folder / place.replace("fine_tuned", "pruned") / "metrics.parquet")
    after = pd.read_parquet(folder / place / "metrics.parquet")
    assert after["fine_tuning"].item() == 2 and before["fine_tuning"].item() == 0
    assert after["test_loss_after"].item() != before["test_loss_after"].item()
    assert after["units_after"].item() == before["units_after"].item()


def test_several_layers_at_once(copied):
    folder = copied.folder
    run = f"{MAIN}/model~vgg/learning_rate~0.001/batch_size~16/seed~0/state~untrained"
    target = f"results/tiny/pruned/{run}/technique~l2/amount~2/metrics.parquet"
    overlay = {
        "models": {"vgg": {"pruned_layer": ["fc1", "fc3"]}},
        "pruning": {"saved_techniques": ["l2"]},
    }
    ran = copied.run(target, overlay=overlay)
    assert ran.returncode == 0, ran.stderr[-3000:]
    row = pd.read_parquet(folder / target).iloc[0]
    assert row["layer"] == "fc1+fc3" and row["count"] == 4
    assert (row["units_before"], row["units_after"]) == (84, 80)
    units = pd.read_parquet(folder / target.replace("metrics", "units"))
    assert units["pruned_layer"].tolist() == ["fc1", "fc1", "fc3", "fc3"]
