"""Measure `hubel classify`: its rate beside the in-process limit, and its memory over a long run.

    python -m benchmarks.bulk rate --photos DIR [--rounds 6]
    python -m benchmarks.bulk memory --zip FILE [--copies 2] [--photos 55000] [--models DIR]
    python -m benchmarks.bulk memory --large 2000

`rate`: in one process and in turns, the photos of DIR are classified by one thread for each core
(the limit: benchmarks/serving/limit.py without its clock), by `hubel classify` into a folder of
parts, and by it from a tar file. Printed, in Markdown: photos/s, and the mean ratio to the limit of
the same round with its 95 % interval, by wall clock and by processor time.

`memory`: `hubel classify` runs on photos that are made here, in tar shards under new names, or as
JPEGs of 12 megapixels in a folder. Printed: the memory of its process over the run (PSS, in MB, of
each tenth), the rate, and whether each photo has exactly one row.
"""

import argparse
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
from PIL import Image
from threadpoolctl import threadpool_limits

from app import vision
from app.bulk import Classification, results_of
from app.bulk.part_folder import PartFolder
from app.bulk.text_rows import Columns
from app.cli.options import bulk_engine
from app.runtime.classifier import Query, classify
from app.runtime.host import available_cores
from app.runtime.loaded_model import Model, load_model
from app.sources.plan import Planner, read_shards
from benchmarks.observability import difference
from benchmarks.processor import describe

IMAGENET = Path(__file__).resolve().parents[1] / "model" / "imagenet"
LIMITS = vision.Limits(max_bytes=20_000_000, max_pixels=50_000_000)
_TOP_K = 3
_SHARD_PHOTOS = 5000
_LARGE_SIZE = (4000, 3000)
_LARGE_PHOTOS = 20
"""Different photos of 12 megapixels; the others are links to them."""


def run_limit(photos: Sequence[bytes], model: Model) -> None:
    """Classify photos that are in memory, on one thread for each core."""
    waiting, lock = iter(photos), threading.Lock()

    def work() -> None:
        while True:
            with lock:
                photo = next(waiting, None)
            if photo is None:
                return
            classify(photo, model, Query(_TOP_K), LIMITS)

    threads = [threading.Thread(target=work) for _ in range(available_cores())]
    with threadpool_limits(1, user_api="blas"):  # like the engine
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


def run_bulk(source: Path, out: Path, model: Model) -> int:
    """Classify a source into a folder of parts, as `hubel classify` does; return the rows."""
    lines = io.StringIO()
    work = Classification(_TOP_K, LIMITS)
    with PartFolder(out, "jsonl") as folder, bulk_engine(model) as engine:
        plan = Planner(lines).plan([str(source)])
        folder.begin({}, plan, lines)
        results = results_of(read_shards(lines), model, work, engine)
        return folder.write(results, Columns(_TOP_K)).rows


def measure_rate(photos: Path, rounds: int) -> None:
    """Print the rates of `run_bulk` beside that of `run_limit`."""
    model = load_model(IMAGENET, "cpu")
    files = sorted(path for path in photos.rglob("*") if path.is_file())
    data = [path.read_bytes() for path in files]
    seconds: dict[str, list[tuple[float, float]]] = {"limit": [], "folder": [], "tar": []}
    with tempfile.TemporaryDirectory() as made:
        tar = Path(made) / "photos.tar"
        write_tar(tar, ((path.name, each) for path, each in zip(files, data, strict=True)))
        runs: dict[str, Callable[[Path], object]] = {
            "limit": lambda _: run_limit(data, model),
            "folder": lambda out: run_bulk(photos, out, model),
            "tar": lambda out: run_bulk(tar, out, model),
        }
        for number in range(rounds + 1):
            for name, run in runs.items():
                began, cpu_began = time.perf_counter(), time.process_time()
                run(Path(made) / f"{name}-{number}")
                elapsed = time.perf_counter() - began, time.process_time() - cpu_began
                if number:  # the first one warms up
                    seconds[name].append(elapsed)
    print(f"{describe()}; {len(files)} photos, {rounds} rounds\n")
    print("| run | photos/s | ratio to the limit | by processor time |\n|---|---|---|---|")
    for name, measured in seconds.items():
        per_s = statistics.median(len(files) / wall for wall, _ in measured)
        cells = ["", ""]
        if name != "limit":
            for part in (0, 1):
                limit = [each[part] for each in seconds["limit"]]
                change, half = difference(limit, [each[part] for each in measured])
                cells[part] = f"{1 + change:.3f} ± {half:.3f}"
        shown = " | ".join(cells)
        print(f"| {name} | {per_s:.1f} | {shown} |")


