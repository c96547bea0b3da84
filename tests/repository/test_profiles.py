"""The profiles of clusters name rules that exist, and leave none out by oversight."""

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
CLUSTERS = ["slurm", "kubernetes"]
# Nothing to share a submission with, planned twice, or no part of an experiment.
ALONE = {"all", "sizes", "comparison", "select_hyperparameters", "audit_paper", "sync_tracking"}
ALONE |= {"table_grid", "table_classes", "table_pruning", "table_techniques"}
ALONE |= {"table_compensations", "table_models", "table_svm", "build_report"}
ALONE |= {"table_sizes", "build_comparison_report", "table_unit_layers", "table_networks"}
ALONE |= {"make_dataset"}  # on the machine where the command was typed
ALONE |= {"networks", "inspect_network", "plan_network", "prune_network", "build_networks_report"}
ALONE |= {"prune_by_peer", "table_peers", "time_network", "table_running_times"}


def profile(name):
    return yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())


def rules():
    texts = [path.read_text() for path in [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]]
    pattern = r"^(?:rule|checkpoint|use rule \w+ as) (\w+)"
    return {name for text in texts for name in re.findall(pattern, text, re.MULTILINE)}


@pytest.mark.parametrize("name", CLUSTERS)
def test_every_rule_has_a_group_or_stays_alone(name):
    groups = profile(name)["groups"]
    assert set(groups) | ALONE == rules()
    assert not set(groups) & ALONE


@pytest.mark.parametrize("name", CLUSTERS)
def test_settings_are_of_rules_and_groups_that_exist(name):
    settings = profile(name)
    assert set(settings["set-resources"]) | set(settings["set-threads"]) <= rules()
    assert set(settings["group-components"]) <= set(settings["groups"].values())


def test_clusters_group_alike():
    first, second = (profile(name) for name in CLUSTERS)
    assert first["groups"] == second["groups"]
    assert first["group-components"] == second["group-components"]


@pytest.mark.parametrize("name", CLUSTERS)
def test_what_the_default_profile_limits_counts_within_a_submission_only(name):
    limited = profile("default")["resources"]
    assert profile(name)["set-resource-scopes"] == dict.fromkeys(limited, "local")
