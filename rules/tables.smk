CLASS_TABLES = {f"table{2 + place}": model for place, model in enumerate(MODELS)}
if len(CLASS_TABLES) > 2:
    raise WorkflowError("run_models: Tables 2 and 3 have room for two models")
TABLES = sorted({"table1", "table4", *CLASS_TABLES})


def rendered(table):
    """The table in every format of the config."""
    return [f"{ROOT}/tables/{table}.{suffix}" for suffix in config["tables"]["formats"]]


def pruned_metrics(wildcards):
    """Metrics of all prunings of the selected networks."""
    pattern = expand(
        f"{PRUNED}/metrics.parquet",
        state=STATES,
        angle=config["pruning"]["angles"],
        allow_missing=True,
    )
    return [path for name in pattern for path in selected_paths(name)]


rule table1:
    input:
        selection=f"{ROOT}/selection.parquet",
        paper="resources/paper.yaml",
        code=code_of("table1"),
        tracking=ancient(f"{ROOT}/tracking/store.json"),
    output:
        table=f"{ROOT}/tables/table1.parquet",
        rendered=report(
            rendered("table1"), caption="../report/tables.rst", category="Tables"
        ),
    log:
        f"{ROOT}/logs/table1.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        settings=dict(caption="Different hyperparameters: train and test accuracy."),
    script:
        "../scripts/table1.py"


def class_metrics(wildcards):
    """Evaluations of the selected networks of the model that a table shows."""
    model = CLASS_TABLES[wildcards.class_table]
    return selected_paths(
        f"{ROOT}/evaluations/{RUN}/state~trained/metrics.parquet", model
    )


def class_settings(wildcards):
    """Caption and number of a table of classes."""
    return dict(
        caption="Test precision and recall of each class.",
        number=int(wildcards.class_table.removeprefix("table")),
    )


rule table_classes:
    input:
        metrics=class_metrics,
        paper="resources/paper.yaml",
        code=code_of("table_classes"),
        tracking=ancient(f"{ROOT}/tracking/store.json"),
    output:
        table=f"{ROOT}/tables/{{class_table}}.parquet",
        rendered=report(
            rendered("{class_table}"),
            caption="../report/tables.rst",
            category="Tables",
        ),
    log:
        f"{ROOT}/logs/{{class_table}}.log",
    wildcard_constraints:
        class_table="|".join(CLASS_TABLES),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        settings=class_settings,
    script:
        "../scripts/table_classes.py"


rule table4:
    input:
        metrics=pruned_metrics,
        paper="resources/paper.yaml",
        code=code_of("table4"),
        tracking=ancient(f"{ROOT}/tracking/store.json"),
    output:
        table=f"{ROOT}/tables/table4.parquet",
        rendered=report(
            rendered("table4"), caption="../report/tables.rst", category="Tables"
        ),
    log:
        f"{ROOT}/logs/table4.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        settings=dict(
            caption="Accuracy after pruning and the number of neurons removed."
        ),
    script:
        "../scripts/table4.py"