def write_tar(path: Path, members: Iterator[tuple[str, bytes]]) -> None:
    """Write a tar file."""
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def make_shards(archive: Path, folder: Path, copies: int, most: int) -> int:
    """Write the JPEGs of a zip file into tar shards, several times under new names."""
    count = 0
    with zipfile.ZipFile(archive) as zipped:
        names = [name for name in zipped.namelist() if name.endswith(".jpg")][:most]
        for copy in range(copies):
            members = ((f"{copy}/{name}", zipped.read(name)) for name in names)
            while some := list(islice(members, _SHARD_PHOTOS)):
                write_tar(folder / f"{count:06}.tar", iter(some))
                count += len(some)
    return count


def make_large(folder: Path, count: int) -> int:
    """Write JPEGs of 12 megapixels: a few different ones, and links to them."""
    generator = np.random.default_rng(0)
    for number in range(min(count, _LARGE_PHOTOS)):
        coarse = generator.integers(0, 256, (60, 80, 3), np.uint8)
        image = Image.fromarray(coarse).resize(_LARGE_SIZE, Image.Resampling.BICUBIC)
        noise = generator.integers(-12, 13, (*_LARGE_SIZE[::-1], 1), np.int16)
        pixels = np.clip(np.asarray(image, np.int16) + noise, 0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05}.jpg", quality=85)
    for number in range(_LARGE_PHOTOS, count):
        os.link(folder / f"{number % _LARGE_PHOTOS:05}.jpg", folder / f"{number:05}.jpg")
    return count


def pss_mb(pid: int) -> float | None:
    """Return the memory of a process, in MB; None if it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    except OSError:
        return None
    lines = [line for line in text.splitlines() if line.startswith("Pss:")]
    return int(lines[0].split()[1]) / 1024 if lines else None


def measure_memory(source: Path, out: Path, count: int, models: Path | None) -> None:
    """Run `hubel classify`, and print its memory over the run and what it wrote."""
    hubel = [sys.executable, "-c", "from app.cli import main; main()"]
    command = [*hubel, "classify", str(source), "--output", str(out)]
    began, samples = time.perf_counter(), list[float]()
    with subprocess.Popen(
        [*command, *([] if models is None else ["--models", str(models)])]
    ) as run:
        while run.poll() is None:
            if (out / ".hubel" / "run.json").exists() and (pss := pss_mb(run.pid)) is not None:
                samples.append(pss)
            time.sleep(0.2)
    elapsed = time.perf_counter() - began
    paths = list[str]()
    for part in out.glob("part-*.jsonl"):
        with part.open(encoding="utf-8") as rows:
            paths += [json.loads(row)["path"] for row in rows]
    tenths = [samples[len(samples) * tenth // 10] for tenth in range(10)] + samples[-1:]
    print(f"{describe()}\n")
    print(f"{count} photos in {elapsed:.0f} s: {count / elapsed:.1f}/s; exit code {run.returncode}")
    print(f"rows {len(paths)}, different paths {len(set(paths))}")
    print(f"PSS in MB at each tenth: {' '.join(f'{each:.0f}' for each in tenths)}")
    print(f"highest {max(samples):.0f}, median {statistics.median(samples):.0f}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure what the arguments say."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("what", choices=["rate", "memory"])
    parser.add_argument("--photos", help="rate: a folder; memory: the most photos of the zip file")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--zip", type=Path)
    parser.add_argument("--copies", type=int, default=2)
    parser.add_argument("--large", type=int, default=0)
    parser.add_argument("--models", type=Path)
    given = parser.parse_args(arguments)
    if given.what == "rate":
        measure_rate(Path(given.photos), given.rounds)
        return
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "photos"
        folder.mkdir()
        if given.large:
            count = make_large(folder, given.large)
        else:
            most = int(given.photos or 55_000)
            count = make_shards(given.zip, folder, given.copies, most)
        measure_memory(folder, Path(made) / "out", count, given.models)


if __name__ == "__main__":
    main()
