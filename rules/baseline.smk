# The support vector machine of Dhall et al. 2011, on descriptors of the faces or on a published feature table.
rule describe_images:
    input:
        array=targets.images_at("face", config["baseline"]["face_size"]),
        index=paths.index["index"],
    output: features=paths.features.format(baseline="images")
    log: paths.log("describe_images")
    benchmark: paths.benchmark("describe_images")
    conda: ENVIRONMENT
    threads: 4
    resources: mem_mb=growing(2000)
    params: settings=config["baseline"]["descriptors"], code=code_digest("describe_images")
    message: "Describe the faces: LPQ and PHOG"
    script: "../scripts/describe_images.py"


rule read_feature_table:
    input: feature_table=user_file(config["baseline"]["feature_table"]), index=paths.index["index"]
    output:
        features=paths.published_features["features"],
        faults=report(
            paths.published_features["faults"], caption="../report/audit.rst", category="Data"
        ),
    log: paths.log("read_feature_table")
    benchmark: paths.benchmark("read_feature_table")
    conda: ENVIRONMENT
    resources: mem_mb=growing(500)
    params: code=code_digest("read_feature_table")
    message: "Read the feature table"
    script: "../scripts/read_feature_table.py"


rule classify:
    input: features=paths.features, split=paths.split
    output: **paths.svm
    log: paths.log("classify", names.SVM)
    benchmark: paths.benchmark("classify", names.SVM)
    conda: ENVIRONMENT
    resources: mem_mb=growing(2000)
    params: settings=settings.classify, code=code_digest("classify")
    message: "Train a support vector machine on {wildcards.baseline}, {wildcards.split}, seed {wildcards.seed}"
    script: "../scripts/classify.py"
