# Target `networks`: networks that were trained elsewhere, pruned on images alone.
rule inspect_network:
    input: unpack(files_of_network)
    output: **paths.imported
    log: paths.log("inspect_network", names.IMPORTED)
    benchmark: paths.benchmark("inspect_network", names.IMPORTED)
    conda: ENVIRONMENT
    threads: 4
    resources: mem_mb=memory.imported()
    params: settings=settings.inspect_network, code=code_digest("inspect_network")
    message: "Find the unit layers of {wildcards.network}"
    script: "../scripts/inspect_network.py"


rule plan_network:
    input: unpack(files_of_network)
    output: plan=paths.plan
    log: paths.log("plan_network", names.DRAW)
    benchmark: paths.benchmark("plan_network", names.DRAW)
    conda: ENVIRONMENT
    threads: 4
    resources: mem_mb=memory.imported()
    params: settings=settings.plan_network, code=code_digest("plan_network")
    message: "Plan the sizes of {wildcards.network}, draw {wildcards.draw}"
    script: "../scripts/plan_network.py"


rule prune_network:
    input:
        unpack(files_of_network),
        plan=paths.plan,
        predictions=paths.imported["predictions"],
    output: points=paths.points
    log: paths.log("prune_network", names.NETWORK_PRUNING)
    benchmark: paths.benchmark("prune_network", names.NETWORK_PRUNING)
    conda: ENVIRONMENT
    threads: 4
    resources: mem_mb=memory.imported()
    params: settings=settings.prune_network, code=settings.code("prune_network")
    message: "Prune {wildcards.network} by {wildcards.technique}, draw {wildcards.draw}"
    script: "../scripts/prune_network.py"


# More threads than cores are scaled down to all: nothing else runs beside what is timed.
rule time_network:
    input: unpack(files_of_network), plan=targets.first_plan
    output: times=paths.running_times
    log: paths.log("time_network", names.IMPORTED)
    benchmark: paths.benchmark("time_network", names.IMPORTED)
    conda: ENVIRONMENT
    threads: 128
    resources: mem_mb=memory.imported()
    params: settings=settings.time_network, code=code_digest("time_network")
    message: "Time {wildcards.network}, whole and pruned"
    script: "../scripts/time_network.py"


rule prune_by_peer:
    input:
        unpack(files_of_network),
        plan=paths.plan,
        predictions=paths.imported["predictions"],
    output: points=paths.peer_points
    log: paths.log("prune_by_peer", names.PEER)
    benchmark: paths.benchmark("prune_by_peer", names.PEER)
    conda: ENVIRONMENT
    threads: 4
    resources: mem_mb=memory.imported()
    params: settings=settings.prune_by_peer, code=code_digest("prune_by_peer")
    message: "Prune {wildcards.network} by {wildcards.peer}, draw {wildcards.draw}"
    script: "../scripts/prune_by_peer.py"


rule build_networks_report:
    input: points=targets.network_points, tables=targets.network_tables
    output: page=report(paths.networks, caption="../report/page.rst", category="Report")
    log: paths.log("build_networks_report")
    benchmark: paths.benchmark("build_networks_report")
    conda: ENVIRONMENT
    resources: mem_mb=growing(1000)
    params:
        settings=settings.networks_report(),
        code=code_digest("build_networks_report"),
    message: "Build the report on networks trained elsewhere"
    script: "../scripts/build_networks_report.py"


rule networks:
    input: targets.network_files
