# The tables: one rule for all of them; each has its inputs and its module of neuron_pruning.tables.
SPLITS_OF_RUNS = expand(SPLIT, split=MAIN["split"], seed=SEEDS)
PAPER = shipped("resources/paper.yaml")


rule table_grid:
    input:
        selection=f"{ROOT}/selection.parquet",
        paper=PAPER,
        code=code_of_table("grid"),
    output:
        table=f"{ROOT}/tables/{{table}}.parquet",
        rendered=report(
            rendered("{table}"), caption="../report/tables.rst", category="Tables"
        ),
    log:
        f"{ROOT}/logs/{{table}}.log",
    benchmark:
        f"{ROOT}/benchmarks/{{table}}.jsonl"
    wildcard_constraints:
        table="table1",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(500),
    params:
        settings=dict(module="grid"),
    message:
        "Make {wildcards.table}"
    script:
        "../scripts/make_table.py"


use rule table_grid as table_classes with:
    input:
        metrics=class_metrics,
        paper=PAPER,
        code=code_of_table("per_class"),
    wildcard_constraints:
        table="|".join(CLASS_TABLES),
    params:
        settings=dict(module="per_class"),


use rule table_grid as table_pruning with:
    input:
        metrics=pruned_metrics,
        splits=SPLITS_OF_RUNS,
        paper=PAPER,
        code=code_of_table("pruning"),
    wildcard_constraints:
        table="table4",
    params:
        settings=dict(module="pruning"),


use rule table_grid as table_techniques with:
    input:
        points=sweep_points,
        splits=SPLITS_OF_RUNS,
        code=code_of_table("techniques"),
    wildcard_constraints:
        table="table5",
    resources:
        mem_mb=memory(1500),
    params:
        settings=dict(module="techniques", options=dict(counts=PRUNE["counts"])),


use rule table_grid as table_compensations with:
    input:
        points=compensation_points,
        splits=SPLITS_OF_RUNS,
        code=code_of_table("compensations"),
    wildcard_constraints:
        table="table6",
    resources:
        mem_mb=memory(1000),
    params:
        settings=dict(module="compensations"),


use rule table_grid as table_models with:
    input:
        networks=compared_predictions,
        svms=machine_files("predictions.parquet"),
        splits=expand(SPLIT, split=COMPARISON["splits"], seed=SEEDS),
        published=shipped("resources/published.yaml"),
        code=code_of_table("models"),
    wildcard_constraints:
        table="table7",
    resources:
        mem_mb=memory(1000),
    params:
        settings=dict(module="models", options=dict(experiment=EXPERIMENT)),


use rule table_grid as table_svm with:
    input:
        metrics=machine_files("metrics.parquet"),
        published=shipped("resources/baseline.yaml"),
        code=code_of_table("svm"),
    wildcard_constraints:
        table="table8",
    params:
        settings=dict(module="svm"),


use rule table_grid as table_sizes with:
    input:
        measured=measured_cuts,
        code=code_of_table("sizes"),
    wildcard_constraints:
        table="sizes",
    params:
        settings=dict(module="sizes"),
