rule prune:
    input:
        split=f"{ROOT}/splits/seed~{{seed}}.parquet",
        network=network_of,
        about=about_network,
        activations=f"{EVALUATION}/activations.safetensors",
        code=code_of("prune"),
    output:
        pruned=f"{PRUNED}/network.safetensors",
        description=f"{PRUNED}/network.json",
        metrics=f"{PRUNED}/metrics.parquet",
        units=f"{PRUNED}/units.parquet",
    log:
        f"{ROOT}/logs/prune/{RUN}/state~{{state}}/angle~{{angle}}.log",
    benchmark:
        f"{ROOT}/benchmarks/prune/{RUN}/state~{{state}}/angle~{{angle}}.jsonl"
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
        "Prune {wildcards.state} {wildcards.model} at {wildcards.angle} degrees, seed {wildcards.seed}"
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
