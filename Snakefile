"""From images to Tables 1-8 and a report: `snakemake --cores 4 --resources gpu=1`."""

from snakemake.utils import min_version

min_version("9.20")


configfile: "config.yaml"


include: "rules/common.smk"


# Before the rules: set later, they would not reach rules whose files lie in a bucket.
wildcard_constraints:
    **targets.wildcard_constraints,


include: "rules/tracking.smk"
include: "rules/data.smk"
include: "rules/train.smk"
include: "rules/evaluate.smk"
include: "rules/baseline.smk"
include: "rules/prune.smk"
include: "rules/compare.smk"
include: "rules/tables.smk"
include: "rules/cuts.smk"
include: "rules/audit.smk"
include: "rules/report.smk"


report: "report/workflow.rst"


localrules:
    all,
    sizes,


rule all:
    default_target: True
    input:
        tables=[paths.table(name) for name in targets.tables],
        rendered=[path for name in targets.tables for path in targets.rendered(name)],
        report=paths.report,
