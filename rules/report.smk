# One page with all results.
PAGE = {
    "array": targets.images_at(
        config["dataset"]["crop"], input_size_of(config, config["run_models"][0])
    ),
    "audit": paths.index["audit"],
    "selection": paths.selection,
    "history": targets.of_runs(paths.run["history"]),
    "speed": targets.of_runs(paths.run["speed"]),
    "predictions": targets.evaluations("predictions"),
    "activations": targets.evaluations("activations"),
    "confusion": targets.evaluations("confusion", "trained"),
    "pruned": targets.pruned_metrics,
    "sweeps": targets.sweep_points,
}
FACES, COMPARED_FACES = (
    {"boxes": [paths.boxes], **IMAGE_FOLDER} if targets.shows_faces(compared) else {"boxes": []}
    for compared in (False, True)
)


rule build_report:
    input:
        **PAGE,
        **FACES,
        leakage=paths.leakage,
        tables=[paths.table(name) for name in targets.tables],
    output: page=report(paths.report, caption="../report/page.rst", category="Report")
    log: paths.log("build_report")
    benchmark: paths.benchmark("build_report")
    conda: ENVIRONMENT
    threads: 1
    resources: mem_mb=growing(1000)
    params:
        settings=settings.report(paths.benchmarks),
        code=code_digest("build_report", *targets.published("paper")),
    message: "Build the report"
    script: "../scripts/build_report.py"


# The same page with Tables 7 and 8: a page of its own, so that neither is ever out of date.
use rule build_report as build_comparison_report with:
    input:
        **PAGE,
        **COMPARED_FACES,
        leakage=paths.compared_leakage,
        tables=[paths.table(name) for name in [*targets.tables, *targets.comparison_tables]],
    output: page=report(paths.comparison, caption="../report/page.rst", category="Report")
    log: paths.log("build_comparison_report")
    benchmark: paths.benchmark("build_comparison_report")
    message: "Build the report with the comparison"


# Target `comparison`: other networks and SVMs under several splits.
rule comparison:
    input:
        tables=[paths.table(name) for name in targets.comparison_tables],
        rendered=[path for name in targets.comparison_tables for path in targets.rendered(name)],
        report=paths.comparison,
