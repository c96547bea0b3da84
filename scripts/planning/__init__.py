"""What the rules ask for: file names, targets, settings of jobs, and digests of their code."""
