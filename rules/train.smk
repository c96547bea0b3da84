rule initialise:
    input:
        array=f"{ROOT}/dataset/images.npy",
        split=f"{ROOT}/splits/seed~{{seed}}.parquet",
        code=code_of("initialise"),
        tracking=ancient(f"{ROOT}/tracking/store.json"),
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
        gpu=1,
        mem_mb=8000,
    params:
        settings=initial_settings,
    script:
        "../scripts/initialise.py"


rule train:
    input:
        array=f"{ROOT}/dataset/images.npy",
        split=f"{ROOT}/splits/seed~{{seed}}.parquet",
        initial=f"{ROOT}/networks/model~{{model}}/seed~{{seed}}/initial.safetensors",
        code=code_of("train"),
        tracking=ancient(f"{ROOT}/tracking/store.json"),
    output:
        network=f"{ROOT}/runs/{RUN}/network.safetensors",
        description=f"{ROOT}/runs/{RUN}/network.json",
        history=f"{ROOT}/runs/{RUN}/history.parquet",
    log:
        f"{ROOT}/logs/train/{RUN}.log",
    benchmark:
        f"{ROOT}/benchmarks/train/{RUN}.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        gpu=1,
        mem_mb=12000,
    params:
        settings=train_settings,
    script:
        "../scripts/train.py"
