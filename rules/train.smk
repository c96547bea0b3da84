# Networks before and after their training.
rule initialise:
    input: array=targets.images, split=paths.split
    output: **paths.initial
    log: paths.log("initialise", names.NETWORK)
    benchmark: paths.benchmark("initialise", names.NETWORK)
    conda: ENVIRONMENT
    threads: 4
    resources: mem_mb=memory.network(copies=1, images=memory.calibration_images)
    params: settings=settings.initialise, code=code_digest("initialise")
    message: "Initialise {wildcards.model}, seed {wildcards.seed}"
    script: "../scripts/initialise.py"


rule train:
    input:
        array=targets.images,
        split=paths.split,
        initial=paths.initial["network"],
        about=paths.initial["description"],
    output: **paths.run
    log: paths.log("train", names.RUN)
    benchmark: paths.benchmark("train", names.RUN)
    conda: ENVIRONMENT
    threads: 4
    resources: gpu=1, mem_mb=memory.network(copies=6)
    params: settings=settings.train, code=code_digest("train")
    message: "Train {wildcards.model}, learning rate {wildcards.learning_rate}, batch size {wildcards.batch_size}, seed {wildcards.seed}"
    script: "../scripts/train.py"
