# The files that jobs read: their code, and what depends on the grid or the selection.
import ast
from functools import cache


def code_of(script):
    """Python files that a script imports, directly or not: inputs of its rule.

    Snakemake itself tracks the script alone, so a changed module would not rerun its jobs.
    """
    start = SCRIPTS / f"{script}.py"
    found, waiting = {start}, [start]
    while waiting:
        fresh = imported_files(waiting.pop()) - found
        found |= fresh
        waiting += fresh
    return sorted(str(path.relative_to(workflow.basedir)) for path in found - {start})


@cache
def imported_files(path):
    """Files of neuron_pruning and of other scripts that one file names in its imports."""
    tree = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    named = {node.module for node in tree if isinstance(node, ast.ImportFrom)}
    files = set()
    for name in named - {"adapter", None}:
        place = SCRIPTS.joinpath(*name.split("."))
        files.add(place.with_suffix(".py"))
        files.update(place.glob("*.py") if "." in name else [])
    return {file for file in files if file.is_file()}


def network_of(wildcards):
    """Checkpoint of a run: trained, or as it was before its first step."""
    if wildcards.state == "untrained":
        return f"{ROOT}/networks/model~{{model}}/seed~{{seed}}/initial.safetensors"
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


def selected_cells(model=None):
    """Selected learning rate and batch size, a dictionary a model."""
    from neuron_pruning.records import read_rows

    rows = read_rows(checkpoints.select_hyperparameters.get().output.selection)
    names = ("model", "learning_rate", "batch_size")
    return [
        {name: row[name] for name in names}
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
    model = CLASS_TABLES[wildcards.class_table]
    return selected_paths(
        f"{ROOT}/evaluations/{RUN}/state~trained/metrics.parquet", model
    )


def pruned_metrics(wildcards):
    """Metrics of all prunings of the selected networks."""
    pattern = expand(
        f"{PRUNED}/metrics.parquet",
        state=STATES,
        angle=config["pruning"]["angles"],
        allow_missing=True,
    )
    return [path for name in pattern for path in selected_paths(name)]
