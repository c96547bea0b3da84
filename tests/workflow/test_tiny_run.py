"""What a complete run writes."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import load_file

from tests.workflow.conftest import MAIN, OFFLINE, RUN, SWEPT, results


def test_every_table_in_every_format(finished):
    for number in range(1, 9):
        for suffix in ("parquet", "csv", "md", "tex", "html"):
            path = results(finished) / "tables" / f"table{number}.{suffix}"
            assert path.stat().st_size > 100, path
    assert "Table 1." in (results(finished) / "tables" / "table1.md").read_text()
    assert r"\toprule" in (results(finished) / "tables" / "table4.tex").read_text()


def test_table1_is_the_mean_of_the_evaluations(finished):
    table = pd.read_parquet(results(finished) / "tables" / "table1.parquet")
    assert len(table) == 3 and table.groupby("model")["selected"].sum().eq(1).all()
    for row in table.itertuples():
        found = results(finished).glob(
            f"evaluations/{MAIN}/model~{row.model}/learning_rate~{row.learning_rate}/*/*/*/metrics.parquet"
        )
        frame = pd.concat([pd.read_parquet(path) for path in found])
        frame = frame[(frame["state"] == "trained") & (frame["metric"] == "accuracy")]
        values = frame[frame["part"] == "test"]["value"]
        assert len(values) == row.seeds == 2
        assert row.test_accuracy_mean == pytest.approx(values.mean())
        assert row.test_accuracy_std == pytest.approx(values.std())
        assert row.test_images == 8


def test_selected_cells_have_the_best_mean(finished):
    table = pd.read_parquet(results(finished) / "selection.parquet")
    for _, cells in table.groupby("model"):
        best = cells["test_accuracy_mean"].max()
        assert cells[cells["selected"]]["test_accuracy_mean"].iloc[0] == best


def test_tables_2_and_3_hold_none_of_the_papers_figures_of_photographs(finished):
    for number, model in ((2, "alexnet"), (3, "vgg")):
        table = pd.read_parquet(results(finished) / "tables" / f"table{number}.parquet")
        assert set(table["model"]) == {model}
        assert len(table) == 15
        assert table["paper"].isna().all()


def test_table4_counts_what_the_prunings_removed(finished):
    table = pd.read_parquet(results(finished) / "tables" / "table4.parquet")
    assert table["model"].tolist() == ["alexnet"] * 3 + ["vgg"] * 3
    assert table["angle"].tolist() == [15, 10, 5] * 2
    for row in table.itertuples():
        pattern = f"pruned/{MAIN}/model~{row.model}/*/*/*/state~{row.state}/*/amount~{row.angle:g}"
        files = results(finished).glob(f"{pattern}/metrics.parquet")
        frame = pd.concat([pd.read_parquet(path) for path in files])
        removed = frame["units_before"] - frame["units_after"]
        by_rule = frame[[c for c in frame if c.startswith("removed_")]].sum(axis=1)
        assert removed.tolist() == by_rule.tolist()
        assert row.removed_mean == pytest.approx(removed.mean())
        assert (frame["parameters_after"] < frame["parameters_before"])[removed > 0].all()


def test_pruned_networks_are_written_smaller_and_predict_what_the_table_says(finished):
    from neuron_pruning import load_network

    cells = pd.read_parquet(results(finished) / "selection.parquet")
    cell = cells[cells["selected"] & (cells["model"] == "alexnet")].iloc[0]
    run = f"{MAIN}/model~alexnet/learning_rate~{cell['learning_rate']}/batch_size~16/seed~0"
    outputs = load_file(
        results(finished) / "evaluations" / run / "state~trained" / "activations.safetensors"
    )
    split = pd.read_parquet(results(finished) / "splits" / "split~random" / "seed~0.parquet")
    test = (split["part"] == "test").to_numpy()
    labels = split["label"].astype("category").cat.codes.to_numpy()
    for angle in (15, 10, 5):
        folder = results(finished) / "pruned" / run / "state~trained"
        folder = folder / "technique~distinctiveness" / f"amount~{angle}"
        row = pd.read_parquet(folder / "metrics.parquet").iloc[0]
        units = pd.read_parquet(folder / "units.parquet")
        assert units["angle"].eq(angle).all()
        network = load_network(folder / "network.safetensors")
        assert network.linear("fc2").out_features == row["units_after"]
        kept = np.setdiff1d(np.arange(20), units["unit"])
        out = network.linear("fc3")
        weight, bias = out.weight.detach().numpy(), out.bias.detach().numpy()
        logits = outputs["fc2"][:, kept] @ weight.T + bias
        accuracy = (logits.argmax(axis=1) == labels)[test].mean()
        assert row["test_accuracy_after"] == pytest.approx(accuracy)
        before = (outputs["fc3"].argmax(axis=1) == labels)[test].mean()
        assert row["test_accuracy_before"] == pytest.approx(before)


def test_every_parquet_row_carries_its_keys(finished):
    for path in results(finished).glob("[erp][uvr]*/*/*/*/model~vgg/**/*.parquet"):
        frame = pd.read_parquet(path)
        if len(frame):
            assert set(frame["model"]) == {"vgg"} and set(frame["experiment"]) == {"tiny"}
            assert set(frame["learning_rate"]) == {0.001} and set(frame["seed"]) <= {0, 1}


def test_history_and_provenance(finished):
    history = pd.read_parquet(results(finished) / "runs" / RUN / "history.parquet")
    assert history["epoch"].tolist() == [1, 2]
    assert (history[["train_loss", "test_loss"]] > 0).all(axis=None)
    speed = pd.read_parquet(results(finished) / "runs" / RUN / "speed.parquet")
    assert (speed[["seconds", "images_per_second", "micro_batch"]] > 0).all(axis=None)
    log = (results(finished) / "logs" / "train" / f"{RUN}.log").read_text()
    assert "epoch 1 of 2: train loss" in log and "epoch 2 of 2: train loss" in log
    assert not list((results(finished) / "runs").rglob(".*"))  # no state stays
    description = json.loads((results(finished) / "runs" / RUN / "network.json").read_text())
    assert description["provenance"]["learning_rate"] == 0.001
    assert description["architecture"]["widths"] == [32, 20, 7]


def test_every_job_is_mirrored_once(finished):
    from mlflow import MlflowClient

    uri = f"sqlite:///{finished.folder}/results/mlflow.db"
    client = MlflowClient(tracking_uri=uri)
    (experiment,) = [e for e in client.search_experiments() if e.name == "tiny"]
    runs = client.search_runs([experiment.experiment_id], max_results=500)
    rules = pd.Series([run.data.tags["rule"] for run in runs]).value_counts().to_dict()
    wanted = {"make_faces": 1, "index_images": 1, "prepare_frames": 1, "find_faces": 1}
    wanted |= {"crop_faces": 3, "describe_images": 1, "classify": 4, "audit_splits": 1}
    wanted |= {"audit_compared_splits": 1, "build_report": 1, "build_comparison_report": 1}
    wanted |= {"split_dataset": 4, "initialise": 12, "train": 14, "evaluate": 14}
    wanted |= {"select_hyperparameters": 1, "prune": 12}
    wanted |= {
        "table_grid": 1,
        "table_classes": 2,
        "table_pruning": 1,
        "table_models": 1,
        "table_svm": 1,
    }
    wanted |= {"sweep_technique": 16, "score_with_torch_pruning": 4, "compare_compensations": 4}
    wanted |= {"table_techniques": 1, "table_compensations": 1}
    assert {rule: rules.get(rule) for rule in wanted} == wanted
    trained = [run for run in runs if run.data.tags["rule"] == "train"]
    train = next(run for run in trained if run.data.tags["wildcard.model"] == "alexnet")
    assert {"seed", "git_commit", "device", "experiment"} <= set(train.data.tags)
    assert train.data.params["training.epochs"] == "2"
    assert len(client.get_metric_history(train.info.run_id, "test_loss")) == 2
    names = {a.path for a in client.list_artifacts(train.info.run_id)}
    assert "history.parquet" in names
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_nothing_asked_for_the_network(finished):
    attempts = finished.folder / "attempts"
    assert not attempts.exists(), attempts.read_text()


def test_a_request_for_the_network_would_be_noted(tmp_path):
    code = "from urllib.request import urlopen; urlopen('http://127.0.0.1:9')"
    environment = {"PYTHONPATH": str(OFFLINE), "NETWORK_ATTEMPTS": str(tmp_path / "attempts")}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True)
    assert ran.returncode != 0 and b"the network is blocked" in ran.stderr
    assert "127.0.0.1" in (tmp_path / "attempts").read_text()


def test_the_main_job_looks_at_no_face_and_trains_its_own_networks_alone(finished):
    written = (finished.folder / "written_all").read_text()
    assert "results/tiny/report.html" in written and "/leakage.parquet" in written
    for other in ("boxes.parquet", "baselines/", "crop~face", "split~movie", "table7", "table8"):
        assert other not in written, other
    assert "comparison.html" not in written and "compared_leakage" not in written
    assert "comparison.html" in (finished.folder / "written_comparison").read_text()


def test_each_report_shows_the_tables_of_its_target(finished):
    main, comparison = (
        (results(finished) / name).read_text() for name in ("report.html", "comparison.html")
    )
    assert 'id="table6"' in main and 'id="table7"' not in main
    assert "snakemake comparison" in main and 'id="faces"' not in main
    for name in ("table6", "table7", "table8", "faces"):
        assert f'id="{name}"' in comparison
    assert "<code>snakemake comparison" not in comparison


def test_sweeps_hold_every_technique_and_agree_with_the_written_networks(finished):
    found = list(results(finished).glob("sweeps/**/*.parquet"))
    assert len(found) == 16
    points = pd.concat([pd.read_parquet(path) for path in found])
    assert set(points["technique"]) == SWEPT
    assert points.groupby("technique")["draw"].max()["random"] == 2
    pruned = results(finished).glob("pruned/**/metrics.parquet")
    rows = pd.concat([pd.read_parquet(path) for path in pruned])
    own = (points["technique"] == "distinctiveness") & (points["compensation"] == "add")
    keys = ["model", "learning_rate", "seed", "state", "angle"]
    both = rows.merge(points[own], on=keys, suffixes=("", "_swept"))
    assert len(both) == 12
    assert (both["units_before"] - both["units_after"] == both["removed"]).all()
    np.testing.assert_allclose(both["test_loss_after"], both["test_loss"], atol=1e-5)
    np.testing.assert_allclose(both["agreement"], both["agreement_swept"])


def test_table5_ranks_and_compares_with_random_removal(finished):
    table = pd.read_parquet(results(finished) / "tables" / "table5.parquet")
    assert set(table["technique"]) == {*SWEPT, "majority class"}
    assert set(table["removed"]) == {2, 10, 18}
    random = table[table["technique"] == "random"]
    assert (random["difference_mean"] == 0).all() and (random["seeds"] == 2).all()
    ranks = table[table["rank"].notna()].drop_duplicates(["model", "state", "rank"])
    for _, rows in ranks.groupby(["model", "state"]):
        scores = rows.sort_values("rank")["score"]
        assert scores.is_monotonic_decreasing


def test_table6_has_every_compensation_without_and_with_training(finished):
    table = pd.read_parquet(results(finished) / "tables" / "table6.parquet")
    assert set(table["compensation"]) == {"none", "add"}
    assert set(table["fine_tuning"]) == {0, 2} and set(table["angle"]) == {45, 15}
    assert (table[table["compensation"] == "none"]["difference_mean"] == 0).all()


def test_table7_has_everyone_under_every_split(finished):
    table = pd.read_parquet(results(finished) / "tables" / "table7.parquet")
    networks = table[table["kind"] == "network"]
    found = {tuple(row) for row in networks[["split", "contender", "crop"]].to_numpy()}
    both = {(s, "alexnet", c) for s in ("random", "movie") for c in ("none", "face")}
    assert found == both | {("random", "vgg", "none"), ("movie", "vgg8", "face")}
    assert (networks["seeds"] == 2).all() and (networks["reference"] == "images").all()
    others = table[table["kind"].isin(["svm", "constant"])]
    assert set(others["contender"]) == {"images", "chance", "majority class"}
    assert not table["accuracy_mean"].isna().any()
    assert "published" not in set(table["kind"])  # those are of SFEW, these faces are drawn


def test_no_movie_and_no_picture_crosses_its_split(finished):
    rows = pd.read_parquet(results(finished) / "dataset" / "compared_leakage.parquet")
    own = pd.read_parquet(results(finished) / "dataset" / "leakage.parquet")
    assert own.equals(rows[rows["split"] == "random"].reset_index(drop=True))
    apart = rows[(rows["split"] == "movie") & (rows["check"] != "class")]
    assert len(apart) and (apart["leaking_sets"] == 0).all() and (apart["test_images"] == 0).all()
    mixed = rows[(rows["split"] == "random") & (rows["check"] == "movie")]
    assert (mixed["test_images"] > 0).all()


def test_faces_are_cut_at_the_size_of_the_network(finished):
    place = results(finished) / "dataset"
    small = np.load(place / "crop~face" / "size~48x48" / "images.npy", mmap_mode="r")
    assert small.shape[1:] == (48, 48, 3)
    whole = np.load(place / "crop~none" / "size~300x300" / "images.npy", mmap_mode="r")
    faces = np.load(place / "crop~face" / "size~300x300" / "images.npy", mmap_mode="r")
    assert whole.shape == faces.shape and (whole != faces).any(axis=(1, 2, 3)).all()
    boxes = pd.read_parquet(place / "boxes.parquet")
    assert len(boxes) == len(faces) and boxes["rule"].notna().all()
