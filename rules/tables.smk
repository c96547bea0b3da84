SPLITS_OF_RUNS = expand(SPLIT, split=MAIN["split"], seed=SEEDS)


rule table1:
    input:
        selection=f"{ROOT}/selection.parquet",
        paper=shipped("resources/paper.yaml"),
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
        mem_mb=memory(500),
    params:
        settings=dict(caption="Different hyperparameters: train and test accuracy."),
    message:
        "Table 1"
    script:
        "../scripts/table1.py"


rule table_classes:
    input:
        metrics=class_metrics,
        paper=shipped("resources/paper.yaml"),
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
        mem_mb=memory(500),
    params:
        settings=class_settings,
    message:
        "Make {wildcards.class_table}"
    script:
        "../scripts/table_classes.py"


rule table4:
    input:
        metrics=pruned_metrics,
        splits=SPLITS_OF_RUNS,
        paper=shipped("resources/paper.yaml"),
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
        mem_mb=memory(500),
    params:
        settings=dict(
            caption="Accuracy after pruning and the number of neurons removed."
        ),
    message:
        "Table 4"
    script:
        "../scripts/table4.py"


rule table5:
    input:
        points=sweep_points,
        splits=SPLITS_OF_RUNS,
        code=code_of("table5"),
    output:
        table=f"{ROOT}/tables/table5.parquet",
        rendered=report(
            rendered("table5"), caption="../report/tables.rst", category="Tables"
        ),
    log:
        f"{ROOT}/logs/table5.log",
    benchmark:
        f"{ROOT}/benchmarks/table5.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1500),
    params:
        settings=dict(
            caption="Techniques at equal numbers of removed units.",
            counts=PRUNE["counts"],
            draws=PRUNE["sweep"]["draws"],
        ),
    message:
        "Table 5"
    script:
        "../scripts/table5.py"


rule table6:
    input:
        points=compensation_points,
        splits=SPLITS_OF_RUNS,
        code=code_of("table6"),
    output:
        table=f"{ROOT}/tables/table6.parquet",
        rendered=report(
            rendered("table6"), caption="../report/tables.rst", category="Tables"
        ),
    log:
        f"{ROOT}/logs/table6.log",
    benchmark:
        f"{ROOT}/benchmarks/table6.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1000),
    params:
        settings=dict(caption="Compensations of distinctiveness."),
    message:
        "Table 6"
    script:
        "../scripts/table6.py"


rule table7:
    input:
        networks=compared_predictions,
        machines=machine_files("predictions.parquet"),
        splits=expand(SPLIT, split=COMPARISON["splits"], seed=SEEDS),
        published=shipped("resources/published.yaml"),
        code=code_of("table7"),
    output:
        table=f"{ROOT}/tables/table7.parquet",
        rendered=report(
            rendered("table7"), caption="../report/tables.rst", category="Tables"
        ),
    log:
        f"{ROOT}/logs/table7.log",
    benchmark:
        f"{ROOT}/benchmarks/table7.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(1000),
    params:
        settings=dict(
            experiment=EXPERIMENT,
            caption="Contenders under every way to split the images.",
        ),
    message:
        "Table 7"
    script:
        "../scripts/table7.py"


rule table8:
    input:
        metrics=machine_files("metrics.parquet"),
        published=shipped("resources/baseline.yaml"),
        code=code_of("table8"),
    output:
        table=f"{ROOT}/tables/table8.parquet",
        rendered=report(
            rendered("table8"), caption="../report/tables.rst", category="Tables"
        ),
    log:
        f"{ROOT}/logs/table8.log",
    benchmark:
        f"{ROOT}/benchmarks/table8.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(500),
    params:
        settings=dict(caption="Support vector machines, class by class."),
    message:
        "Table 8"
    script:
        "../scripts/table8.py"
