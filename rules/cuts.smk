# Target `sizes`: networks cut in one or more layers, their sizes and latencies.
rule cut_network:
    input: **NETWORK_INPUTS, array=targets.images, measured=targets.precomputed_scores
    output: **paths.cut
    log: paths.log("cut_network", names.CUT)
    benchmark: paths.benchmark("cut_network", names.CUT)
    conda: ENVIRONMENT
    threads: 4
    resources: gpu=1, mem_mb=memory.network(copies=8, images=config["evaluation"]["batch_size"])
    params: settings=settings.cut, code=settings.code("cut_network")
    message: "Cut {wildcards.state} {wildcards.model}: {wildcards.cut}, seed {wildcards.seed}"
    script: "../scripts/cut_network.py"


# More threads than cores are scaled down to all: nothing else runs beside what is timed.
rule measure_cut:
    input:
        array=targets.images,
        network=targets.network("network"),
        about=targets.network("description"),
        pruned=paths.cut["pruned"],
        metrics=paths.cut["metrics"],
    output: **paths.measured_cut
    log: paths.log("measure_cut", names.CUT)
    benchmark: paths.benchmark("measure_cut", names.CUT)
    conda: ENVIRONMENT
    threads: 128
    resources:
        gpu=1,
        mem_mb=memory.network(copies=6, images=max(config["pruning"]["latency"]["batch_sizes"])),
    params: settings=settings.measure_cut, code=code_digest("measure_cut")
    message: "Measure {wildcards.state} {wildcards.model} before and after {wildcards.cut}, seed {wildcards.seed}"
    script: "../scripts/measure_cut.py"


rule sizes:
    input: paths.table("sizes"), targets.rendered("sizes")
