# Around a run: what it finds, its lock, and the uploader of records for the tracking store.
from runtime.provenance import mixed_threads, settle
from runtime.run_lock import RunLock
from runtime.tracking_uploader import TrackingUploader

lock = RunLock(Path(paths.root))
uploader = TrackingUploader(Path(paths.tracking), settings.tracking())

if workflow.is_main_process:
    for line in settle(Path(paths.root)):
        print(line, file=sys.stderr)


onstart:
    try:
        lock.take()
    except UserError as error:
        raise WorkflowError(str(error)) from None
    planned = set(workflow.dag.needrun_jobs())
    kept = (job for job in workflow.dag.jobs if job not in planned)
    for line in mixed_threads(Path(paths.root), kept, planned):
        print(line, file=sys.stderr)
    uploader.start()


onsuccess:
    uploader.finish()


onerror:
    uploader.finish()


# Sends what the store did not take while the jobs ran.
rule sync_tracking:
    log: paths.log("sync_tracking")
    conda: ENVIRONMENT
    resources: mem_mb=growing(500)
    params: settings=dict(**settings.tracking(), folder=paths.tracking)
    message: "Send records that the tracking store did not take"
    script: "../scripts/sync_tracking.py"
