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
        mem_mb=memory(2000),
    params:
        settings=config["faces"],
    message:
        "Draw the built-in faces"
    script:
        "../scripts/make_faces.py"


rule index_images:
    input:
        **FOLDER,
        code=code_of("index_images"),
    output:
        index=f"{ROOT}/dataset/index.parquet",
        audit=report(
            f"{ROOT}/dataset/audit.parquet",
            caption="../report/audit.rst",
            category="Data",
        ),
    log:
        f"{ROOT}/logs/index_images.log",
    benchmark:
        f"{ROOT}/benchmarks/index_images.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        mem_mb=memory(2000),
    params:
        settings=index_settings(),
    message:
        "Look at every image once: index, audit"
    script:
        "../scripts/index_images.py"


rule prepare_frames:
    input:
        **FOLDER,
        index=f"{ROOT}/dataset/index.parquet",
        code=code_of("prepare_frames"),
    output:
        array=f"{VIEW}/images.npy",
    log:
        f"{ROOT}/logs/prepare_frames/crop~{{crop}}/size~{{size}}.log",
    benchmark:
        f"{ROOT}/benchmarks/prepare_frames/crop~{{crop}}/size~{{size}}.jsonl"
    wildcard_constraints:
        crop="none",
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        mem_mb=memory(2000),
    params:
        settings=view_settings,
    message:
        "Decode the images at {wildcards.size}"
    script:
        "../scripts/prepare_frames.py"


rule find_faces:
    input:
        **FOLDER,
        index=f"{ROOT}/dataset/index.parquet",
        about=given(config["dataset"]["boxes"]),
        code=code_of("find_faces"),
    output:
        boxes=f"{ROOT}/dataset/boxes.parquet",
    log:
        f"{ROOT}/logs/find_faces.log",
    benchmark:
        f"{ROOT}/benchmarks/find_faces.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        mem_mb=memory(2000),
    params:
        settings=dict(**folder_settings(), given=config["dataset"]["boxes"]),
    message:
        "Find the faces"
    script:
        "../scripts/find_faces.py"


rule crop_faces:
    input:
        **FOLDER,
        index=f"{ROOT}/dataset/index.parquet",
        boxes=f"{ROOT}/dataset/boxes.parquet",
        code=code_of("crop_faces"),
    output:
        array=f"{VIEW}/images.npy",
    log:
        f"{ROOT}/logs/crop_faces/crop~{{crop}}/size~{{size}}.log",
    benchmark:
        f"{ROOT}/benchmarks/crop_faces/crop~{{crop}}/size~{{size}}.jsonl"
    wildcard_constraints:
        crop="face",
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        mem_mb=memory(2000),
    params:
        settings=view_settings,
    message:
        "Cut the faces out at {wildcards.size}"
    script:
        "../scripts/crop_faces.py"


rule split_dataset:
    input:
        index=f"{ROOT}/dataset/index.parquet",
        about=file_of_split,
        code=code_of("split_dataset"),
    output:
        split=SPLIT,
    log:
        f"{ROOT}/logs/split_dataset/split~{{split}}/seed~{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/split_dataset/split~{{split}}/seed~{{seed}}.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(500),
    params:
        settings=split_settings,
    message:
        "Split the images: {wildcards.split}, seed {wildcards.seed}"
    script:
        "../scripts/split_dataset.py"


rule audit_splits:
    input:
        index=f"{ROOT}/dataset/index.parquet",
        splits=all_splits(),
        code=code_of("audit_splits"),
    output:
        crossings=f"{ROOT}/dataset/crossings.parquet",
    log:
        f"{ROOT}/logs/audit_splits.log",
    benchmark:
        f"{ROOT}/benchmarks/audit_splits.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(500),
    params:
        settings=dict(near_identical=config["dataset"]["near_duplicate_distance"]),
    message:
        "Look for what lies on both sides of a split"
    script:
        "../scripts/audit_splits.py"
