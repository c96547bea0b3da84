"""How long selections and sweeps take, beside a double loop over pairs in plain Python.

    python -m benchmarks.pruning

The layers are random sigmoids of the paper's sizes; timings do not depend on the activations.
"""

import argparse
import json
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.common import Row, in_new_process, peak_mb, summarise, write_results

PATTERNS, TEST, CLASSES = 540, 135, 7
ANGLE = 10.0
SAMPLE = 300_000  # pairs of the double loop where all would take too long


def sigmoids(patterns: int, units: int, seed: int = 0) -> np.ndarray:
    """Activations, patterns x units, some pairs of which are close to each other."""
    draws = np.random.default_rng(seed)
    values = draws.standard_normal((patterns, units))
    values[:, 1::10] = values[:, ::10][:, : values[:, 1::10].shape[1]]
    values += 0.05 * draws.standard_normal((patterns, units))
    return 1 / (1 + np.exp(-values))


def measure_select(units: int) -> Row:
    """Angles and greedy selection of a whole layer."""
    from neuron_pruning.pruning.redundancy import select_units

    activations = sigmoids(PATTERNS, units)
    started = time.perf_counter()
    selection = select_units(activations, ANGLE)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "removed": len(selection.removals), "pairs": _pairs(units)}


def measure_loop(units: int) -> Row:
    """The same by a double loop over pairs: angles, then the closest alive pair by pair.

    Where there are more than ``SAMPLE`` pairs only so many are looked at, and the time is scaled.
    """
    centred = (sigmoids(PATTERNS, units) - 0.5).T.copy()
    most = min(SAMPLE, _pairs(units)) if units > 1024 else _pairs(units)
    found, looked = [], 0
    started = time.perf_counter()
    for i in range(units):
        for j in range(i + 1, units):
            a, b = centred[i], centred[j]
            cosine = np.dot(a, b) / (np.linalg.norm(a) * np.linalg.norm(b))
            angle = np.degrees(np.arccos(np.clip(cosine, -1.0, 1.0)))
            if angle < ANGLE:
                found.append((angle, i, j))
            looked += 1
            if looked == most:
                break
        if looked == most:
            break
    alive = [True] * units
    for _, i, j in sorted(found):
        if alive[i] and alive[j]:
            alive[j] = False
    seconds = (time.perf_counter() - started) * _pairs(units) / looked
    return {"seconds": seconds, "removed": units - sum(alive), "pairs": looked}


def _pairs(units: int) -> int:
    return units * (units - 1) // 2


def measure_sweeps(seeds: int) -> Row:
    """All techniques, every amount, on so many layers of 100 units, one after the other."""
    from neuron_pruning.evaluation.sweeps import SweepSettings, counts_up_to, sweep
    from neuron_pruning.models.dense import Dense, hidden_activations
    from neuron_pruning.pruning.techniques import REGISTRY
    from neuron_pruning.pruning.units import Layer, LayerActivations

    settings = SweepSettings(("own", "none", "bias", "lstsq"), 0.5, counts_up_to(100, 200), 20)
    spent: dict[str, float] = {}
    started, points = time.perf_counter(), 0
    for seed in range(seeds):
        draws = np.random.default_rng(seed)
        into = Dense(draws.normal(0, 1526**-0.5, (100, 1526)), np.zeros(100))
        out = Dense(draws.normal(size=(CLASSES, 100)), np.zeros(CLASSES))
        inputs = draws.standard_normal((PATTERNS + TEST, 1526))
        activations = hidden_activations(into, inputs)
        labels = draws.integers(CLASSES, size=PATTERNS + TEST)
        parts = [
            LayerActivations(activations[rows], inputs[rows], labels[rows])
            for rows in (slice(PATTERNS), slice(PATTERNS, None))
        ]
        names = [name for name in REGISTRY if name.startswith(("karnin", "torch_pruning_"))]
        scores = {name: draws.random(100) for name in names}
        for name, technique in REGISTRY.items():
            begun = time.perf_counter()
            layer = Layer("fc3", into, out, parts[0], scores, seed)
            found = sweep(layer, parts[1], technique, {}, technique.compensation, settings)
            points += sum(1 for _ in found)
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - begun
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "removed": None, "pairs": points, "by_technique": json.dumps(spent)}


MEASURES = {"select": measure_select, "loop": measure_loop, "sweeps": measure_sweeps}


def report(rows: Sequence[Row]) -> str:
    """The table and its summary."""
    table = summarise(rows, ["what", "size"], "seconds")
    memory = summarise(rows, ["what", "size"], "peak_mb").set_index(["what", "size"])["max"]
    lines = ["| what | size | seconds (range) | peak memory |", "|---|---|---|---|"]
    names = {
        "select": "angles and selection, units",
        "loop": "the same in a double loop, units",
        "sweeps": "all techniques swept over 100 units, seeds",
    }
    for row in table.itertuples():
        spread = f"{row.median:.3g} ({row.min:.3g}-{row.max:.3g})"
        peak = memory[row.what, row.size] / 1000
        lines.append(f"| {names[row.what]} | {row.size:,} | {spread} | {peak:.1f} GB |")
    medians = table.set_index(["what", "size"])["median"]
    for size in sorted({r["size"] for r in rows if r["what"] == "loop"}):
        ratio = medians["loop", size] / medians["select", size]
        lines.append(f"\n{size:,} units: {ratio:.0f} times as fast as the double loop.")
    slowest: dict[str, float] = {}
    for row in rows:
        if row.get("by_technique"):
            for name, spent in json.loads(row["by_technique"]).items():
                slowest[name] = max(slowest.get(name, 0.0), spent)
    first = sorted(slowest.items(), key=lambda item: -item[1])[:5]
    listed = ", ".join(f"{name} {spent:.1f} s" for name, spent in first)
    lines.append(f"\nThe slowest techniques, all seeds: {listed}.")
    return "\n".join(lines)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=2)
    parser.add_argument("--job")
    arguments = parser.parse_args()
    if arguments.job:
        job = json.loads(arguments.job)
        found = MEASURES[job["what"]](job["size"])
        print(json.dumps({**found, "peak_mb": peak_mb()}))
        return
    started, rows = time.time(), []
    jobs = [("select", 1024), ("loop", 1024), ("select", 10240), ("loop", 10240), ("sweeps", 3)]
    for repeat in range(arguments.repeats):
        for what, size in jobs:
            job = {"what": what, "size": size}
            rows.append({**job, "repeat": repeat, **in_new_process("pruning", job)})
            print(rows[-1]["what"], size, f"{rows[-1]['seconds']:.2f} s", flush=True)
    text = report(rows)
    note = (
        f"\n{PATTERNS} patterns; {ANGLE:g} degrees. The double loop of 10,240 units looks at the "
        f"first {SAMPLE:,} pairs and is scaled to all; that of 1,024 units runs whole. Sweeps: "
        "every half degree and every number of units, four compensations, 20 random draws."
    )
    write_results("pruning", rows, text + note, started)


if __name__ == "__main__":
    main()
