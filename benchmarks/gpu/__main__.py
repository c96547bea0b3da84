"""Command line of the GPU program."""

import argparse
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
REHEARSAL = ROOT / "results" / "bench" / "rehearsal"  # never among the published figures


def main() -> int:
    """Run one part; the exit status is 1 if anything in it failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("part", choices=["smoke", "paper", "bench"])
    parser.add_argument("--device", choices=["cuda", "cpu"], default="cuda", help="cpu: rehearse")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--only", nargs="+", help="smoke, bench: names of checks or measurements")
    parser.add_argument("--jobs-per-gpu", type=int, default=1, help="paper: trainings at once")
    parser.add_argument("--whole", action="store_true", help="paper: tables and report, too")
    arguments = parser.parse_args()
    if arguments.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        os.environ.setdefault("BENCHMARK_RESULTS", str(REHEARSAL))
    # Only now: the modules read these variables when they are imported.
    from benchmarks.gpu import bench, paper, smoke

    if arguments.device == "cuda" and not smoke.has_gpu():
        print("PyTorch finds no GPU here; --device cpu rehearses", file=sys.stderr)
        return 2
    parts = {"smoke": smoke.run, "paper": paper.run, "bench": bench.run}
    return int(not parts[arguments.part](arguments))


if __name__ == "__main__":
    sys.exit(main())
