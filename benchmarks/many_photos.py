"""Measure the memory and the time of `hubel train` with many photos and classes.

    python -m benchmarks.many_photos [--photos N …] [--classes K] [--backbone NAME] [--size S]

Makes JPEGs of SxS pixels: a pattern of its own for each class, and noise. Trains on each number of
photos in a process of its own, and prints its peak of memory, sampled ten times a second: `private`
is the process's own (RssAnon), `resident` includes pages of mapped files. The embeddings' size is
beside it.
"""

import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click
import numpy as np
from PIL import Image

_WIDTH = 1280
_SIDE = 6
_INTERVAL_S = 0.1


def make_photos(folder: Path, photos: int, classes: int, size: int) -> None:
    """Write `photos` JPEGs in `classes` folders."""
    rng = np.random.default_rng(0)
    patterns = rng.integers(0, 200, (classes, _SIDE, _SIDE, 3))
    for label in range(classes):
        (folder / f"{label:04}").mkdir(parents=True)
    for index in range(photos):
        label = index % classes
        noisy = patterns[label] + rng.integers(0, 56, (_SIDE, _SIDE, 3))
        shift = rng.integers(0, 16, (size, size, 3), np.uint8)
        picture = Image.fromarray(noisy.astype(np.uint8)).resize((size, size), 2)
        data = io.BytesIO()
        Image.fromarray((np.asarray(picture) // 2 + 8 * shift).astype(np.uint8)).save(
            data, "JPEG", quality=80
        )
        (folder / f"{label:04}" / f"{index:06}.jpg").write_bytes(data.getvalue())


def peaks(command: list[str], log: Path) -> tuple[float, float, float]:
    """Run a command; return its peaks of private and resident memory in MB, and its seconds."""
    began, private, resident = time.monotonic(), 0, 0
    with log.open("w") as file, subprocess.Popen(command, stdout=file, stderr=file) as process:
        while process.poll() is None:
            values = _status(process.pid)
            private = max(private, values.get("RssAnon", 0))
            resident = max(resident, values.get("VmRSS", 0))
            time.sleep(_INTERVAL_S)
    if process.returncode:
        raise SystemExit(log.read_text())
    return private / 1024, resident / 1024, time.monotonic() - began


def _status(pid: int) -> dict[str, int]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    pairs = (line.split(":") for line in lines if line.endswith(" kB"))
    return {name: int(value.split()[0]) for name, value in pairs}


@click.command()
@click.option("--photos", "counts", multiple=True, type=int, default=(5_000, 10_000, 50_000))
@click.option("--classes", default=1000, show_default=True)
@click.option("--backbone", default="lite0", show_default=True)
@click.option("--size", default=96, show_default=True, help="Side of the photos, in pixels.")
@click.option("--folder", type=click.Path(path_type=Path), help="Folder for temporary files.")
def main(
    counts: tuple[int, ...], classes: int, backbone: str, size: int, folder: Path | None
) -> None:
    """Print a table, in Markdown."""
    print("| photos | classes | private, MB | resident, MB | embeddings, MB | time, s |")
    print("|---|---|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory(dir=folder) as temporary:
            data, log = Path(temporary) / "data", Path(temporary) / "log"
            make_photos(data, count, classes, size)
            command = [sys.executable, "-m", "training", str(data)]
            command += ["--output", str(Path(temporary) / "bundle"), "--backbone", backbone]
            private, resident, seconds = peaks(command, log)
            print(
                f"| {count} | {classes} | {private:.0f} | {resident:.0f} "
                f"| {count * _WIDTH * 4 / 1e6:.0f} | {seconds:.0f} |",
                flush=True,
            )
            print(log.read_text(), file=sys.stderr)


if __name__ == "__main__":
    main()
