rule prune:
    input:
        split=SPLIT,
        network=network_of,
        about=about_network,
        activations=f"{EVALUATION}/activations.safetensors",
        measured=measured_scores,
        code=code_of_technique("prune"),
    output:
        pruned=f"{PRUNED}/network.safetensors",
        description=f"{PRUNED}/network.json",
        metrics=f"{PRUNED}/metrics.parquet",
        units=f"{PRUNED}/units.parquet",
    log:
        f"{ROOT}/logs/prune/{PRUNING}.log",
    benchmark:
        f"{ROOT}/benchmarks/prune/{PRUNING}.jsonl"
    wildcard_constraints:
        state="trained",
    conda:
        ENVIRONMENT
    threads: 1
    resources:
        mem_mb=memory_of(copies=3, images=1),
    params:
        settings=prune_settings,
    message:
        "Prune {wildcards.state} {wildcards.model} by {wildcards.technique} at {wildcards.amount}, seed {wildcards.seed}"
    script:
        "../scripts/prune.py"


# The control's networks are measured, then deleted: nobody needs them, and a VGG takes 650 MB.
use rule prune as prune_untrained with:
    output:
        pruned=temp(f"{PRUNED}/network.safetensors"),
        description=f"{PRUNED}/network.json",
        metrics=f"{PRUNED}/metrics.parquet",
        units=f"{PRUNED}/units.parquet",
    wildcard_constraints:
        state="untrained",


rule fine_tune:
    input:
        split=SPLIT,
        pruned=f"{PRUNED}/network.safetensors",
        about=f"{PRUNED}/network.json",
        activations=f"{EVALUATION}/activations.safetensors",
        pruned_metrics=f"{PRUNED}/metrics.parquet",
        array=images_to_tune,
        code=code_of("fine_tune"),
    output:
        network=f"{TUNED}/network.safetensors",
        description=f"{TUNED}/network.json",
        metrics=f"{TUNED}/metrics.parquet",
    log:
        f"{ROOT}/logs/fine_tune/{PRUNING}.log",
    benchmark:
        f"{ROOT}/benchmarks/fine_tune/{PRUNING}.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        gpu=1 if FINE_TUNING["trainable"] == "all" else 0,
        mem_mb=memory_of(copies=5),
    params:
        settings=fine_tune_settings,
    message:
        "Train the {wildcards.state} {wildcards.model} further that {wildcards.technique} pruned at {wildcards.amount}, seed {wildcards.seed}"
    script:
        "../scripts/fine_tune.py"
