# What all stages share: the config, names of files, and settings of jobs.
from neuron_pruning.configuration.derived import input_size_of, tried_on_test
from neuron_pruning.configuration.validation import check_config, check_folder
from neuron_pruning.core.checksums import check_files
from neuron_pruning.core.errors import UserError
from neuron_pruning.core.parquet import read_rows
from planning import paths as names
from planning.code_digest import code_digest, table_digest
from planning.job_settings import JobSettings
from planning.memory import Memory, growing
from planning.targets import Targets

try:
    check_config(config)
    if workflow.is_main_process:  # a job may run where the user's files are not
        check_folder(config)
except UserError as error:
    raise WorkflowError(str(error)) from None


def read_selection():
    """Rows of the selection; Snakemake makes it first, and fetches it from a bucket."""
    with checkpoints.select_hyperparameters.get().output.selection.open("rb") as file:
        try:
            check_files([Path(file.name)], Path(paths.root))
            return read_rows(Path(file.name))
        except UserError as error:
            raise WorkflowError(str(error)) from None


def user_file(path):
    """A file of the user's, or several, if the config names any: they lie on this machine."""
    return local(path) if path else []


def files_of_network(wildcards):
    """Inputs that decide what a network of the section networks is, and its images."""
    return {**targets.made_for_network(wildcards), "about": user_file(targets.weights(wildcards))}


ENVIRONMENT = "../envs/workflow.yaml"
paths = names.Paths(config["experiment"])
settings = JobSettings(config)
memory = Memory(settings)
targets = Targets(settings, paths, read_selection)
IMAGE_FOLDER = targets.image_folder
NETWORK_INPUTS = {
    "split": paths.split,
    "network": targets.network("network"),
    "about": targets.network("description"),
}
