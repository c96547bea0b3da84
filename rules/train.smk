rule initialise:
    input:
        array=f"{ROOT}/dataset/images.npy",
        split=f"{ROOT}/splits/seed~{{seed}}.parquet",
        code=code_of("initialise"),
    output:
        network=f"{ROOT}/networks/model~{{model}}/seed~{{seed}}/initial.safetensors",
        description=f"{ROOT}/networks/model~{{model}}/seed~{{seed}}/initial.json",
    log:
        f"{ROOT}/logs/initialise/model~{{model}}/seed~{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/initialise/model~{{model}}/seed~{{seed}}.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        mem_mb=memory_of(
            copies=1, images=RECIPE["initialisation"].get("calibration_images", 64)
        ),
    params:
        settings=initial_settings,
    message:
        "Initialise {wildcards.model}, seed {wildcards.seed}"
    script:
        "../scripts/initialise.py"


rule train:
    input:
        array=f"{ROOT}/dataset/images.npy",
        split=f"{ROOT}/splits/seed~{{seed}}.parquet",
        initial=f"{ROOT}/networks/model~{{model}}/seed~{{seed}}/initial.safetensors",
        about=f"{ROOT}/networks/model~{{model}}/seed~{{seed}}/initial.json",
        code=code_of("train"),
    output:
        network=f"{ROOT}/runs/{RUN}/network.safetensors",
        description=f"{ROOT}/runs/{RUN}/network.json",
        history=f"{ROOT}/runs/{RUN}/history.parquet",
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
