"""Small files that cost much are refused before any decoder, or decoded within the budget."""

import io
import struct
import sys
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from app.errors import BrokenImage, UnsupportedFormat
from app.memory_budget import MemoryBudget
from app.vision import Limits, decode
from app.vision.formats import jpeg_markers
from app.vision.formats.jpeg_markers import (
    MAX_SCANS,
    MAX_SEGMENTS,
    MAX_SEQUENTIAL_SCANS,
    check_segments,
)

LIMITS = Limits(20 * 2**20, 50_000_000)


def jpeg(size=(480, 480), **options) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 100, 50)).save(file, "JPEG", **options)
    return file.getvalue()


def segment(marker: int, content: bytes = b"") -> bytes:
    return bytes((0xFF, marker)) + struct.pack(">H", 2 + len(content)) + content


def with_segments(data: bytes, segments: bytes) -> bytes:
    return data[:2] + segments + data[2:]


def with_empty_scans(count: int) -> bytes:
    data = jpeg(subsampling=0)
    head = data[: data.index(b"\xff\xda")]
    return head + segment(0xDA, bytes((1, 1, 0, 0, 63, 0))) * count + b"\xff\xd9"


def chunk(kind: bytes, content: bytes) -> bytes:
    checksum = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)


def png(extra: bytes = b"") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (480, 480), (200, 100, 50)).save(file, "PNG")
    data = file.getvalue()
    return data[:33] + extra + data[33:]


def is_refused_byte_by_byte(data: bytes, max_segments: int, max_scans: int) -> bool:
    """Reimplement `check_segments` for a sequential JPEG, byte by byte as in the standard."""
    at, segments, scans = 2, 0, 0
    while at + 1 < len(data):
        code = data[at + 1]
        if data[at] != 0xFF or code in (0, 1, 0xFF) or 0xD0 <= code <= 0xD8:
            at += 1
            continue
        if code == 0xD9:
            return False
        segments += 1
        scans += code == 0xDA
        if segments > max_segments or scans > max_scans:
            return True
        at += 2 + max(2, int.from_bytes(data[at + 2 : at + 4], "big"))
    return False


@settings(max_examples=300, deadline=None)
@given(
    parts=st.lists(
        st.one_of(
            st.binary(max_size=200),
            st.builds(segment, st.sampled_from((0xDA, 0xE1, 0xC4)), st.binary(max_size=40)),
            st.integers(1, 300).map(lambda count: b"\xff" * count),
            st.sampled_from((b"\xff\0", b"\xff\xd3", b"\xff\xd9", b"\xff\xda")),
        ),
        max_size=40,
    )
)
def test_the_marker_search_agrees_with_one_byte_by_byte(parts):
    data = b"\xff\xd8" + b"".join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jpeg_markers, "MAX_SEGMENTS", 4)
        patch.setattr(jpeg_markers, "MAX_SEQUENTIAL_SCANS", 1)
        patch.setattr(jpeg_markers, "_LAST_BLOCK_BYTES", 97)
        if is_refused_byte_by_byte(data, 4, 1):
            with pytest.raises(BrokenImage):
                check_segments(data)
        else:
            check_segments(data)


@pytest.mark.parametrize("filling", [b"\xff", b"\xff\0"], ids=["padding", "stuffing"])
def test_a_run_of_padding_is_searched_once(filling):
    def seconds(megabytes: int) -> float:
        data = b"\xff\xd8" + filling * (megabytes * 2**20 // len(filling))
        began = time.thread_time()
        check_segments(data)
        return time.thread_time() - began

    once = min(seconds(1) for _ in range(5))
    assert seconds(8) < 8 * 10 * once


@pytest.mark.parametrize(
    "data",
    [
        with_empty_scans(MAX_SEQUENTIAL_SCANS + 1),
        with_empty_scans(20_000),
        with_segments(jpeg(), segment(0xE5) * (MAX_SEGMENTS + 1)),
        with_segments(jpeg(), segment(0xE1, b"Exif\0\0" + bytes(100)) * (MAX_SEGMENTS + 1)),
    ],
    ids=["scans", "many scans", "segments", "exif segments"],
)
def test_a_jpeg_that_would_keep_the_decoder_busy_is_refused_by_its_layout(data, monkeypatch):
    monkeypatch.setattr("app.vision.formats.jpeg._JpegFile", None)  # no decoder is called
    with pytest.raises(BrokenImage, match="more than any camera or program writes"):
        decode(data, LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        jpeg(progressive=True),
        jpeg(restart_marker_blocks=1),
        with_segments(jpeg(), segment(0xE2, bytes(50)) * 300),
        with_segments(jpeg(), b"\xff\xff\xff" + segment(0xFE, b"padded")),
    ],
    ids=["progressive", "restarts", "300 segments", "fill bytes"],
)
def test_an_unusual_but_valid_jpeg_is_read(data):
    plain = decode(jpeg(), LIMITS).canvas
    assert np.abs(decode(data, LIMITS).canvas.astype(int) - plain).max() <= 1


