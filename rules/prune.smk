# Smaller networks, and their fine-tuning.
rule prune:
    input:
        **NETWORK_INPUTS,
        activations=paths.evaluation["activations"],
        measured=targets.precomputed_scores,
    output: **paths.pruned
    wildcard_constraints: state="trained"
    log: paths.log("prune", names.PRUNING)
    benchmark: paths.benchmark("prune", names.PRUNING)
    conda: ENVIRONMENT
    threads: 1
    resources: mem_mb=memory.network(copies=3, images=1)
    params: settings=settings.prune, code=settings.code("prune")
    message: "Prune {wildcards.state} {wildcards.model} by {wildcards.technique} at {wildcards.amount}, seed {wildcards.seed}"
    script: "../scripts/prune.py"


# Untrained networks are measured, then deleted: no other job needs them, and a VGG takes 650 MB.
use rule prune as prune_untrained with:
    output: **{**paths.pruned, "pruned": temp(paths.pruned["pruned"])}
    wildcard_constraints: state="untrained"


rule fine_tune:
    input:
        split=paths.split,
        pruned=paths.pruned["pruned"],
        about=paths.pruned["description"],
        activations=paths.evaluation["activations"],
        pruned_metrics=paths.pruned["metrics"],
        array=targets.images_to_tune,
    output: **paths.fine_tuned
    log: paths.log("fine_tune", names.PRUNING)
    benchmark: paths.benchmark("fine_tune", names.PRUNING)
    conda: ENVIRONMENT
    threads: 4
    resources:
        gpu=1 if config["pruning"]["fine_tuning"]["trainable"] == "all" else 0,
        mem_mb=memory.network(copies=5),
    params: settings=settings.fine_tune, code=code_digest("fine_tune")
    message: "Fine-tune the {wildcards.state} {wildcards.model} that {wildcards.technique} pruned at {wildcards.amount}, seed {wildcards.seed}"
    script: "../scripts/fine_tune.py"
