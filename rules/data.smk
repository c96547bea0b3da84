FACES = f"{ROOT}/faces"


def dataset_fingerprint():
    """Names, sizes and times of the images of ``dataset.path``: a change reruns the data stage."""
    folder = config["dataset"]["path"]
    if folder is None:
        return ""
    digest = hashlib.sha256()
    for path in sorted(Path(folder).glob("*/*")):
        status = path.stat()
        digest.update(f"{path}/{status.st_size}/{status.st_mtime_ns}".encode())
    return digest.hexdigest()


def dataset_settings():
    """Settings of the data stage; the folder is an input where the workflow draws it itself."""
    settings = dict(config["dataset"])
    folder = settings.pop("path")
    if folder is not None:
        settings.update(folder=folder, fingerprint=dataset_fingerprint())
    return settings


rule make_faces:
    input:
        code=code_of("make_faces"),
        tracking=ancient(f"{ROOT}/tracking/store.json"),
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
    script:
        "../scripts/make_faces.py"


rule prepare_dataset:
    input:
        **({"folder": FACES} if config["dataset"]["path"] is None else {}),
        code=code_of("prepare_dataset"),
        tracking=ancient(f"{ROOT}/tracking/store.json"),
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
    script:
        "../scripts/prepare_dataset.py"


rule split_dataset:
    input:
        index=f"{ROOT}/dataset/index.parquet",
        code=code_of("split_dataset"),
        tracking=ancient(f"{ROOT}/tracking/store.json"),
    output:
        split=f"{ROOT}/splits/seed~{{seed}}.parquet",
    log:
        f"{ROOT}/logs/split_dataset/seed~{{seed}}.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        settings=lambda wildcards: dict(**config["split"], seed=int(wildcards.seed)),
    script:
        "../scripts/split_dataset.py"
