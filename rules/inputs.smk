# The files that jobs read: their code, and what depends on the grid or the selection.
import ast
from functools import cache


def code_of(script):
    """Python files that a script imports, directly or not: inputs of its rule.

    Snakemake itself tracks the script alone, so a changed module would not rerun its jobs.
    """
    return closure(SCRIPTS / f"{script}.py")


def code_of_technique(script, label=None):
    """Input function: the same, and the files of the one technique that a job runs."""

    def files(wildcards):
        names = dict(wildcards.items())
        run = (
            label or names.get("technique") or PRUNE["cuts"][names["cut"]]["technique"]
        )
        technique = find_technique(TECHNIQUES[run]["name"])
        own = SCRIPTS.joinpath(*technique.module.split(".")).with_suffix(".py")
        return sorted({*code_of(script), relative(own), *closure(own)})

    return files


def code_of_table(module):
    """Files that make one table: the script, the module of the table, and what both import."""
    own = f"neuron_pruning/tables/{module}"
    files = {*code_of("make_table"), *code_of(own), shipped(f"scripts/{own}.py")}
    return sorted(files)


@cache
def closure(start):
    """Files that one file imports, directly or not."""
    found, waiting = {start}, [start]
    while waiting:
        fresh = imported_files(waiting.pop()) - found
        found |= fresh
        waiting += fresh
    return sorted(relative(path) for path in found - {start})


def relative(path):
    """A file of the workflow as an input names it."""
    return shipped(str(path.relative_to(workflow.basedir)))


@cache
def imported_files(path):
    """Files of neuron_pruning and of other scripts that one file names in its imports.

    The registry of techniques imports all of them; a job depends on its own.
    """
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    named = {node.module for node in tree if isinstance(node, ast.ImportFrom)}
    files = set()
    for name in named - {"adapter", "neuron_pruning.pruning.techniques", None}:
        place = SCRIPTS.joinpath(*name.split("."))
        files.add(place.with_suffix(".py"))
        files.update(place.glob("*.py") if "." in name else [])
    return {file for file in files if file.is_file()}


def array_of(wildcards):
    """Images as the network of a run sees them."""
    return view_of(wildcards.crop, input_size_of(config, wildcards.model))


def file_of_split(wildcards):
    """CSV that a split reads, if it does."""
    return given(config["splits"][wildcards.split]["file"])


def all_splits():
    """Split files of the experiment and of Table 7."""
    names = dict.fromkeys([MAIN["split"], *config["comparison"]["splits"]])
    return expand(SPLIT, split=names, seed=SEEDS)


def view_of(crop, size):
    """Array of whole frames or faces at one size."""
    height, width = size
    return f"{VIEW}/images.npy".format(crop=crop, size=f"{height}x{width}")


def network_of(wildcards):
    """Checkpoint of a run: trained, or as it was before its first step."""
    if wildcards.state == "untrained":
        return INITIAL
    return f"{ROOT}/runs/{RUN}/network.safetensors"


def about_network(wildcards):
    """Description of that checkpoint: architecture and provenance."""
    return network_of(wildcards).replace(".safetensors", ".json")


def run_paths(pattern, **selected):
    """``pattern`` for every run of the grid whose parameters equal ``selected``."""
    rows = RUNS.dataframe
    for name, value in selected.items():
        rows = rows[rows[name] == value]
    return expand(pattern, zip, **rows.to_dict("list")) if len(rows) else []


def compared_runs(pattern):
    """``pattern`` for every network of Table 7, all splits and seeds; each once."""
    rows = pd.DataFrame(
        [
            {"split": split, "crop": crop, "recipe": recipe, "seed": seed}
            | {key: network[key] for key in ("model", "learning_rate", "batch_size")}
            for network in COMPARISON["networks"]
            for recipe in network["recipes"]
            for crop in network["crops"]
            for split in COMPARISON["splits"]
            if split in (network.get("splits") or COMPARISON["splits"])
            for seed in SEEDS
        ],
        columns=RUN_KEYS,
    ).astype(object)
    return expand(pattern, zip, **rows.to_dict("list")) if len(rows) else []


def compared_predictions(wildcards):
    """Answers of the networks of Table 7: its own and, under their split, the selected ones."""
    pattern = f"{ROOT}/evaluations/{RUN}/state~trained/predictions.parquet"
    own = selected_paths(pattern) if MAIN["split"] in COMPARISON["splits"] else []
    return list(dict.fromkeys([*own, *compared_runs(pattern)]))


def machine_files(name):
    """A file of every support vector machine of Tables 7 and 8."""
    return expand(
        f"{MACHINE}/{name}",
        baseline=COMPARISON["baselines"],
        split=COMPARISON["splits"],
        seed=SEEDS,
    )


