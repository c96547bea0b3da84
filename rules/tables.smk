rule table1:
    input:
        selection=f"{ROOT}/selection.parquet",
        paper="resources/paper.yaml",
        code=code_of("table1"),
    output:
        table=f"{ROOT}/tables/table1.parquet",
        rendered=report(
            rendered("table1"), caption="../report/tables.rst", category="Tables"
        ),
    log:
        f"{ROOT}/logs/table1.log",
    benchmark:
        f"{ROOT}/benchmarks/table1.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
    params:
        settings=dict(caption="Different hyperparameters: train and test accuracy."),
    message:
        "Table 1"
    script:
        "../scripts/table1.py"


rule table_classes:
    input:
        metrics=class_metrics,
        paper="resources/paper.yaml",
        code=code_of("table_classes"),
    output:
        table=f"{ROOT}/tables/{{class_table}}.parquet",
        rendered=report(
            rendered("{class_table}"),
            caption="../report/tables.rst",
            category="Tables",
        ),
    log:
        f"{ROOT}/logs/{{class_table}}.log",
    benchmark:
        f"{ROOT}/benchmarks/{{class_table}}.jsonl"
    wildcard_constraints:
        class_table="|".join(CLASS_TABLES),
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
    params:
        settings=class_settings,
    message:
        "Make {wildcards.class_table}"
    script:
        "../scripts/table_classes.py"


rule table4:
    input:
        metrics=pruned_metrics,
        paper="resources/paper.yaml",
        code=code_of("table4"),
    output:
        table=f"{ROOT}/tables/table4.parquet",
        rendered=report(
            rendered("table4"), caption="../report/tables.rst", category="Tables"
        ),
    log:
        f"{ROOT}/logs/table4.log",
    benchmark:
        f"{ROOT}/benchmarks/table4.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
    params:
        settings=dict(
            caption="Accuracy after pruning and the number of neurons removed."
        ),
    message:
        "Table 4"
    script:
        "../scripts/table4.py"
