"""Many images: prepared in bounded memory, after a kill, and after ten more were added."""

import argparse
import io
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
from PIL import Image

from benchmarks.common import ROOT, SCRATCH, Row, write_results
from benchmarks.jobs import write_overlay
from benchmarks.load import snakemake

EXPERIMENT = "bench-large"
PLACE = ROOT / "results" / EXPERIMENT
SIZE = (128, 160)  # of the array; the stored images are twice as high and wide
ARRAY = f"results/{EXPERIMENT}/dataset/crop~none/size~{SIZE[0]}x{SIZE[1]}/images.npy"
LOGS = ("index_images", "prepare_frames")


def write_images(folder: Path, first: int, images: int) -> None:
    """JPEG images that all differ, in two classes."""
    tiles = np.random.default_rng(0).integers(0, 256, (64, 16, 20, 3), dtype=np.uint8)
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True, exist_ok=True)

    def write(number: int) -> None:
        picture = Image.fromarray(tiles[number % 64]).resize((2 * SIZE[1], 2 * SIZE[0]))
        picture.paste((number % 256, number // 256 % 256, number // 65536), (0, 0, 24, 24))
        stream = io.BytesIO()
        picture.save(stream, "JPEG", quality=85)
        (folder / "ab"[number % 2] / f"{number:06d}.jpg").write_bytes(stream.getvalue())

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(first, first + images)))


def prepare(what: str, kill_at: float | None = None) -> Row:
    """Prepare the array; ``kill_at`` this share of its rows everything is killed."""
    overlay = write_overlay(
        {
            "experiment": EXPERIMENT,
            "dataset": {"path": str(SCRATCH / "many")},
            "tracking": {"uri": None},
            "run_models": ["vgg8"],
            "models": {"vgg8": {"input_size": list(SIZE)}},
        }
    )
    command = [snakemake(), ARRAY, "--cores", "all", "--configfile", "config.yaml", overlay]
    started = time.perf_counter()
    run = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT,
        start_new_session=True,
    )  # fmt: skip
    peaks: dict[str, int] = {}
    watch = threading.Thread(target=watch_jobs, args=(run.pid, peaks))
    watch.start()
    while run.poll() is None:
        time.sleep(0.2)
        if kill_at is not None and finished_rows() > kill_at:
            os.killpg(run.pid, signal.SIGKILL)
    watch.join()
    if kill_at is None and run.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    row = {"what": what, "seconds": time.perf_counter() - started}
    row |= {f"{name}_mb": peaks.get(name, 0) / 1e6 for name in LOGS}
    if kill_at is not None:
        return row | {"decoded": finished_rows()}
    found = journalled_rows()
    if "index_images" not in peaks:  # it was there already: the log is of an earlier run
        del found["indexed"]
    return row | found


def finished_rows() -> float:
    """Rows that the journal of the array in progress notes."""
    journals = PLACE.glob(".kept/prepare_frames/*/*/*/partial.keys")
    return sum(bool(line) for j in journals for line in j.read_text().splitlines())


def journalled_rows() -> Row:
    """How many items each job knew or looked at, from its log."""
    index = (PLACE / "logs" / "index_images.log").read_text()
    (array,) = (PLACE / "logs" / "prepare_frames").rglob("*.log")
    known, items = map(int, re.findall(r"(\d+) of (\d+) items are known", index)[-1])
    looked, images = map(int, re.findall(r"looked at (\d+) of (\d+)", array.read_text())[-1])
    return {"indexed": items - known, "decoded": looked, "images": images}


def watch_jobs(pid: int, peaks: dict[str, int]) -> None:
    """Largest private memory of each job, until the run ends."""
    try:
        while psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
            for job in psutil.Process(pid).children(recursive=True):
                names = [name for name in LOGS if f".{name}.py" in " ".join(job.cmdline())]
                for name in names:
                    peaks[name] = max(peaks.get(name, 0), job.memory_info().rss)
            time.sleep(0.2)
    except psutil.Error:
        return


def main() -> None:
    """From nothing; killed half-way and resumed; ten images more."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=50_000)
    images = parser.parse_args().images
    started = time.time()
    shutil.rmtree(PLACE, ignore_errors=True)
    shutil.rmtree(SCRATCH / "many", ignore_errors=True)
    write_images(SCRATCH / "many", 0, images)
    rows = [prepare("from nothing")]
    shutil.rmtree(PLACE)
    rows.append(prepare("killed half-way", kill_at=images / 2))
    rows.append(prepare("the rest, after the kill"))
    write_images(SCRATCH / "many", images, 10)
    rows.append(prepare("ten images more"))
    lines = [
        "| run | seconds | looked at for the index | decoded for the array | peak of the index, MB "
        "| peak of the array, MB |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r['what']} | {r['seconds']:.0f} | {r.get('indexed', '–')} "
        f"| {r['decoded']} "
        f"| {r['index_images_mb']:.0f} | {r['prepare_frames_mb']:.0f} |"
        for r in rows
    ]
    whole = f"{images:,} JPEG images of {2 * SIZE[1]} x {2 * SIZE[0]} to {SIZE[1]} x {SIZE[0]}."
    write_results("large", rows, whole + "\n\n" + "\n".join(lines), started)
    shutil.rmtree(SCRATCH / "many")
    shutil.rmtree(PLACE)


if __name__ == "__main__":
    main()
