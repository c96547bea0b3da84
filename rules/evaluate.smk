rule evaluate:
    input:
        array=array_of,
        split=SPLIT,
        network=network_of,
        about=about_network,
        code=code_of("evaluate"),
    output:
        predictions=f"{EVALUATION}/predictions.parquet",
        metrics=f"{EVALUATION}/metrics.parquet",
        confusion=f"{EVALUATION}/confusion.parquet",
        activations=f"{EVALUATION}/activations.safetensors",
    log:
        f"{ROOT}/logs/evaluate/{RUN}/state~{{state}}.log",
    benchmark:
        f"{ROOT}/benchmarks/evaluate/{RUN}/state~{{state}}.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        gpu=1,
        mem_mb=memory_of(copies=1, images=config["evaluation"]["batch_size"]),
    params:
        settings=evaluate_settings,
    message:
        "Evaluate {wildcards.state} {wildcards.model}, learning rate {wildcards.learning_rate}, batch size {wildcards.batch_size}, seed {wildcards.seed}"
    script:
        "../scripts/evaluate.py"


checkpoint select_hyperparameters:
    input:
        metrics=run_paths(f"{ROOT}/evaluations/{RUN}/state~trained/metrics.parquet"),
        code=code_of("select_hyperparameters"),
    output:
        selection=f"{ROOT}/selection.parquet",
    log:
        f"{ROOT}/logs/select_hyperparameters.log",
    benchmark:
        f"{ROOT}/benchmarks/select_hyperparameters.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(500),
    params:
        settings=dict(
            on=config["selection"]["subset"], fixed=config["selection"]["fixed"]
        ),
    message:
        "Select learning rate and batch size of each model"
    script:
        "../scripts/select_hyperparameters.py"
