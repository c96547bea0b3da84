# Around a run: its lock, and the uploader that sends the records of jobs to the tracking store.
import time

from runtime.clock import SKEW, date_back, files_below
from runtime.run_lock import RunLock
from runtime.tracking_uploader import TrackingUploader

lock = RunLock(Path(paths.root))
uploader = TrackingUploader(Path(paths.tracking), settings.tracking())


onstart:
    try:
        lock.take()
    except UserError as error:
        raise WorkflowError(str(error)) from None
    if date_back(files_below(Path(paths.root)), time.time(), SKEW):
        print("files from the future were dated back: a clock has jumped", file=sys.stderr)
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
