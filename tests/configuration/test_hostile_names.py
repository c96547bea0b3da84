"""No name of a config leaves the project's folder, enters a regular expression or is too long."""

import copy
import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from neuron_pruning import UserError
from neuron_pruning.configuration.fields import NAME_LENGTH
from neuron_pruning.configuration.validation import check_config
from neuron_pruning.core.checksums import FOLDER
from neuron_pruning.core.files import PARTIAL
from planning import paths as patterns
from planning.job_settings import JobSettings
from planning.paths import Paths
from planning.targets import Targets

LONGEST_FILE_NAME = 255  # bytes, of Linux's file systems
LARGEST_PROCESS = 4194304  # of Linux
NETWORK = {"learning_rate": 0.0005, "batch_size": 64, "crops": ["none"]}
CUT = {"technique": "l2", "amount": 1, "layers": "hidden"}
IMPORTED = {"source": "mynet:build", "calibration": "seen", "evaluation": "unseen"}
MODEL = {"architecture": "vgg8", "input_size": [48, 48], "widths": [8], "pruned_layer": "fc1"}
# A config that uses a name in each place where one may stand, and the wildcard that it fills.
PLACES = {
    "experiment": lambda name: {"experiment": name},
    "split": lambda name: {"splits": {name: {"protocol": "clip"}}, "split": name},
    "recipe": lambda name: {"recipes": {name: {}}, "recipe": name},
    "model": lambda name: {"models": {name: MODEL}, "run_models": [name]},
    "technique": lambda name: {
        "pruning": {"techniques": {name: {"technique": "l2"}}, "saved_techniques": [name]}
    },
    "cut": lambda name: {"pruning": {"cuts": {name: CUT}}},
    "network": lambda name: {"networks": {name: IMPORTED}},
}
# Names that stand for sections elsewhere: refused there too, even were there such a section.
REFERENCES = {
    "selection.fixed": lambda name: {"selection": {"fixed": {name: {**NETWORK, "crops": []}}}},
    "comparison.splits": lambda name: {"comparison": {"splits": [name]}},
    "comparison.networks": lambda name: {
        "comparison": {
            "networks": [{"model": name, "recipes": [name], "splits": [name], **NETWORK}]
        }
    },
    "pruning.techniques_compared": lambda name: {"pruning": {"techniques_compared": [name]}},
    "network_pruning.techniques": lambda name: {"network_pruning": {"techniques": [name]}},
    "pruning.cuts": lambda name: {"pruning": {"cuts": {"mine": {**CUT, "technique": name}}}},
}
HOSTILE = st.one_of(
    st.text(max_size=130),
    st.text(alphabet="./-_a1\n\r\t |.*[]{}()$^\\", min_size=1, max_size=12),
    st.sampled_from(["..", "x/../../../evil", "tiny\n", "-rf", ".hidden", "a|.*", "a\0", "ä", ""]),
)
VALID = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", fullmatch=True)


def targets_of(config):
    return Targets(JobSettings(config), Paths(config["experiment"]), list)


def all_patterns(paths):
    """Every file of an experiment, its logs and benchmarks included."""
    for value in vars(paths).values():
        yield from value.values() if isinstance(value, dict) else [value]
    for name, wildcards in vars(patterns).items():
        if name.isupper() and isinstance(wildcards, str):
            yield from (paths.log("rule", wildcards), paths.benchmark("rule", wildcards))


@given(name=HOSTILE, place=st.sampled_from(sorted(PLACES)))
def test_a_name_is_refused_or_stays_a_part_of_a_path_and_means_itself(name, place):
    config = PLACES[place](name)
    try:
        check_config(config)
    except UserError as error:
        assert place in str(error)
        return
    assert re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) and len(name) <= NAME_LENGTH
    targets = targets_of(config)
    if place == "experiment":
        assert targets.paths.root == f"results/{name}"
    else:
        constraint = targets.wildcard_constraints[place]
        assert re.fullmatch(constraint, name)
        assert not re.fullmatch(constraint, name.replace(".", "x")) or "." not in name


@given(name=HOSTILE, place=st.sampled_from(sorted(REFERENCES)))
def test_a_reference_is_refused_as_the_name_itself(name, place):
    assume(not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name) or len(name) > NAME_LENGTH)
    with pytest.raises(UserError, match=r"must (match pattern|have at most)"):
        check_config(REFERENCES[place](name))


@given(name=VALID, place=st.sampled_from(sorted(PLACES)))
def test_every_file_of_a_valid_name_can_be_written(name, place):
    """Its checksum's temporary name is the longest that the program gives to anything."""
    assume(not re.search(r"(.+)\1{19}$", name))
    config = PLACES[place](name)
    check_config(config)
    paths = Paths(config["experiment"])
    given_names = dict.fromkeys(["split", "recipe", "model", "technique", "cut", "network"], name)
    others = dict(
        crop="face", learning_rate="0.0000123456789", batch_size=10**9, seed=10**9,
        size="9999x9999", state="untrained", amount="0.0000123456789", layer="fc100",
        compensation="add_incoming", baseline="feature_table", draw=10**9,
        dataset="torchvision/FashionMNIST", part="train", peer="torch_pruning_magnitude_global",
    )  # fmt: skip
    for pattern in all_patterns(paths):
        written = pattern.format_map({**others, **given_names})
        *folders, last = written.split("/")
        assert folders[0] == "results"
        assert not {"", ".", ".."} & {*folders, last}
        longest = f".{LARGEST_PROCESS}{PARTIAL}{last}.xxh3"
        assert all(len(part.encode()) < LONGEST_FILE_NAME for part in [*folders, longest, FOLDER])


def test_a_name_is_as_long_as_the_limit_and_no_longer():
    check_config({"experiment": ("ab1" * 99)[: NAME_LENGTH - 1] + "x"})
    with pytest.raises(UserError, match=f"experiment: must have at most {NAME_LENGTH} char"):
        check_config({"experiment": ("ab1" * 99)[:NAME_LENGTH] + "x"})


@pytest.mark.parametrize("name", ["a" * 20, "x" + "ab" * 20])
def test_a_name_that_snakemake_would_take_for_a_loop_is_refused(name):
    from snakemake.io import PeriodicityDetector

    assert PeriodicityDetector().is_periodic(name)
    for config in (place(name) for place in PLACES.values()):
        with pytest.raises(UserError, match="must not repeat its end 20 times"):
            check_config(config)
    assert not PeriodicityDetector().is_periodic(name[:-2])
    check_config({"experiment": name[:-2]})


def test_names_with_a_dot_are_no_regular_expressions():
    config = copy.deepcopy(PLACES["model"]("net.1"))
    check_config(config)
    constraint = targets_of(config).wildcard_constraints["model"]
    assert re.fullmatch(constraint, "net.1") and not re.fullmatch(constraint, "netx1")
