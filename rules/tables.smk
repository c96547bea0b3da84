# Tables 1-8: Parquet, and the formats of the config.
def rendered(table):
    """The table in every format of the config."""
    return paths.rendered(table, config["tables"]["formats"])


def class_settings(wildcards):
    """Caption and number of a table of classes."""
    number = int(wildcards.table.removeprefix("table"))
    return dict(caption="Test precision and recall of each class.", number=number)


rule table1:
    input:
        selection=paths.selection,
        paper=workflow_file("resources/paper.yaml"),
    output:
        table=paths.table("table1"),
        rendered=report(
            rendered("table1"), caption="../report/tables.rst", category="Tables"
        ),
    log: paths.log("table1")
    benchmark: paths.benchmark("table1")
    conda: ENVIRONMENT
    resources: mem_mb=growing(500)
    params:
        settings=dict(caption="Different hyperparameters: train and test accuracy."),
        code=code_digest("table1"),
    message: "Table 1"
    script: "../scripts/table1.py"


rule table_classes:
    input:
        metrics=targets.class_metrics,
        paper=workflow_file("resources/paper.yaml"),
    output:
        table=paths.table("{table}"),
        rendered=report(
            rendered("{table}"),
            caption="../report/tables.rst",
            category="Tables",
        ),
    wildcard_constraints: table="|".join(targets.class_tables)
    log: paths.log("{table}")
    benchmark: paths.benchmark("{table}")
    conda: ENVIRONMENT
    resources: mem_mb=growing(500)
    params:
        settings=class_settings,
        code=code_digest("table_classes"),
    message: "Make {wildcards.table}"
    script: "../scripts/table_classes.py"


rule table4:
    input:
        metrics=targets.pruned_metrics,
        splits=targets.splits_of_runs,
        paper=workflow_file("resources/paper.yaml"),
    output:
        table=paths.table("table4"),
        rendered=report(
            rendered("table4"), caption="../report/tables.rst", category="Tables"
        ),
    log: paths.log("table4")
    benchmark: paths.benchmark("table4")
    conda: ENVIRONMENT
    resources: mem_mb=growing(500)
    params:
        settings=dict(
            caption="Accuracy after pruning and the number of neurons removed."
        ),
        code=code_digest("table4"),
    message: "Table 4"
    script: "../scripts/table4.py"


rule table5:
    input:
        points=targets.sweep_points,
        splits=targets.splits_of_runs,
    output:
        table=paths.table("table5"),
        rendered=report(
            rendered("table5"), caption="../report/tables.rst", category="Tables"
        ),
    log: paths.log("table5")
    benchmark: paths.benchmark("table5")
    conda: ENVIRONMENT
    resources: mem_mb=growing(1500)
    params:
        settings=dict(
            caption="Techniques at equal numbers of removed units.",
            counts=config["pruning"]["counts"],
            draws=config["pruning"]["sweep"]["draws"],
        ),
        code=code_digest("table5"),
    message: "Table 5"
    script: "../scripts/table5.py"


rule table6:
    input:
        points=targets.compensation_points,
        splits=targets.splits_of_runs,
    output:
        table=paths.table("table6"),
        rendered=report(
            rendered("table6"), caption="../report/tables.rst", category="Tables"
        ),
    log: paths.log("table6")
    benchmark: paths.benchmark("table6")
    conda: ENVIRONMENT
    resources: mem_mb=growing(1000)
    params:
        settings=dict(caption="Compensations of distinctiveness."),
        code=code_digest("table6"),
    message: "Table 6"
    script: "../scripts/table6.py"


rule table7:
    input:
        networks=targets.compared_predictions,
        machines=targets.svm_files("predictions"),
        splits=targets.compared_splits,
        published=workflow_file("resources/published.yaml"),
    output:
        table=paths.table("table7"),
        rendered=report(
            rendered("table7"), caption="../report/tables.rst", category="Tables"
        ),
    log: paths.log("table7")
    benchmark: paths.benchmark("table7")
    conda: ENVIRONMENT
    resources: mem_mb=growing(1000)
    params:
        settings=dict(
            experiment=config["experiment"],
            caption="Contenders under every way to split the images.",
        ),
        code=code_digest("table7"),
    message: "Table 7"
    script: "../scripts/table7.py"


rule table8:
    input:
        metrics=targets.svm_files("metrics"),
        published=workflow_file("resources/baseline.yaml"),
    output:
        table=paths.table("table8"),
        rendered=report(
            rendered("table8"), caption="../report/tables.rst", category="Tables"
        ),
    log: paths.log("table8")
    benchmark: paths.benchmark("table8")
    conda: ENVIRONMENT
    resources: mem_mb=growing(500)
    params:
        settings=dict(caption="Support vector machines, class by class."),
        code=code_digest("table8"),
    message: "Table 8"
    script: "../scripts/table8.py"
