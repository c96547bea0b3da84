# The audit of the paper's own figures; no experiment takes part in it.
rule audit_paper:
    input:
        paper=shipped("resources/paper.yaml"),
        audit=shipped("resources/audit.yaml"),
        code=code_of("audit_paper") + templates_of("paper_audit"),
    output:
        document=local("docs/PAPER_AUDIT.md"),
    log:
        f"{ROOT}/logs/audit_paper.log",
    benchmark:
        f"{ROOT}/benchmarks/audit_paper.jsonl"
    conda:
        ENVIRONMENT
    resources:
        mem_mb=memory(500),
    message:
        "Audit the paper's figures"
    script:
        "../scripts/audit_paper.py"
