"""The files that `benchmarks/formats.py` has other encoders make, and their commands.

In a command, MAGICK, IN, BETWEEN, OUT, PNG and RAW stand for ImageMagick and for files.
"""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A file to make, and the tool that decodes it."""

    format: str
    name: str
    source: str
    """The name of the picture that it is made from; `sources` makes them."""
    commands: tuple[str, ...]
    """They make OUT from IN; words are separated by spaces."""
    decoder: str = ""
    """The format whose decoder to use, if another one's."""

    @property
    def bounds(self) -> str:
        """The key of its bounds."""
        is_deep = self.format == "avif" and ("10 bits" in self.name or "12 bits" in self.name)
        return f"{self.format}, deep" if is_deep else self.format


def cases() -> Iterator[Case]:
    """Yield at least 30 cases of every format."""
    yield from _tiffs()
    yield from _avifs()
    yield from _heics()


def _tiffs() -> Iterator[Case]:
    for compression in ("None", "LZW", "Zip", "RLE"):
        yield from _tiff(f"{compression} rgb", f"-compress {compression}")
    for compression in ("LZW", "Zip"):
        yield from _tiff(
            f"{compression} predictor", f"-compress {compression} -define tiff:predictor=2"
        )
        yield from _tiff(f"{compression} 16 bits predictor", f"-depth 16 -compress {compression} "
                         "-define tiff:predictor=2", source="deep")  # fmt: skip
    yield from _tiff("grey", "-colorspace Gray -depth 8 -compress LZW")
    yield from _tiff("grey white is zero", "-colorspace Gray -depth 8 -compress None "
                     "-define quantum:polarity=min-is-white")  # fmt: skip
    yield from _tiff("grey 16 bits", "-colorspace Gray -depth 16 -compress None", source="deep")
    yield from _tiff(
        "rgb 16 bits, big endian", "-depth 16 -endian MSB -compress None", source="deep"
    )
    yield from _tiff("rgb, big endian", "-endian MSB -compress Zip")
    yield from _tiff("rgb BigTIFF", "-compress LZW", output="TIFF64:OUT")
    yield from _tiff("rgb 16 bits BigTIFF", "-depth 16 -compress Zip", "TIFF64:OUT", "deep")
    yield from _tiff("palette of 256", "-colors 200 -type Palette -compress LZW")
    yield from _tiff("palette of 16", "-colors 16 -type Palette -compress Zip -depth 4")
    yield from _tiff("one bit, fax group 4", "-monochrome -compress Group4")
    yield from _tiff("one bit, fax group 3", "-monochrome -compress Fax")
    yield from _tiff("one bit, LZW", "-monochrome -compress LZW")
    yield from _tiff("cmyk", "-colorspace CMYK -depth 8 -compress LZW")
    yield from _tiff("cmyk 16 bits", "-colorspace CMYK -depth 16 -compress Zip", source="deep")
    yield from _tiff("alpha", "-compress LZW", source="alpha")
    yield from _tiff("alpha 16 bits", "-depth 16 -compress Zip", source="alpha")
    yield from _tiff(
        "alpha associated", "-define tiff:alpha=associated -compress Zip", source="alpha"
    )
    yield from _tiff("jpeg", "-compress JPEG -quality 92")
    yield from _tiff("jpeg grey", "-colorspace Gray -compress JPEG -quality 92")
    yield from _tiff("two pages", "( +clone -negate ) -compress LZW")
    yield from _tiff("profile", "-compress LZW", source="profile")
    for orientation in ("BottomRight", "RightTop", "LeftTop"):
        yield from _tiff(
            f"orientation {orientation}", f"-orient {orientation} -compress Zip", source="wide"
        )
    yield from _tiff("odd size", "-resize 613x449! -compress LZW")
    for name, options in (
        ("tiles", "-t -w 128 -l 64 -c lzw"),
        ("tiles with predictor", "-t -w 112 -l 112 -c zip:2"),
        ("tiles of jpeg", "-t -w 160 -l 96 -c jpeg:r:95"),
        ("tiles uncompressed", "-t -w 256 -l 256 -c none"),
        ("one strip", "-s -r 480 -c zip"),
        ("strips of one row", "-s -r 1 -c packbits"),
        ("strips of 7 rows", "-s -r 7 -c lzw:2"),
        ("planar", "-p separate -c lzw"),
        ("planar tiles", "-p separate -t -w 64 -l 64 -c zip"),
        ("BigTIFF tiles", "-8 -B -t -w 64 -l 96 -c zip"),
        ("least significant bit first", "-f lsb2msb -c none"),
    ):
        first = "MAGICK IN -compress None BETWEEN.tif"
        yield Case("tiff", f"tiffcp: {name}", "photo", (first, f"tiffcp {options} BETWEEN.tif OUT"))
    deep = "MAGICK IN -depth 16 -compress None -interlace INTERLACE BETWEEN.tif"
    for name, interlace, options in (
        ("tiles, 16 bits", "none", "-t -w 80 -l 80 -c zip:2"),
        ("planar, 16 bits", "plane", "-c lzw:2"),
        ("big endian tiles, 16 bits", "none", "-B -t -w 64 -l 64 -c lzw:2"),
        ("planar big endian, 16 bits", "plane", "-B -s -r 9 -c none"),
    ):
        commands = deep.replace("INTERLACE", interlace), f"tiffcp {options} BETWEEN.tif OUT"
        yield Case("tiff", f"tiffcp: {name}", "deep", commands)


