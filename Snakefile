"""From images to Tables 1-6 and a report: `snakemake --cores 4 --resources gpu=1`."""

import sys
from pathlib import Path

from snakemake.utils import min_version

min_version("9.20")
PROJECT = Path(str(workflow.current_basedir))  # basedir is of who uses this as a module
sys.path.insert(0, str(PROJECT / "scripts"))

from neuron_pruning.configuration.validation import read_config
from neuron_pruning.core.errors import UserError

# Of the working directory; where it has none, the paper's own is what --configfile goes on top of.
CONFIG = Path("config.yaml") if Path("config.yaml").exists() else PROJECT / "config.yaml"

# Snakemake unfolds anchors, and runs Python in a config. It has read what --configfile names.
try:
    if workflow.is_main_process and workflow.modifier.is_main_snakefile():
        read_config(CONFIG)
except UserError as error:
    raise WorkflowError(str(error)) from None

if workflow.modifier.path_modifier.replace_prefix("results") != "results":
    raise WorkflowError(
        "results of this workflow lie below results/ in the working directory: leave prefix and "
        "replace_prefix out of the module; tell results apart by experiment, or use --directory"
    )


configfile: str(CONFIG)


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
include: "rules/networks.smk"
include: "rules/tables.smk"
include: "rules/cuts.smk"
include: "rules/audit.smk"
include: "rules/report.smk"


report: "report/workflow.rst"


localrules:
    all,
    sizes,
    comparison,
    networks,


rule all:
    default_target: True
    input:
        tables=[paths.table(name) for name in targets.tables],
        rendered=[path for name in targets.tables for path in targets.rendered(name)],
        report=paths.report,
