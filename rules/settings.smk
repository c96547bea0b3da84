# The config keys that jobs get, as one dictionary: Snakemake compares params by value.
import hashlib

from neuron_pruning.architectures import layer_sizes, memory_mb, with_classes


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
        training=run_training(),
    )


def belongs_to(wildcards):
    """What a checkpoint must say of itself: trained, or as it was before its first step."""
    trained = wildcards.state == "trained"
    return keys_of(wildcards) if trained else keys_of_initial(wildcards)


def evaluate_settings(wildcards):
    """Settings of one evaluation."""
    return dict(
        **network_settings(wildcards), batch_size=config["evaluation"]["batch_size"]
    )


def prune_settings(wildcards):
    """Settings of one pruning."""
    return dict(
        **network_settings(wildcards),
        layers=pruned_layers(config["models"][wildcards.model]),
        label=wildcards.technique,
        technique=TECHNIQUES[wildcards.technique],
        amount=float(wildcards.amount),
    )


def network_settings(wildcards):
    """Which network a job looks at."""
    return dict(
        keys=keys_of(wildcards),
        belongs=belongs_to(wildcards),
        architecture=architecture_of(wildcards),
        state=wildcards.state,
    )


def run_training():
    """What trained the runs."""
    return dict(**config["training"], optimiser=RECIPE["optimiser"])


def fine_tune_settings(wildcards):
    """Settings of the further training of one pruned network."""
    return dict(
        keys=keys_of(wildcards),
        layers=pruned_layers(config["models"][wildcards.model]),
        fine_tuning=dict(epochs=FINE_TUNING["epochs"], trains=FINE_TUNING["trains"]),
        training=run_training(),
        batch_size=config["evaluation"]["batch_size"],
    )


def peer_settings(wildcards):
    """Settings of the importances of torch-pruning."""
    return dict(
        **network_settings(wildcards),
        layers=pruned_layers(config["models"][wildcards.model]),
    )


def cut_settings(wildcards):
    """Settings of one cut."""
    cut, model = PRUNE["cuts"][wildcards.cut], config["models"][wildcards.model]
    return dict(
        **network_settings(wildcards),
        layers=cut_layers(model, cut, CONVOLUTIONS[wildcards.model]),
        label=cut["technique"],
        technique=TECHNIQUES[cut["technique"]],
        amount=cut["amount"],
        batch_size=config["evaluation"]["batch_size"],
    )


def measure_settings(wildcards):
    """Settings of the timing of one cut."""
    return dict(keys=keys_of(wildcards), cut=wildcards.cut, **PRUNE["latency"])


def sweep_settings(wildcards):
    """Settings of one technique on one layer."""
    return dict(
        **network_settings(wildcards),
        layer=wildcards.layer,
        label=wildcards.technique,
        technique=TECHNIQUES[wildcards.technique],
        sweep_settings=amounts_to_sweep(TECHNIQUES[wildcards.technique]),
    )


def amounts_to_sweep(technique):
    """What of the config's sweep a technique heeds: a change of the rest is none for it."""
    sweep = dict(**PRUNE["sweep"], counts=PRUNE["counts"])
    if technique["amount"] != "angle":
        sweep["step"] = None
    if "draw" not in technique["settings"]:
        sweep["draws"] = 1
    return sweep


def compensation_settings(wildcards):
    """Settings of one compensation on one layer."""
    return dict(
        **network_settings(wildcards),
        layer=wildcards.layer,
        technique={
            key: TECHNIQUES["distinctiveness"][key] for key in ("name", "settings")
        },
        compensation=wildcards.compensation,
        angles=PRUNE["compared_angles"],
        epochs=sorted({0, FINE_TUNING["compared_epochs"]}),
        draws=PRUNE["sweep"]["draws"],
        training=run_training(),
    )


def memory_of(copies, images=None):
    """Memory of a job in MB, from what it holds; see docs/PERFORMANCE.md."""

    def memory(wildcards):
        # Seven classes stand for any number: the output layer is small.
        architecture = with_classes(architecture_of(wildcards), 7)
        return memory_mb(architecture, images or step_images(wildcards), copies)

    return memory


def memory_of_layer(wildcards):
    """Memory of a job that looks at one layer and what lies behind it: float64, a few copies."""
    architecture = with_classes(architecture_of(wildcards), 7)
    names = architecture.layer_names
    behind = names[names.index(wildcards.layer) :]
    sizes = {layer.name: layer for layer in layer_sizes(architecture)}
    weights = sum(sizes[name].inputs * sizes[name].outputs for name in behind)
    squares = sizes[wildcards.layer].outputs ** 2
    return round(1500 + 8 * (3 * weights + 6 * squares) / 1e6)


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
