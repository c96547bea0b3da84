rule initialise:
    input:
        array=array_of,
        split=SPLIT,
        code=code_of("initialise"),
    output:
        network=INITIAL,
        description=ABOUT_INITIAL,
    log:
        f"{ROOT}/logs/initialise/{NETWORK}.log",
    benchmark:
        f"{ROOT}/benchmarks/initialise/{NETWORK}.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        mem_mb=memory_of(copies=1, images=calibration_images),
    params:
        settings=initial_settings,
    message:
        "Initialise {wildcards.model}, seed {wildcards.seed}"
    script:
        "../scripts/initialise.py"


rule train:
    input:
        array=array_of,
        split=SPLIT,
        initial=INITIAL,
        about=ABOUT_INITIAL,
        code=code_of("train"),
    output:
        network=f"{ROOT}/runs/{RUN}/network.safetensors",
        description=f"{ROOT}/runs/{RUN}/network.json",
        history=f"{ROOT}/runs/{RUN}/history.parquet",
        speed=f"{ROOT}/runs/{RUN}/speed.parquet",
        sensitivity=f"{ROOT}/runs/{RUN}/sensitivity.safetensors",
    log:
        f"{ROOT}/logs/train/{RUN}.log",
    benchmark:
        f"{ROOT}/benchmarks/train/{RUN}.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        gpu=1,
        mem_mb=memory_of(copies=6),
    params:
        settings=train_settings,
    message:
        "Train {wildcards.model}, learning rate {wildcards.learning_rate}, batch size {wildcards.batch_size}, seed {wildcards.seed}"
    script:
        "../scripts/train.py"
