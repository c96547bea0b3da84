# Every job mirrors its record itself; this target sends what the store did not take.
rule resend_tracking:
    log:
        f"{ROOT}/logs/resend_tracking.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=1000,
    params:
        settings=dict(
            folder=f"{ROOT}/tracking",
            uri=config["tracking"]["uri"],
            experiment=EXPERIMENT,
            artifacts=config["tracking"]["artifacts"],
        ),
    message:
        "Send records that the tracking store did not take"
    script:
        "../scripts/resend_tracking.py"
