rule make_faces:
    input:
        code=code_of("make_faces"),
    output:
        folder=directory(FACES),
    log:
        f"{ROOT}/logs/make_faces.log",
    benchmark:
        f"{ROOT}/benchmarks/make_faces.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        mem_mb=2000,
    params:
        settings=config["faces"],
    message:
        "Draw the built-in faces"
    script:
        "../scripts/make_faces.py"


rule prepare_dataset:
    input:
        **({"folder": FACES} if config["dataset"]["path"] is None else {}),
        code=code_of("prepare_dataset"),
    output:
        array=f"{ROOT}/dataset/images.npy",
        index=f"{ROOT}/dataset/index.parquet",
        audit=report(
            f"{ROOT}/dataset/audit.parquet",
            caption="../report/audit.rst",
            category="Data",
        ),
    log:
        f"{ROOT}/logs/prepare_dataset.log",
    benchmark:
        f"{ROOT}/benchmarks/prepare_dataset.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        mem_mb=2000,
    params:
        settings=dataset_settings(),
    message:
        "Decode the images once: array, index, audit"
    script:
        "../scripts/prepare_dataset.py"


rule split_dataset:
    input:
        index=f"{ROOT}/dataset/index.parquet",
        code=code_of("split_dataset"),
    output:
        split=f"{ROOT}/splits/seed~{{seed}}.parquet",
    log:
        f"{ROOT}/logs/split_dataset/seed~{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/split_dataset/seed~{{seed}}.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=500,
    params:
        settings=lambda wildcards: dict(**config["split"], seed=int(wildcards.seed)),
    message:
        "Split the images, seed {wildcards.seed}"
    script:
        "../scripts/split_dataset.py"
