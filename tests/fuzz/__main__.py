"""Fuzz one reader: ``python -m tests.fuzz image -max_total_time=600 -runs=100000``.

Arguments behind the name go to libFuzzer. The corpus begins with valid files, and everything that
is found lies in a temporary folder, which is printed where a case breaks.
"""

import sys
import tempfile
from pathlib import Path

import atheris

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

# What takes the bytes apart: mutations that reach new lines of it are kept.
READERS = ["neuron_pruning", "PIL", "openpyxl", "safetensors", "yaml", "csv", "json", "zipfile"]
with atheris.instrument_imports(include=READERS):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run libFuzzer over the target that the command line names."""
    name, *options = sys.argv[1:]
    target = TARGETS[name]
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{name}-"))
    (folder / "corpus").mkdir()
    for number, seed in enumerate(target.seeds()):
        (folder / "corpus" / str(number)).write_bytes(seed)
    print(f"{name}: cases that break are kept in {folder}", flush=True)
    limits = [
        f"-artifact_prefix={folder}/",
        "-rss_limit_mb=4096",
        "-max_len=65536",
        "-len_control=0",
    ]
    atheris.Setup([sys.argv[0], str(folder / "corpus"), *limits, *options], target.read)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