def checked(path, read):
    """What ``read`` makes of a file, if it is what its job wrote."""
    from neuron_pruning.core.checksums import check_files

    try:
        check_files([path], Path(ROOT))
        return read(path)
    except UserError as error:
        raise WorkflowError(str(error)) from None


def selected_cells(model=None):
    """Keys of the selected runs but for the seed, a dictionary a model."""
    from neuron_pruning.core.parquet import read_rows

    # Opened by Snakemake, which fetches it first where results are in a bucket.
    with checkpoints.select_hyperparameters.get().output.selection.open("rb") as file:
        rows = checked(Path(file.name), read_rows)
    return [
        {name: row[name] for name in RUN_KEYS if name != "seed"}
        for row in rows
        if row["selected"] and model in (None, row["model"])
    ]


def selected_paths(pattern, model=None):
    """``pattern`` for the runs with the selected hyper-parameters, all seeds."""
    return [
        path for cell in selected_cells(model) for path in run_paths(pattern, **cell)
    ]


def selected_evaluations(name):
    """Input function: a file of the evaluations of the selected networks, every state."""

    def paths(wildcards):
        patterns = expand(f"{EVALUATION}/{name}", state=STATES, allow_missing=True)
        return [path for pattern in patterns for path in selected_paths(pattern)]

    return paths


def selected_confusions(wildcards):
    """Confusion matrices of the selected networks."""
    return selected_paths(f"{ROOT}/evaluations/{RUN}/state~trained/confusion.parquet")


def class_metrics(wildcards):
    """Evaluations of the selected networks of the model that a table shows."""
    model = CLASS_TABLES[wildcards.table]
    return selected_paths(
        f"{ROOT}/evaluations/{RUN}/state~trained/metrics.parquet", model
    )


def pruned_metrics(wildcards):
    """Metrics of the written networks, after their further training if there is any."""
    folder = TUNED if FINE_TUNING["epochs"] else PRUNED
    patterns = [
        pattern
        for label in PRUNE["written"]
        for pattern in expand(
            f"{folder}/metrics.parquet",
            state=[state for state in STATES if comparable(label, state)],
            technique=label,
            amount=amounts_of(label),
            allow_missing=True,
        )
    ]
    return [path for pattern in patterns for path in selected_paths(pattern)]


def amounts_of(label):
    """Angles or numbers of units at which networks are written."""
    technique = find_technique(TECHNIQUES[label]["name"])
    return PRUNE["angles"] if technique.amount == "angle" else PRUNE["counts"]


def measured_scores(wildcards):
    """Files of the scores that a technique looks up, if it does."""
    name = TECHNIQUES[wildcards.technique]["name"]
    if name == "karnin":
        return [f"{ROOT}/runs/{RUN}/sensitivity.safetensors"]
    if name.startswith("torch_pruning_"):
        return [f"{EVALUATION}/torch_pruning.safetensors"]
    return []


def scores_of_cut(wildcards):
    """Scores that the trainer left, for techniques that look them up."""
    name = TECHNIQUES[PRUNE["cuts"][wildcards.cut]["technique"]]["name"]
    if name == "karnin":
        return [f"{ROOT}/runs/{RUN}/sensitivity.safetensors"]
    return []


def measured_cuts(wildcards):
    """Sizes and latencies of all cuts of the selected networks."""
    pattern = f"{ROOT}/cuts/{RUN}/state~trained/cut~{{cut}}/measured.parquet"
    return [
        path
        for one in expand(pattern, cut=PRUNE["cuts"], allow_missing=True)
        for path in selected_paths(one)
    ]


def comparable(label, state):
    """Whether a technique has what it needs: an untrained network has no sensitivity."""
    return state == "trained" or TECHNIQUES[label]["name"] != "karnin"


def on_selected_layers(folder, name, **names):
    """``name`` below ``folder`` for every selected network, state and pruned layer."""
    return [
        path
        for model in MODELS
        for pattern in expand(
            f"{ROOT}/{folder}/{ON_LAYER}/{name}",
            layer=pruned_layers(config["models"][model]),
            allow_missing=True,
            **names,
        )
        for path in selected_paths(pattern, model)
    ]


def sweep_points(wildcards):
    """Sweeps of all techniques that Table 5 compares."""
    return [
        path
        for state in STATES
        for path in on_selected_layers(
            "sweeps",
            "technique~{technique}.parquet",
            state=state,
            technique=[label for label in COMPARED if comparable(label, state)],
        )
    ]


def compensation_points(wildcards):
    """Compensations of Table 6."""
    return on_selected_layers(
        "compensations",
        "compensation~{compensation}.parquet",
        state=STATES,
        compensation=PRUNE["compensations"],
    )


def images_to_tune(wildcards):
    """The images, where whole networks train further."""
    return [array_of(wildcards)] if FINE_TUNING["trains"] == "network" else []
