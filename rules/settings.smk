# The config keys that jobs get, as one dictionary: Snakemake compares params by value.
import hashlib
import os

from neuron_pruning.models.architectures import layer_sizes, memory_mb, with_classes


def keys_of(wildcards):
    """Keys of a training run, typed, as every Parquet row carries them."""
    return {
        "experiment": EXPERIMENT,
        **{key: wildcards[key] for key in MAIN},
        "model": wildcards.model,
        "learning_rate": float(wildcards.learning_rate),
        "batch_size": int(wildcards.batch_size),
        "seed": int(wildcards.seed),
    }


def keys_of_initial(wildcards):
    """Provenance of an initial network: all but the hyper-parameters of the optimiser."""
    return {
        "experiment": EXPERIMENT,
        **{key: wildcards[key] for key in MAIN},
        "model": wildcards.model,
        "seed": int(wildcards.seed),
    }


def recipe_of(wildcards):
    """Section of the recipe of a run."""
    return config["recipes"][wildcards.recipe]


def architecture_of(wildcards):
    """Arguments of build_network; the output layer follows from the classes of the data."""
    model = config["models"][wildcards.model]
    return {
        "name": model["architecture"] or wildcards.model,
        "input_size": input_size_of(config, wildcards.model),
        "channels": model["channels"],
        "widths": model["widths"],
        "normalisation": recipe_of(wildcards)["normalisation"],
    }


def index_settings():
    """Settings of the index; the folder is an input where the workflow draws it itself."""
    settings = dict(**folder_settings(), on_bad_image=config["dataset"]["on_bad_image"])
    if "folder" in settings:
        settings["fingerprint"] = dataset_fingerprint(settings["folder"])
    return settings


def split_settings(wildcards):
    """Settings of one split."""
    section = config["splits"][wildcards.split]
    near = config["dataset"]["near_identical"]
    return dict(
        **section,
        label=wildcards.split,
        seed=int(wildcards.seed),
        near_identical=near,
    )


def view_settings(wildcards):
    """Height and width of an array, and how whole frames or faces get there."""
    how = "resize" if wildcards.crop == "none" else "margin"
    return dict(
        **folder_settings(),
        size=[int(side) for side in wildcards.size.split("x")],
        **{how: config["dataset"][how]},
    )


def folder_settings():
    """Where the images are, unless the workflow draws them: then the folder is an input."""
    folder = config["dataset"]["path"]
    return {} if folder is None else dict(folder=folder)


def dataset_fingerprint(folder):
    """Names, sizes and times of the images of ``dataset.path``: a change reruns the data stage."""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*/*")):
        digest.update(os.fsencode(path))
        try:
            status = path.stat()  # of what a link leads to
        except OSError:  # nowhere, or it is gone meanwhile
            continue
        digest.update(f" {status.st_size} {status.st_mtime_ns} ".encode())
    return digest.hexdigest()


def initial_settings(wildcards):
    """Settings of an initial network, which all runs of a model and seed share."""
    keys = keys_of_initial(wildcards)
    return dict(
        architecture=architecture_of(wildcards),
        initialisation=recipe_of(wildcards)["initialisation"],
        keys=keys,
    )


def train_settings(wildcards):
    """Settings of one run."""
    return dict(
        keys=keys_of(wildcards),
        belongs=keys_of_initial(wildcards),
        architecture=architecture_of(wildcards),
        training=run_training(wildcards),
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


def run_training(wildcards):
    """What trained a run: the experiment's settings and its recipe's."""
    recipe = recipe_of(wildcards)
    training = dict(**config["training"], optimiser=recipe["optimiser"])
    training.update(
        augmentation=recipe["augmentation"], label_smoothing=recipe["label_smoothing"]
    )
    if recipe["epochs"] is not None:
        training["epochs"] = recipe["epochs"]
    return training


def fine_tune_settings(wildcards):
    """Settings of the further training of one pruned network."""
    return dict(
        keys=keys_of(wildcards),
        layers=pruned_layers(config["models"][wildcards.model]),
        fine_tuning=dict(epochs=FINE_TUNING["epochs"], trains=FINE_TUNING["trains"]),
        training=run_training(wildcards),
        batch_size=config["evaluation"]["batch_size"],
    )


def machine_settings(wildcards):
    """Settings of one support vector machine."""
    return dict(
        keys={
            "experiment": EXPERIMENT,
            "baseline": wildcards.baseline,
            "split": wildcards.split,
            "crop": "face",
            "seed": int(wildcards.seed),
        },
        machine=config["baseline"]["machine"],
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
        layers=cut_layers(model, cut, convolutions_of(model, wildcards.model)),
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
        training=run_training(wildcards),
    )


def memory(megabytes):
    """Memory of a job in MB; a job that a cluster killed for it gets twice, then thrice as much."""

    def growing(wildcards, attempt):
        first = megabytes(wildcards) if callable(megabytes) else megabytes
        return attempt * first

    return growing


def memory_of(copies, images=None):
    """Memory of a job, from what it holds; see docs/PERFORMANCE.md.

    ``images`` at once: a number, a function of the wildcards, or else those of a step.
    """

    def megabytes(wildcards):
        # Seven classes stand for any number: the output layer is small.
        architecture = with_classes(architecture_of(wildcards), 7)
        at_once = images(wildcards) if callable(images) else images
        return memory_mb(architecture, at_once or step_images(wildcards), copies)

    return memory(megabytes)


def layer_megabytes(wildcards):
    """Memory of a job that looks at one layer and what lies behind it: float64, a few copies."""
    architecture = with_classes(architecture_of(wildcards), 7)
    names = architecture.layer_names
    behind = names[names.index(wildcards.layer) :]
    sizes = {layer.name: layer for layer in layer_sizes(architecture)}
    weights = sum(sizes[name].inputs * sizes[name].outputs for name in behind)
    squares = sizes[wildcards.layer].outputs ** 2
    return round(1500 + 8 * (3 * weights + 6 * squares) / 1e6)


def calibration_images(wildcards):
    """Images that the initialisation looks at."""
    return recipe_of(wildcards)["initialisation"]["calibration_images"]


def step_images(wildcards):
    """Images that a training step works on at once."""
    batch_size = int(wildcards.batch_size)
    return min(batch_size, config["training"]["micro_batch"] or batch_size)


def rendered(table):
    """The table in every format of the config."""
    return [f"{ROOT}/tables/{table}.{suffix}" for suffix in config["tables"]["formats"]]
