# Images: drawn, of a named data set or the user's, their index, arrays, faces, splits and leakage between parts.
rule make_faces:
    output: folder=directory(paths.faces)
    log: paths.log("make_faces")
    benchmark: paths.benchmark("make_faces")
    conda: ENVIRONMENT
    threads: 4
    resources: mem_mb=growing(2000)
    params: settings=config["faces"], code=code_digest("make_faces")
    message: "Draw the built-in faces"
    script: "../scripts/make_faces.py"


localrules:
    make_dataset,


# On the machine where the command was typed: others often reach no network.
rule make_dataset:
    output: folder=directory(paths.named_dataset)
    log: paths.log("make_dataset", names.DATASET)
    benchmark: paths.benchmark("make_dataset", names.DATASET)
    conda: ENVIRONMENT
    resources: mem_mb=growing(2000)
    params: settings=settings.named_dataset, code=code_digest("make_dataset")
    message: "Write {wildcards.dataset}, part {wildcards.part}"
    script: "../scripts/make_dataset.py"


rule index_images:
    input: **IMAGE_FOLDER
    output:
        index=paths.index["index"],
        audit=report(paths.index["audit"], caption="../report/audit.rst", category="Data"),
    log: paths.log("index_images")
    benchmark: paths.benchmark("index_images")
    conda: ENVIRONMENT
    threads: 4
    resources: mem_mb=growing(2000)
    params: settings=settings.index, code=code_digest("index_images")
    message: "Look at every image once: index, audit"
    script: "../scripts/index_images.py"


rule prepare_frames:
    input: **IMAGE_FOLDER, index=paths.index["index"]
    output: array=paths.images
    wildcard_constraints: crop="none"
    log: paths.log("prepare_frames", names.IMAGES)
    benchmark: paths.benchmark("prepare_frames", names.IMAGES)
    conda: ENVIRONMENT
    threads: 4
    resources: mem_mb=growing(2000)
    params: settings=settings.images, code=code_digest("prepare_frames")
    message: "Decode the images at {wildcards.size}"
    script: "../scripts/prepare_frames.py"


rule find_faces:
    input: **IMAGE_FOLDER, index=paths.index["index"], about=user_file(config["dataset"]["boxes"])
    output: boxes=paths.boxes
    log: paths.log("find_faces")
    benchmark: paths.benchmark("find_faces")
    conda: ENVIRONMENT
    threads: 4
    resources: mem_mb=growing(2000)
    params: settings=settings.find_faces(), code=code_digest("find_faces")
    message: "Find the faces"
    script: "../scripts/find_faces.py"


rule crop_faces:
    input: **IMAGE_FOLDER, index=paths.index["index"], boxes=paths.boxes
    output: array=paths.images
    wildcard_constraints: crop="face"
    log: paths.log("crop_faces", names.IMAGES)
    benchmark: paths.benchmark("crop_faces", names.IMAGES)
    conda: ENVIRONMENT
    threads: 4
    resources: mem_mb=growing(2000)
    params: settings=settings.images, code=code_digest("crop_faces")
    message: "Cut the faces out at {wildcards.size}"
    script: "../scripts/crop_faces.py"


rule split_dataset:
    input:
        index=paths.index["index"],
        about=lambda wildcards: user_file(config["splits"][wildcards.split]["file"]),
    output: split=paths.split
    log: paths.log("split_dataset", names.SPLIT)
    benchmark: paths.benchmark("split_dataset", names.SPLIT)
    conda: ENVIRONMENT
    resources: mem_mb=growing(500)
    params: settings=settings.split, code=code_digest("split_dataset")
    message: "Split the images: {wildcards.split}, seed {wildcards.seed}"
    script: "../scripts/split_dataset.py"


rule audit_splits:
    input: index=paths.index["index"], splits=targets.splits_named(config["split"])
    output: leakage=paths.leakage
    log: paths.log("audit_splits")
    benchmark: paths.benchmark("audit_splits")
    conda: ENVIRONMENT
    resources: mem_mb=growing(500)
    params: settings=settings.audit_splits(), code=code_digest("audit_splits")
    message: "Look for leakage between the parts of each split"
    script: "../scripts/audit_splits.py"


use rule audit_splits as audit_compared_splits with:
    input:
        index=paths.index["index"],
        splits=targets.splits_named(config["split"], *config["comparison"]["splits"]),
    output: leakage=paths.compared_leakage
    log: paths.log("audit_compared_splits")
    benchmark: paths.benchmark("audit_compared_splits")
