# Predictions, metrics and recorded activations; then the selection of hyper-parameters.
rule evaluate:
    input: **NETWORK_INPUTS, array=targets.images
    output: **paths.evaluation
    log: paths.log("evaluate", names.NETWORK_STATE)
    benchmark: paths.benchmark("evaluate", names.NETWORK_STATE)
    conda: ENVIRONMENT
    threads: 4
    resources: gpu=1, mem_mb=memory.network(copies=1, images=config["evaluation"]["batch_size"])
    params: settings=settings.evaluate, code=code_digest("evaluate")
    message: "Evaluate {wildcards.state} {wildcards.model}, learning rate {wildcards.learning_rate}, batch size {wildcards.batch_size}, seed {wildcards.seed}"
    script: "../scripts/evaluate.py"


checkpoint select_hyperparameters:
    input: metrics=targets.of_runs(targets.trained("metrics"))
    output: selection=paths.selection
    log: paths.log("select_hyperparameters")
    benchmark: paths.benchmark("select_hyperparameters")
    conda: ENVIRONMENT
    resources: mem_mb=growing(500)
    params: settings=config["selection"], code=code_digest("select_hyperparameters")
    message: "Select learning rate and batch size of each model"
    script: "../scripts/select_hyperparameters.py"
