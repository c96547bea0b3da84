# Target `sizes`: networks cut in one or more layers, what they weigh and how fast they are.
rule cut_network:
    input:
        array=array_of,
        split=SPLIT,
        network=network_of,
        about=about_network,
        measured=scores_of_cut,
        code=code_of_technique("cut_network"),
    output:
        pruned=f"{CUT}/network.safetensors",
        description=f"{CUT}/network.json",
        metrics=f"{CUT}/metrics.parquet",
        units=f"{CUT}/units.parquet",
    log:
        f"{ROOT}/logs/cut_network/{RUN}/state~{{state}}/cut~{{cut}}.log",
    benchmark:
        f"{ROOT}/benchmarks/cut_network/{RUN}/state~{{state}}/cut~{{cut}}.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        gpu=1,
        mem_mb=memory_of(copies=8, images=config["evaluation"]["batch_size"]),
    params:
        settings=cut_settings,
    message:
        "Cut {wildcards.state} {wildcards.model}: {wildcards.cut}, seed {wildcards.seed}"
    script:
        "../scripts/cut_network.py"


# More threads than cores are scaled down to all: nothing else runs beside what is timed.
rule measure_cut:
    input:
        array=array_of,
        network=network_of,
        about=about_network,
        pruned=f"{CUT}/network.safetensors",
        metrics=f"{CUT}/metrics.parquet",
        code=code_of("measure_cut"),
    output:
        exported=f"{CUT}/network.onnx",
        measured=f"{CUT}/measured.parquet",
    log:
        f"{ROOT}/logs/measure_cut/{RUN}/state~{{state}}/cut~{{cut}}.log",
    benchmark:
        f"{ROOT}/benchmarks/measure_cut/{RUN}/state~{{state}}/cut~{{cut}}.jsonl"
    conda:
        ENVIRONMENT
    threads: 128
    resources:
        gpu=1,
        mem_mb=memory_of(copies=6, images=max(PRUNE["latency"]["batch_sizes"])),
    params:
        settings=measure_settings,
    message:
        "Measure {wildcards.state} {wildcards.model} before and after {wildcards.cut}, seed {wildcards.seed}"
    script:
        "../scripts/measure_cut.py"


rule sizes:
    input:
        f"{ROOT}/tables/sizes.parquet",
        rendered("sizes"),
