# The audit of the paper's own figures; no experiment takes part in it.
rule audit_paper:
    output: document=local("docs/PAPER_AUDIT.md")
    log: paths.log("audit_paper")
    benchmark: paths.benchmark("audit_paper")
    conda: ENVIRONMENT
    resources: mem_mb=growing(500)
    params: code=code_digest("audit_paper", "resources/paper.yaml", "resources/audit.yaml")
    message: "Audit the paper's figures"
    script: "../scripts/audit_paper.py"
