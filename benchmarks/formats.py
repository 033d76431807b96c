"""Compare TIFF, AVIF and HEIC files of independent encoders with those tools' own decoders.

python -m benchmarks.formats [--format tiff|avif|heic] [--keep DIR]

Encoders and decoders: ImageMagick, tiffcp (libtiff-tools), avifenc and avifdec (libavif-bin),
heif-enc and heif-convert (libheif-examples); `apt-get install` has them all. Every file is made
from one photo of the repository, decoded by Hubel and by a tool, and both results are brought to
the canvas. BOUNDS has the differences that are allowed.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import click
import numpy as np
from PIL import Image, ImageCms

from app import vision
from benchmarks.format_cases import Case, cases

BOUNDS = {"tiff": (0.2, 2), "avif": (0.3, 2), "avif, deep": (0.8, 4), "heic": (0.3, 4)}
"""Mean and maximum difference of one channel of a pixel, of 255, by format. libavif converts 10 and
12 bits by fixed-point arithmetic."""
LIMITS = vision.Limits(1 << 30, 10**9)
PHOTO = Path(__file__).parent.parent / "model" / "imagenet" / "golden" / "chelsea.jpg"
MAGICK = shutil.which("magick") or shutil.which("convert") or "convert"


_RAW = (
    "-background white -alpha remove -alpha off -colorspace sRGB -type TrueColor "
    "-depth 16 -endian LSB RGB:RAW"
)
"""ImageMagick's own conversion to 8 bits cuts the lower byte off, so 16 bits are compared."""
_DECODERS = {
    "tiff": (f"MAGICK OUT[0] -auto-orient {_RAW}",),
    "avif": ("avifdec OUT PNG", f"MAGICK PNG {_RAW}"),
    "heic": ("heif-convert OUT PNG", f"MAGICK PNG {_RAW}"),
}


def sources(folder: Path) -> dict[str, Path]:
    """Write the pictures that cases are made from; return their files by name."""
    with Image.open(PHOTO) as file:
        photo = file.convert("RGB").resize((480, 480), Image.Resampling.BICUBIC)
    grey = np.asarray(photo.convert("L")).astype(np.uint16)
    alpha = photo.copy()
    alpha.putalpha(Image.linear_gradient("L").resize(photo.size))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    pictures = {
        "photo": photo,
        "alpha": alpha,
        "grey": Image.fromarray(grey.astype(np.uint8)),
        "wide": photo.resize((640, 480)),
        "odd": photo.resize((613, 449)),
        "small": photo.resize((96, 80)),
    }
    files = {}
    for name, picture in pictures.items():
        files[name] = folder / f"{name}.png"
        picture.save(files[name])
    files["profile"] = folder / "profile.png"
    photo.save(files["profile"], icc_profile=profile)
    # 16 bits: the low byte is another picture, so that each byte counts.
    files["deep"] = folder / "deep.png"
    run(f"MAGICK {files['photo']} -depth 16 -evaluate multiply 0.9371 PNG48:{files['deep']}", {})
    return files


def run(command: str, places: dict[str, str]) -> None:
    """Run a command, with names in it replaced."""
    places = {"MAGICK": MAGICK, **places}
    words = [
        re.sub(r"\b(MAGICK|BETWEEN|IN|OUT|PNG|RAW)\b", lambda name: places[name[0]], word)
        for word in command.split()
    ]
    process = subprocess.run(words, check=False, capture_output=True, text=True)
    if process.returncode:
        raise RuntimeError(f"{' '.join(words)}: {process.stderr.strip() or process.stdout.strip()}")


def differences(case: Case, files: dict[str, Path], folder: Path) -> tuple[float, int]:
    """Make the file of a case, and return mean and maximum difference from the tool's decode."""
    made = folder / f"made.{case.format}"
    made.unlink(missing_ok=True)
    places = {
        "BETWEEN": str(folder / "between"),
        "OUT": str(made),
        "PNG": str(folder / "decoded.png"),
        "RAW": str(folder / "decoded.raw"),
        "IN": str(files[case.source]),
    }
    for command in (*case.commands, *_DECODERS[case.decoder or case.format]):
        run(command, places)
    ours = vision.decode(made.read_bytes(), LIMITS)
    if ours.format != case.format:
        raise RuntimeError(f"it is read as {ours.format}")
    raw = np.fromfile(folder / "decoded.raw", "<u2").reshape(ours.height, ours.width, 3)
    theirs = folder / "theirs.png"
    Image.fromarray(np.round(raw / 257).astype(np.uint8)).save(theirs, compress_level=1)
    expected = vision.decode(theirs.read_bytes(), LIMITS).canvas
    difference = np.abs(ours.canvas.astype(int) - expected)
    return float(difference.mean()), int(difference.max())


@click.command()
@click.option("--format", "formats", multiple=True, type=click.Choice(list(_DECODERS)))
@click.option("--keep", type=click.Path(path_type=Path), help="Folder for the files.")
def main(formats: tuple[str, ...], keep: Path | None) -> None:
    """Print the differences of every case; exit with 1 if one is beyond its bounds."""
    failed = 0
    counts = dict.fromkeys(formats or _DECODERS, 0)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        files = sources(folder)
        for case in cases():
            if case.format not in counts:
                continue
            try:
                mean, most = differences(case, files, folder)
            except (RuntimeError, Exception) as err:
                print(f"{case.format} {case.name}: {type(err).__name__} {err}")
                failed += 1
                continue
            most_mean, most_of_all = BOUNDS[case.bounds]
            good = mean <= most_mean and most <= most_of_all
            failed += not good
            counts[case.format] += good
            mark = "" if good else "  BEYOND ITS BOUNDS"
            print(f"{case.format} {case.name:45} mean {mean:5.3f}  max {most:3}{mark}")
            if keep is not None:
                keep.mkdir(parents=True, exist_ok=True)
                shutil.copy(folder / f"made.{case.format}", keep / f"{case.name}.{case.format}")
    print("\n".join(f"{format}: {count} within the bounds" for format, count in counts.items()))
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
