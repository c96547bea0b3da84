# The support vector machine of Dhall et al. 2011, on descriptors of the faces or on a sheet.
FEATURES = f"{ROOT}/baselines/baseline~{{baseline}}/features.parquet"


rule describe_images:
    input:
        array=view_of("face", config["baseline"]["face_size"]),
        index=f"{ROOT}/dataset/index.parquet",
        code=code_of("describe_images"),
    output:
        features=FEATURES.format(baseline="images"),
    log:
        f"{ROOT}/logs/describe_images.log",
    benchmark:
        f"{ROOT}/benchmarks/describe_images.jsonl"
    conda:
        ENVIRONMENT
    threads: 4
    resources:
        mem_mb=memory(2000),
    params:
        settings=config["baseline"]["descriptors"],
    message:
        "Describe the faces: LPQ and PHOG"
    script:
        "../scripts/describe_images.py"


rule read_features:
    input:
        sheet=given(config["baseline"]["feature_table"]),
        index=f"{ROOT}/dataset/index.parquet",
        code=code_of("read_features"),
    output:
        features=FEATURES.format(baseline="feature_table"),
        faults=report(
            f"{ROOT}/baselines/baseline~feature_table/faults.parquet",
            caption="../report/audit.rst",
            category="Data",
        ),
    log:
        f"{ROOT}/logs/read_features.log",
    benchmark:
        f"{ROOT}/benchmarks/read_features.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(500),
    message:
        "Read the sheet of features"
    script:
        "../scripts/read_features.py"


rule classify:
    input:
        features=FEATURES,
        split=SPLIT,
        code=code_of("classify"),
    output:
        predictions=f"{MACHINE}/predictions.parquet",
        metrics=f"{MACHINE}/metrics.parquet",
    log:
        f"{ROOT}/logs/classify/baseline~{{baseline}}/split~{{split}}/seed~{{seed}}.log",
    benchmark:
        f"{ROOT}/benchmarks/classify/baseline~{{baseline}}/split~{{split}}/seed~{{seed}}.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(2000),
    params:
        settings=machine_settings,
    message:
        "Train a support vector machine on {wildcards.baseline}, {wildcards.split}, seed {wildcards.seed}"
    script:
        "../scripts/classify.py"
