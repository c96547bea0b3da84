# Techniques and compensations side by side, from recorded activations.
rule score_with_torch_pruning:
    input: **NETWORK_INPUTS, activations=paths.evaluation["activations"]
    output: scores=paths.torch_pruning_scores
    log: paths.log("score_with_torch_pruning", names.NETWORK_STATE)
    benchmark: paths.benchmark("score_with_torch_pruning", names.NETWORK_STATE)
    conda: ENVIRONMENT
    threads: 1
    resources: mem_mb=memory.network(copies=3, images=1)
    params: settings=settings.torch_pruning_scores, code=code_digest("score_with_torch_pruning")
    message: "Score units of {wildcards.state} {wildcards.model} with torch-pruning, seed {wildcards.seed}"
    script: "../scripts/score_with_torch_pruning.py"


rule sweep_technique:
    input:
        **NETWORK_INPUTS,
        activations=paths.evaluation["activations"],
        measured=targets.precomputed_scores,
    output: points=paths.sweep
    log: paths.log("sweep_technique", names.SWEEP)
    benchmark: paths.benchmark("sweep_technique", names.SWEEP)
    conda: ENVIRONMENT
    threads: 1
    resources: mem_mb=memory.layer()
    params: settings=settings.sweep, code=settings.code("sweep_technique")
    message: "Sweep {wildcards.technique} over {wildcards.layer} of {wildcards.state} {wildcards.model}, seed {wildcards.seed}"
    script: "../scripts/sweep_technique.py"


rule compare_compensations:
    input: **NETWORK_INPUTS, activations=paths.evaluation["activations"]
    output: points=paths.compensations
    log: paths.log("compare_compensations", names.LAYER)
    benchmark: paths.benchmark("compare_compensations", names.LAYER)
    conda: ENVIRONMENT
    threads: 1
    resources: mem_mb=memory.layer()
    params:
        settings=settings.compensations,
        code=settings.code("compare_compensations", "distinctiveness", "random"),
    message: "Compensate {wildcards.layer} of {wildcards.state} {wildcards.model} in every way, seed {wildcards.seed}"
    script: "../scripts/compare_compensations.py"
