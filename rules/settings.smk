# The config keys that jobs get, as one dictionary: Snakemake compares params by value.
import hashlib

from neuron_pruning.architectures import memory_mb, with_classes


def keys_of(wildcards):
    """Keys of a training run, typed, as every Parquet row carries them."""
    return {
        "experiment": EXPERIMENT,
        "recipe": config["recipe"],
        "model": wildcards.model,
        "learning_rate": float(wildcards.learning_rate),
        "batch_size": int(wildcards.batch_size),
        "seed": int(wildcards.seed),
    }


def keys_of_initial(wildcards):
    """Provenance of an initial network: all but the hyper-parameters of the optimiser."""
    return {
        "experiment": EXPERIMENT,
        "recipe": config["recipe"],
        "model": wildcards.model,
        "seed": int(wildcards.seed),
    }


def architecture_of(wildcards):
    """Arguments of build_network; the output layer follows from the classes of the data."""
    model = config["models"][wildcards.model]
    return {
        "name": wildcards.model,
        "input_size": config["dataset"]["input_size"],
        "channels": model["channels"],
        "widths": model["widths"],
        "normalisation": RECIPE["normalisation"],
    }


def dataset_settings():
    """Settings of the data stage; the folder is an input where the workflow draws it itself."""
    settings = dict(config["dataset"])
    folder = settings.pop("path")
    if folder is not None:
        settings.update(folder=folder, fingerprint=dataset_fingerprint(folder))
    return settings


def dataset_fingerprint(folder):
    """Names, sizes and times of the images of ``dataset.path``: a change reruns the data stage."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*/*")):
        status = path.lstat()
        digest.update(f"{path}/{status.st_size}/{status.st_mtime_ns}".encode())
    return digest.hexdigest()


def initial_settings(wildcards):
    """Settings of an initial network, which all runs of a model and seed share."""
    keys = keys_of_initial(wildcards)
    return dict(
        architecture=architecture_of(wildcards),
        initialisation=RECIPE["initialisation"],
        keys=keys,
    )


def train_settings(wildcards):
    """Settings of one run."""
    return dict(
        keys=keys_of(wildcards),
        belongs=keys_of_initial(wildcards),
        architecture=architecture_of(wildcards),
        training=dict(**config["training"], optimiser=RECIPE["optimiser"]),
    )


def belongs_to(wildcards):
    """What a checkpoint must say of itself: trained, or as it was before its first step."""
    trained = wildcards.state == "trained"
    return keys_of(wildcards) if trained else keys_of_initial(wildcards)


def evaluate_settings(wildcards):
    """Settings of one evaluation."""
    return dict(
        keys=keys_of(wildcards),
        belongs=belongs_to(wildcards),
        architecture=architecture_of(wildcards),
        state=wildcards.state,
        batch_size=config["evaluation"]["batch_size"],
    )


def prune_settings(wildcards):
    """Settings of one pruning."""
    return dict(
        keys=keys_of(wildcards),
        belongs=belongs_to(wildcards),
        architecture=architecture_of(wildcards),
        state=wildcards.state,
        layer=config["models"][wildcards.model]["pruned_layer"],
        angle=float(wildcards.angle),
        distinctiveness=config["pruning"]["distinctiveness"],
        compensation=config["pruning"]["compensation"],
    )


def memory_of(copies, images=None):
    """Memory of a job in MB, from what it holds; see docs/PERFORMANCE.md."""

    def memory(wildcards):
        # Seven classes stand for any number: the output layer is small.
        architecture = with_classes(architecture_of(wildcards), 7)
        return memory_mb(architecture, images or step_images(wildcards), copies)

    return memory


def step_images(wildcards):
    """Images that a training step works on at once."""
    batch_size = int(wildcards.batch_size)
    return min(batch_size, config["training"]["micro_batch"] or batch_size)


def class_settings(wildcards):
    """Caption and number of a table of classes."""
    return dict(
        caption="Test precision and recall of each class.",
        number=int(wildcards.class_table.removeprefix("table")),
    )


def rendered(table):
    """The table in every format of the config."""
    return [f"{ROOT}/tables/{table}.{suffix}" for suffix in config["tables"]["formats"]]
