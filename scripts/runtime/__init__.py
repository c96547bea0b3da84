"""Between Snakemake and the package: jobs, the lock of a run, clocks, and the tracking uploader."""
