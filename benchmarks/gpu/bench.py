"""The benchmark tables of a GPU, each by its own command and within its own time."""

import argparse
import subprocess
import sys

from benchmarks.common import ROOT

TRAINING = ("training", "--repeats", "1", "--sensitivity")
FULL = {  # name: seconds at most, command
    "floor": (60, ("floor", "--name", "floor-gpu")),
    "training": (300, (*TRAINING, "--name", "training-gpu", "--passes", "16",
                       "--plain", "tf32", "float32", "--precisions", "float32", "tf32",
                       "bfloat16")),
    "step": (90, ("profile", "step", "--name", "profile-step-gpu", "--batch-size", "128",
                  "--precision", "bfloat16")),
    "autotuned": (120, (*TRAINING, "--name", "training-gpu-autotuned", "--passes", "16",
                        "--plain", "--autotune", "--precisions", "bfloat16")),
    "layers": (90, ("profile", "layers", "--name", "profile-layers-gpu")),
}  # fmt: skip
TINY = ("--models", "alexnet", "--batch-sizes", "4", "--images", "35", "--precisions", "float32")
REHEARSED = {
    "floor": FULL["floor"],
    "training": (300, (*FULL["training"][1], "--passes", "1", "--plain", "float32", *TINY)),
    "step": (90, (*FULL["step"][1], "--models", "alexnet", "--batch-size", "4")),
    "autotuned": (120, (*FULL["autotuned"][1], "--passes", "1", *TINY)),
    "layers": (90, (*FULL["layers"][1], "--models", "alexnet", "--batch-size", "4")),
}


def run(arguments: argparse.Namespace) -> bool:
    """Run all measurements, or those asked for, and on after a failure; whether none failed."""
    commands = FULL if arguments.device == "cuda" else REHEARSED
    failed = []
    for name in arguments.only or commands:
        limit, command = commands[name]
        if name == "floor" and arguments.device == "cuda":
            command = (*command, "--gpu", family())
        if not succeeds(command, limit):
            failed.append(name)
    print(f"failed: {failed or 'none'}")
    return not failed


def family() -> str:
    """The GPU whose peaks the floor is computed from; ASSUME: those of the H200 for any other."""
    import torch

    return "H100" if "H100" in torch.cuda.get_device_name() else "H200"


def succeeds(command: tuple[str, ...], limit: float) -> bool:
    """Whether a benchmark ends well within ``limit`` seconds."""
    module, *rest = command
    try:
        call = [sys.executable, "-m", f"benchmarks.{module}", *rest]
        return subprocess.run(call, cwd=ROOT, timeout=limit, check=False).returncode == 0
    except subprocess.TimeoutExpired:
        print(f"{module}: not done in {limit} s; its rows so far are kept")
        return False
