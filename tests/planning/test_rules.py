"""The rule files stay short, and keep their order of directives."""

import re
from pathlib import Path

RULES = sorted((Path(__file__).parents[2] / "rules").glob("*.smk"))
ORDER = ["input", "output", "wildcard_constraints", "log", "benchmark", "conda", "threads"]
ORDER += ["resources", "params", "message", "script"]


def rules():
    for path in RULES:
        for block in re.split(r"^(?=(?:use )?(?:rule|checkpoint) )", path.read_text(), flags=re.M):
            if re.match(r"(use )?(rule|checkpoint) ", block):
                yield re.split(r"\n(?=\S)", block.rstrip())[0]


def test_rule_files_are_short():
    assert sum(len(path.read_text().splitlines()) for path in RULES) <= 700
    common = next(path for path in RULES if path.name == "common.smk")
    assert len(common.read_text().splitlines()) <= 60


def test_directives_stand_in_one_order():
    for rule in rules():
        found = re.findall(r"^    (\w+):", rule, re.M)
        assert found == [name for name in ORDER if name in found], rule