def _tiff(
    name: str, options: str, output: str = "TIFF:OUT", source: str = "photo"
) -> Iterator[Case]:
    yield Case("tiff", f"ImageMagick: {name}", source, (f"MAGICK IN {options} {output}",))


def _avifs() -> Iterator[Case]:
    lossless = "--min 0 --max 0"
    for name, options, source in (
        ("defaults", "", "photo"),
        ("lossless", "--lossless", "photo"),
        ("4:4:4", f"-y 444 {lossless}", "photo"),
        ("4:2:2", f"-y 422 {lossless}", "photo"),
        ("4:2:0", f"-y 420 {lossless}", "photo"),
        ("grey", f"-y 400 {lossless}", "photo"),
        ("10 bits", f"-d 10 -y 444 {lossless}", "deep"),
        ("12 bits", f"-d 12 -y 444 {lossless}", "deep"),
        ("10 bits 4:2:0", f"-d 10 -y 420 {lossless}", "deep"),
        ("12 bits 4:2:2", f"-d 12 -y 422 {lossless}", "deep"),
        ("limited range", f"-r limited -y 444 {lossless}", "photo"),
        ("limited range 4:2:0", "-r limited -y 420", "photo"),
        ("alpha", f"-y 444 {lossless}", "alpha"),
        ("alpha premultiplied", f"-p -y 444 {lossless}", "alpha"),
        ("alpha 10 bits", f"-d 10 -y 444 {lossless}", "alpha"),
        ("grid of 2 x 2", f"-g 2x2 -y 444 {lossless}", "photo"),
        ("grid of 3 x 1", f"-g 3x1 -y 420 {lossless}", "photo"),
        ("grid with alpha", f"-g 2x2 -y 444 {lossless}", "alpha"),
        ("tiles", "--tilerowslog2 1 --tilecolslog2 1", "photo"),
        ("rav1e", "-c rav1e -s 10", "photo"),
        ("svt", "-c svt -y 420 -s 10", "photo"),
        ("low quality", "--min 50 --max 60", "photo"),
        ("profile", f"-y 444 {lossless}", "profile"),
        ("odd size", f"-y 444 {lossless}", "odd"),
        ("odd size 4:2:0", f"-y 420 {lossless}", "odd"),
        ("BT.601 matrix", f"--cicp 1/13/5 -y 444 {lossless}", "photo"),
        ("BT.709 matrix", f"--cicp 1/13/1 -y 444 {lossless}", "photo"),
        ("film grain", "-a film-grain-test=1 -y 420", "photo"),
    ):
        command = f"avifenc -j 2 -s 8 {options} IN OUT"
        yield Case("avif", f"avifenc: {name}", source, (command,))
    for turn in ("--irot 1", "--irot 2", "--irot 3", "--imir 0", "--imir 1", "--irot 1 --imir 1"):
        command = f"avifenc -j 2 -s 8 -y 444 {lossless} {turn} IN OUT"
        yield Case("avif", f"avifenc: {turn}", "wide", (command,), "heic")
    for name, options in (
        ("defaults", ""),
        ("4:4:4", "-p chroma=444 -q 95"),
        ("lossless", "-L -p chroma=444 --matrix_coefficients=0"),
        ("thumbnail", "-t 128 -q 90"),
    ):
        yield Case("avif", f"heif-enc: {name}", "photo", (f"heif-enc -A {options} -o OUT IN",))
    yield Case("avif", "ImageMagick", "photo", ("MAGICK IN -quality 90 AVIF:OUT",))


def _heics() -> Iterator[Case]:
    for name, options, source in (
        ("defaults", "", "photo"),
        *((f"quality {quality}", f"-q {quality}", "photo") for quality in (20, 40, 60, 80, 95)),
        *((f"chroma {chroma}", f"-q 90 -p chroma={chroma}", "photo") for chroma in (420, 422, 444)),
        ("lossless", "-L -p chroma=444 --matrix_coefficients=0", "photo"),
        ("thumbnail", "-t 128", "photo"),
        ("10 bits", "-b 10 -q 95", "deep"),
        ("12 bits", "-b 12 -q 95", "deep"),
        ("10 bits 4:4:4", "-b 10 -q 95 -p chroma=444", "deep"),
        ("alpha", "-q 95 -p chroma=444", "alpha"),
        ("no alpha", "-q 95 --no-alpha", "alpha"),
        ("profile", "-q 95", "profile"),
        ("grey", "-q 95", "grey"),
        ("wide", "-q 90", "wide"),
        ("odd size", "-q 90", "odd"),
        ("odd size 4:4:4", "-q 90 -p chroma=444", "odd"),
        ("small", "-q 90", "small"),
        ("limited range", "-q 90 --full_range_flag=0", "photo"),
        ("BT.709", "-q 90 --matrix_coefficients=1", "photo"),
        ("BT.2020", "-q 90 --matrix_coefficients=9", "photo"),
        ("preset ultrafast", "-p preset=ultrafast", "photo"),
        ("preset slow", "-p preset=slow", "photo"),
        ("tune grain", "-p tune=grain", "photo"),
        ("coding tree units of 16", "-p x265:ctu=16", "photo"),
        ("two colour boxes", "--enable-two-colr-boxes", "profile"),
    ):
        command = f"heif-enc {options} -o OUT IN"
        yield Case("heic", f"heif-enc: {name}", source, (command,))
    for quality in (50, 90):
        command = f"MAGICK IN -quality {quality} HEIC:OUT"
        yield Case("heic", f"ImageMagick: quality {quality}", "photo", (command,))
