# The tables: one rule for all; each has its inputs and its module of neuron_pruning.tables.


rule table_grid:
    input: selection=paths.selection, splits=targets.splits_named(config["split"])
    output:
        table=paths.table("{table}"),
        rendered=report(targets.rendered("{table}"), caption="../report/tables.rst", category="Tables"),
    wildcard_constraints: table="table1"
    log: paths.log("{table}")
    benchmark: paths.benchmark("{table}")
    conda: ENVIRONMENT
    resources: mem_mb=growing(500)
    params: settings=dict(module="grid"), code=table_digest("grid", *targets.published("paper"))
    message: "Make {wildcards.table}"
    script: "../scripts/make_table.py"


use rule table_grid as table_classes with:
    input: metrics=targets.class_metrics
    wildcard_constraints: table="|".join(targets.class_tables)
    params: settings=dict(module="per_class"), code=table_digest("per_class", *targets.published("paper"))


use rule table_grid as table_pruning with:
    input: metrics=targets.pruned_metrics, splits=targets.splits_named(config["split"])
    wildcard_constraints: table="table4"
    params: settings=dict(module="pruning"), code=table_digest("pruning", *targets.published("paper"))


use rule table_grid as table_techniques with:
    input: points=targets.sweep_points, splits=targets.splits_named(config["split"])
    wildcard_constraints: table="table5"
    resources: mem_mb=growing(1500)
    params:
        settings=dict(module="techniques", options=dict(counts=config["pruning"]["counts"])),
        code=table_digest("techniques"),


use rule table_grid as table_compensations with:
    input: points=targets.compensation_points, splits=targets.splits_named(config["split"])
    wildcard_constraints: table="table6"
    resources: mem_mb=growing(1000)
    params: settings=dict(module="compensations"), code=table_digest("compensations")


use rule table_grid as table_models with:
    input:
        selected=targets.selected_and_compared,
        networks=targets.compared_predictions,  # apart: no selection decides them
        svms=targets.svm_files("predictions"),
        splits=targets.splits_named(*config["comparison"]["splits"]),
    wildcard_constraints: table="table7"
    resources: mem_mb=growing(1000)
    params:
        settings=dict(
            module="models",
            options=dict(experiment=config["experiment"], tried=tried_on_test(config)),
        ),
        code=table_digest("models", *targets.published("published")),


use rule table_grid as table_svm with:
    input: metrics=targets.svm_files("metrics")
    wildcard_constraints: table="table8"
    params: settings=dict(module="svm"), code=table_digest("svm", *targets.published("baseline"))


use rule table_grid as table_sizes with:
    input: measured=targets.measured_cuts
    wildcard_constraints: table="sizes"
    params: settings=dict(module="sizes"), code=table_digest("sizes")


use rule table_grid as table_unit_layers with:
    input: layers=targets.of_imported(paths.imported["layers"])
    wildcard_constraints: table="table9"
    params: settings=dict(module="unit_layers"), code=table_digest("unit_layers")


use rule table_grid as table_networks with:
    input: points=targets.network_points
    wildcard_constraints: table="table10"
    resources: mem_mb=growing(2000)
    params: settings=dict(module="networks"), code=table_digest("networks")


use rule table_grid as table_running_times with:
    input: measured=targets.of_imported(paths.running_times)
    wildcard_constraints: table="table12"
    resources: mem_mb=growing(1500)
    params: settings=dict(module="running_times"), code=table_digest("running_times")


use rule table_grid as table_peers with:
    input: points=targets.peer_points
    wildcard_constraints: table="table11"
    resources: mem_mb=growing(2000)
    params: settings=dict(module="peers"), code=table_digest("peers")
