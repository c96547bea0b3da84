# Techniques and compensations side by side, from recorded activations.
rule score_peers:
    input:
        split=SPLIT,
        network=network_of,
        about=about_network,
        activations=f"{EVALUATION}/activations.safetensors",
        code=code_of("score_peers"),
    output:
        scores=f"{EVALUATION}/torch_pruning.safetensors",
    log:
        f"{ROOT}/logs/score_peers/{RUN}/state~{{state}}.log",
    benchmark:
        f"{ROOT}/benchmarks/score_peers/{RUN}/state~{{state}}.jsonl"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of(copies=3, images=1),
    params:
        settings=peer_settings,
    message:
        "Score units of {wildcards.state} {wildcards.model} with torch-pruning, seed {wildcards.seed}"
    script:
        "../scripts/score_peers.py"


rule sweep_technique:
    input:
        split=SPLIT,
        network=network_of,
        about=about_network,
        activations=f"{EVALUATION}/activations.safetensors",
        measured=measured_scores,
        code=code_of_technique("sweep_technique"),
    output:
        points=f"{ROOT}/sweeps/{ON_LAYER}/technique~{{technique}}.parquet",
    log:
        f"{ROOT}/logs/sweep_technique/{ON_LAYER}/technique~{{technique}}.log",
    benchmark:
        f"{ROOT}/benchmarks/sweep_technique/{ON_LAYER}/technique~{{technique}}.jsonl"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(layer_megabytes),
    params:
        settings=sweep_settings,
    message:
        "Sweep {wildcards.technique} over {wildcards.layer} of {wildcards.state} {wildcards.model}, seed {wildcards.seed}"
    script:
        "../scripts/sweep_technique.py"


rule compare_compensations:
    input:
        split=SPLIT,
        network=network_of,
        about=about_network,
        activations=f"{EVALUATION}/activations.safetensors",
        code=code_of_technique("compare_compensations", "distinctiveness"),
        random_code=shipped("scripts/neuron_pruning/methods/random_removal.py"),
    output:
        points=f"{ROOT}/compensations/{ON_LAYER}/compensation~{{compensation}}.parquet",
    log:
        f"{ROOT}/logs/compare_compensations/{ON_LAYER}/compensation~{{compensation}}.log",
    benchmark:
        f"{ROOT}/benchmarks/compare_compensations/{ON_LAYER}/compensation~{{compensation}}.jsonl"
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory(layer_megabytes),
    params:
        settings=compensation_settings,
    message:
        "Compensate {wildcards.layer} of {wildcards.state} {wildcards.model} by {wildcards.compensation}, seed {wildcards.seed}"
    script:
        "../scripts/compare_compensations.py"
