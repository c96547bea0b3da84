# Jobs write records; the courier sends them to the tracking store while the workflow runs.
from courier import Courier

TRACKING = f"{ROOT}/tracking"
COURIER = Courier(
    Path(TRACKING),
    dict(
        uri=config["tracking"]["uri"],
        experiment=EXPERIMENT,
        artifacts=config["tracking"]["artifacts"],
    ),
)


onstart:
    take_lock()
    COURIER.start()


onsuccess:
    COURIER.finish()


onerror:
    COURIER.finish()


# Sends what the store did not take while the jobs ran.
rule sync_tracking:
    log:
        f"{ROOT}/logs/sync_tracking.log",
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(500),
    params:
        settings=dict(
            folder=TRACKING,
            uri=config["tracking"]["uri"],
            experiment=EXPERIMENT,
            artifacts=config["tracking"]["artifacts"],
        ),
    message:
        "Send records that the tracking store did not take"
    script:
        "../scripts/sync_tracking.py"