def test_bytes_behind_the_image_do_not_count():
    video = np.random.default_rng(0).bytes(4_000_000) + b"\xff\xda\0\4xx" * (MAX_SCANS + 1)
    data = jpeg(progressive=True)
    assert np.array_equal(decode(data + video, LIMITS).canvas, decode(data, LIMITS).canvas)


def test_check_segments_accepts_a_jpeg_that_is_cut_short():
    check_segments(jpeg()[:100])
    check_segments(b"\xff\xd8\xff")


def test_only_one_of_many_profiles_in_a_png_is_inflated(monkeypatch):
    inflated = []
    monkeypatch.setattr("app.vision.formats.png._inflate_profile", inflated.append)
    decode(png(chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(1000))) * 50), LIMITS)
    assert len(inflated) == 1


def test_a_png_with_too_many_chunks_is_refused():
    with pytest.raises(BrokenImage, match="chunks"):
        decode(png(chunk(b"IDAT", b"") * 60_000), LIMITS)


def test_empty_pixel_chunks_change_nothing():
    plain = decode(png(), LIMITS).canvas
    assert np.array_equal(decode(png(chunk(b"IDAT", b"") * 10), LIMITS).canvas, plain)


def gif(comment: bytes) -> bytes:
    file = io.BytesIO()
    Image.new("P", (480, 480), 3).save(file, "GIF", transparency=3)
    data = file.getvalue()
    start = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    return data[:start] + b"\x21\xfe" + comment + b"\0" + data[start:]


def test_a_gif_comment_with_too_many_blocks_is_refused_and_a_shorter_one_skipped():
    with pytest.raises(BrokenImage, match="blocks"):
        decode(gif(b"\x01x" * 100_001), LIMITS)
    canvas = decode(gif(b"\x01x" * 100), LIMITS).canvas
    assert (canvas == 255).all()  # its transparency, behind the comment, still counts


def run_length_bmp(width: int, height: int, bits: int, compression: int, body: bytes) -> bytes:
    palette = bytes(4 * 2**bits)
    offset = 14 + 40 + len(palette)
    start = b"BM" + struct.pack("<IHHI", offset + len(body), 0, 0, offset)
    info = struct.pack("<IiiHHII", 40, width, height, 1, bits, compression, len(body))
    return start + info + struct.pack("<iiII", 0, 0, 2**bits, 0) + palette + body


@pytest.mark.parametrize(("bits", "compression"), [(8, 1), (4, 2)], ids=["rle8", "rle4"])
@pytest.mark.parametrize(
    ("width", "height", "body"),
    [
        (1, 50_000_000, b"\0\1"),
        (7000, 7000, b"\0\2\xff\xff" * 7000),
        (50_000, 50_000, b"\0\1"),
    ],
    ids=["one column", "jumps", "beyond the pixel limit"],
)
def test_a_run_length_encoded_bmp_is_refused_by_its_header(
    monkeypatch, width, height, body, bits, compression
):
    monkeypatch.setattr("app.vision.formats.bmp.BmpImageFile", None)  # no decoder is called
    with pytest.raises(UnsupportedFormat, match="run-length encoded"):
        decode(run_length_bmp(width, height, bits, compression, body), LIMITS)


def test_a_broken_large_image_frees_its_bytes(monkeypatch):
    budget = MemoryBudget(10**9)
    monkeypatch.setattr(sys.modules["app.vision.decode"], "_OFFLINE_BUDGET", budget)
    header = struct.pack(">IIBBBBB", 6000, 6000, 8, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"junk")
    for _ in range(2):
        with pytest.raises(BrokenImage):
            decode(data + chunk(b"IEND", b""), LIMITS)
    assert budget.held_bytes == 0
