# Found faces are shown where anything looks at faces.
FACES_USED = (
    MAIN["crop"] == "face"
    or bool(COMPARISON["splits"])
    and (
        "images" in COMPARISON["baselines"]
        or any("face" in network["crops"] for network in COMPARISON["networks"])
    )
)


rule build_report:
    input:
        **(FOLDER if FACES_USED else {}),
        array=view_of(MAIN["crop"], input_size_of(config, MODELS[0])),
        crossings=f"{ROOT}/dataset/crossings.parquet",
        boxes=[f"{ROOT}/dataset/boxes.parquet"] if FACES_USED else [],
        audit=f"{ROOT}/dataset/audit.parquet",
        selection=f"{ROOT}/selection.parquet",
        histories=run_paths(f"{ROOT}/runs/{RUN}/history.parquet"),
        speeds=run_paths(f"{ROOT}/runs/{RUN}/speed.parquet"),
        predictions=selected_evaluations("predictions.parquet"),
        activations=selected_evaluations("activations.safetensors"),
        confusion=selected_confusions,
        pruned=pruned_metrics,
        sweeps=sweep_points,
        tables=expand(f"{ROOT}/tables/{{table}}.parquet", table=TABLES),
        paper=shipped("resources/paper.yaml"),
        code=code_of("build_report") + templates_of("report"),
    output:
        page=report(
            f"{ROOT}/report.html", caption="../report/page.rst", category="Report"
        ),
    log:
        f"{ROOT}/logs/build_report.log",
    benchmark:
        f"{ROOT}/benchmarks/build_report.jsonl"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(1000),
    params:
        settings=dict(
            # The address of the mirror is no part of the result, and may hold a password.
            config={
                key: value
                for key, value in config.items()
                if key not in ("tracking", "resume")
            },
            benchmarks=f"{ROOT}/benchmarks",
            **(
                {"folder": config["dataset"]["path"]}
                if FACES_USED and not FOLDER
                else {}
            ),
        ),
    message:
        "Build the report"
    script:
        "../scripts/build_report.py"
