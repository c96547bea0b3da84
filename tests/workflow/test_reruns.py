"""What a changed config, module or file reruns; nothing is run but what is up to date."""

import pytest

from tests.workflow.conftest import SWEPT

TABLES = {"table_grid", "table_classes", "table_pruning", "table_techniques", "table_compensations"}


@pytest.mark.parametrize("target", ["all", "comparison"])
def test_a_second_run_finds_nothing_to_do(finished, target):
    ran = finished.run(target)
    assert ran.returncode == 0
    assert "Nothing to be done" in ran.stdout + ran.stderr
    assert "after the selection" not in ran.stdout + ran.stderr


def test_a_run_says_what_follows_the_selection(finished, fresh):
    follows = "12 prunings, 4 scorings by torch-pruning, 16 sweeps, 4 comparisons of compensations"
    printed = (finished.folder / "printed_all").read_text()
    assert printed.count(f"after the selection: {follows}\n") == 1
    assert "after the selection" not in (finished.folder / "printed_comparison").read_text()
    assert f"after the selection: {follows}\n" in fresh.run("-n").stderr
    assert "after the selection" not in fresh.run("-n", "results/tiny/tables/table1.md").stderr
    assert "after the selection" not in fresh.run("-n", "--quiet", "all").stderr
    cuts = "after the selection: 12 cuts, each measured\n"
    assert cuts in fresh.run("-n", "sizes").stderr


def test_what_no_selection_decides_is_planned_before_it(fresh):
    found = fresh.dry_run(None, "comparison")
    assert found["train"] == 14 and found["classify"] == 4 and found["crop_faces"] == 3


# What hangs on the split that Table 7 alone uses.
MOVIE = {"split_dataset": 2, "initialise": 6, "train": 6, "evaluate": 6, "classify": 2}
MOVIE |= {"audit_compared_splits": 1, "table_models": 1, "table_svm": 1}


@pytest.mark.parametrize(
    ("overlay", "rerun"),
    [
        (
            {"pruning": {"angles": [15, 10, 7]}},
            {"prune": 4, "table_pruning": 1},
        ),
        (
            {"models": {"alexnet": {"learning_rates": [0.001, 0.004]}}},
            {"train": 2, "evaluate": 2, "select_hyperparameters": 1}
            | dict.fromkeys(["table_grid"], 1),
        ),
        (
            {"training": {"epochs": 3}},
            {"train": 12, "evaluate": 12, "select_hyperparameters": 1, "table_grid": 1},
        ),
        (
            {"seeds": [0, 1, 2]},
            {"split_dataset": 2, "initialise": 6, "train": 7, "evaluate": 7, "classify": 2}
            | {"select_hyperparameters": 1, "table_grid": 1, "audit_splits": 1, "table_svm": 1}
            | {"audit_compared_splits": 1},
        ),
        ({"tracking": {"uri": None}}, {}),
        (
            {"seeds": [0]},
            {"select_hyperparameters": 1, "table_grid": 1, "audit_splits": 1, "table_svm": 1}
            | {"audit_compared_splits": 1},
        ),
        (
            {"baseline": {"svm": {"folds": 3}}},
            {"classify": 4, "table_models": 1, "table_svm": 1},
        ),
        ({"comparison": {"baselines": []}}, {"table_models": 1}),
        ({"splits": {"movie": {"test_fraction": 0.5}}}, MOVIE),
        (
            {"pruning": {"techniques": {"distinctiveness": {"compensation": "none"}}}},
            {
                "prune": 12,
                "table_pruning": 1,
                "sweep_technique": 4,
                "table_techniques": 1,
            },
        ),
        (
            {"pruning": {"techniques_compared": [*sorted(SWEPT), "l2"]}},
            {"sweep_technique": 4, "table_techniques": 1},
        ),
        (
            {"pruning": {"compensations": ["none", "add", "lstsq"]}},
            {"compare_compensations": 4, "table_compensations": 1},
        ),
        (
            {"pruning": {"fine_tuning": {"epochs": 1}}},
            {"fine_tune": 12, "table_pruning": 1},
        ),
    ],
    ids=[
        *("angle", "learning rate", "epochs", "seeds", "tracking", "fewer seeds"),
        *("svm", "no svm", "another split", "compensation"),
        *("technique added", "compensation added", "fine-tuning"),
    ],
)
def test_a_changed_value_reruns_only_what_depends_on_it(finished, overlay, rerun):
    """Jobs after the selection appear once it has been made again: all but those count."""
    found = finished.dry_run(overlay, "all", "comparison")
    after_selection = {"table_classes", "prune"}
    after_selection |= {
        "table_pruning",
        "table_techniques",
        "table_compensations",
        "table_models",
        "sweep_technique",
        "score_with_torch_pruning",
    }
    after_selection |= {"compare_compensations"}
    if "select_hyperparameters" in rerun:
        found = {rule: n for rule, n in found.items() if rule not in after_selection}
    assert without_reports(found) == rerun


def without_reports(found):
    return {rule: n for rule, n in found.items() if not rule.startswith("build_")}


def test_what_the_comparison_alone_reads_reruns_nothing_of_the_main_job(finished):
    overlay = {"baseline": {"svm": {"folds": 3}}, "splits": {"movie": {"test_fraction": 0.5}}}
    assert without_reports(finished.dry_run(overlay)) == {}


def test_a_dropped_table_format_reruns_nothing_but_the_report(finished):
    assert set(finished.dry_run({"tables": {"formats": ["csv", "html"]}})) <= {"build_report"}


def test_an_added_table_format_makes_the_table_again(copied):
    """To Snakemake a format that was added is a file that is not there yet."""
    folder = copied.folder
    (folder / "results" / "tiny" / "tables" / "table1.html").unlink()
    assert copied.dry_run() == {"table_grid": 1, "build_report": 1}


def test_a_changed_module_reruns_its_dependents(copied):
    folder = copied.folder
    module = folder / "scripts" / "neuron_pruning" / "pruning" / "surgery.py"
    module.write_text(module.read_text() + "\nCHANGED = True\n")
    found = copied.dry_run()
    found.pop("build_report", None)
    tables = dict.fromkeys(["table_pruning", "table_techniques", "table_compensations"], 1)
    sweeps = {"sweep_technique": 16, "compare_compensations": 4}
    assert found == {"prune": 12, **sweeps, **tables}
    module = folder / "scripts" / "neuron_pruning" / "tables" / "rendering.py"
    module.write_text(module.read_text() + "\nCHANGED = True\n")
    assert set(copied.dry_run()) >= TABLES


def test_a_changed_table_reruns_that_table_alone(copied):
    folder = copied.folder
    module = folder / "scripts" / "neuron_pruning" / "tables" / "models.py"
    module.write_text(module.read_text() + "\nCHANGED = True\n")
    assert copied.dry_run(None, "comparison") == {"table_models": 1, "build_comparison_report": 1}
    assert copied.dry_run() == {"build_report": 1}  # a page reads the captions of all tables


def test_a_changed_technique_reruns_its_own_sweeps(copied):
    folder = copied.folder
    techniques = folder / "scripts" / "neuron_pruning" / "pruning" / "techniques"
    module = techniques / "random_removal.py"
    module.write_text(module.read_text() + "\nCHANGED = True\n")
    found = copied.dry_run()
    found.pop("build_report", None)
    assert found == {
        "sweep_technique": 4,
        "table_techniques": 1,
        "compare_compensations": 4,
        "table_compensations": 1,
    }
