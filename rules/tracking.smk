STORE = dict(
    uri=config["tracking"]["uri"],
    experiment=EXPERIMENT,
    artifacts=config["tracking"]["artifacts"],
)


rule open_tracking:
    output:
        store=f"{ROOT}/tracking/store.json",
    log:
        f"{ROOT}/logs/open_tracking.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        settings=STORE,
    script:
        "../scripts/open_tracking.py"


rule resend_tracking:
    log:
        f"{ROOT}/logs/resend_tracking.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        settings=dict(**STORE, pending=f"{ROOT}/tracking/pending"),
    script:
        "../scripts/resend_tracking.py"
