# Techniques and compensations side by side, from recorded activations.
rule score_peers:
    input: **NETWORK, activations=paths.evaluation["activations"]
    output: scores=paths.peer_scores
    log: paths.log("score_peers", names.NETWORK_STATE)
    benchmark: paths.benchmark("score_peers", names.NETWORK_STATE)
    conda: ENVIRONMENT
    threads: 1
    resources: mem_mb=memory.network(copies=3, images=1)
    params: settings=settings.peer_scores, code=code_digest("score_peers")
    message: "Score units of {wildcards.state} {wildcards.model} with torch-pruning, seed {wildcards.seed}"
    script: "../scripts/score_peers.py"


rule sweep_technique:
    input:
        **NETWORK,
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
    input: **NETWORK, activations=paths.evaluation["activations"]
    output: points=paths.compensation
    log: paths.log("compare_compensations", names.COMPENSATION)
    benchmark: paths.benchmark("compare_compensations", names.COMPENSATION)
    conda: ENVIRONMENT
    threads: 1
    resources: mem_mb=memory.layer()
    params:
        settings=settings.compensation,
        code=settings.code("compare_compensations", "distinctiveness", "random"),
    message: "Compensate {wildcards.layer} of {wildcards.state} {wildcards.model} by {wildcards.compensation}, seed {wildcards.seed}"
    script: "../scripts/compare_compensations.py"
