"""What README and docs claim about speed, and the commands that repeat it (see the Makefile)."""
