# Around a run: what it finds, its lock, and the uploader of records for the tracking store.
import atexit

from planning.after_selection import announce, announce_dry_run
from runtime.bucket_records import BucketRecords
from runtime.provenance import mixed_arithmetic, settle
from runtime.run_lock import RunLock
from runtime.scheduling import drop_default_limit
from runtime.tracking_uploader import TrackingUploader, check_records_wait, finish_tracking

IMPORTED = not workflow.modifier.is_main_snakefile()  # then Snakemake calls no onstart of ours
lock = RunLock(Path(paths.root))
uploader = TrackingUploader(Path(paths.tracking), settings.tracking())
bucket_records = BucketRecords(workflow, paths.root, targets.made_folders)

if workflow.is_main_process:
    bucket_records.take_over()
    for line in settle(Path(paths.root)):
        print(line, file=sys.stderr)


onstart:
    only_sends = [job.rule.name for job in workflow.dag.jobs] == ["sync_tracking"]
    try:
        if only_sends:
            check_records_wait(Path(paths.tracking), config["tracking"]["uri"])
        lock.take()
    except UserError as error:
        raise WorkflowError(str(error)) from None
    drop_default_limit(workflow.scheduler)
    planned = set(workflow.dag.needrun_jobs())
    kept = (job for job in workflow.dag.jobs if job not in planned)
    for line in mixed_arithmetic(Path(paths.root), kept, planned):
        print(line, file=sys.stderr)
    announce(workflow, targets)
    if not only_sends:  # that job has an uploader of its own
        uploader.start()


atexit.register(announce_dry_run, workflow, targets)
# No handlers: an idle, stopped or failing run calls none.
atexit.register(bucket_records.leave)
atexit.register(finish_tracking, uploader, lock, workflow, IMPORTED)


localrules:
    sync_tracking,


# Sends what the store did not take while the jobs ran.
rule sync_tracking:
    log: paths.log("sync_tracking")
    conda: ENVIRONMENT
    params: settings=dict(**settings.tracking(), folder=paths.tracking)
    message: "Send records that the tracking store did not take"
    script: "../scripts/sync_tracking.py"
