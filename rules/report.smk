# One page with all results.
rule build_report:
    input:
        **(IMAGE_FOLDER if targets.shows_faces else {}),
        array=targets.images_at(
            config["dataset"]["crop"], input_size_of(config, config["run_models"][0])
        ),
        leakage=paths.leakage,
        boxes=[paths.boxes] if targets.shows_faces else [],
        audit=paths.index["audit"],
        selection=paths.selection,
        history=targets.of_runs(paths.run["history"]),
        speed=targets.of_runs(paths.run["speed"]),
        predictions=targets.evaluations("predictions"),
        activations=targets.evaluations("activations"),
        confusion=targets.evaluations("confusion", "trained"),
        pruned=targets.pruned_metrics,
        sweeps=targets.sweep_points,
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
