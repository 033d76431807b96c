import pytest

from app.errors import NotAnImage, UnsupportedFormat
from app.vision.sniff import sniff


@pytest.mark.parametrize(
    ("data", "format"),
    [
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"\xff\xd8\xff\xdb", "jpeg"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "webp"),
        (b"GIF87a", "gif"),
        (b"GIF89a", "gif"),
        (b"BM" + bytes(12) + b"\x28\0\0\0", "bmp"),
        (b"BM" + bytes(12) + b"\x7c\0\0\0", "bmp"),
        (b"II*\0\x08\0\0\0", "tiff"),
        (b"MM\0*\0\0\0\x08", "tiff"),
        (b"II+\0\x08\0\0\0" + bytes(8), "tiff"),
        (b"MM\0+\0\x08\0\0" + bytes(8), "tiff"),
        (b"\0\0\0\x20ftypavif\0\0\0\0", "avif"),
        (b"\0\0\0\x20ftypavis\0\0\0\0", "avif"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1avifmiaf", "avif"),
        (b"\0\0\0\x20ftypheic\0\0\0\0", "heic"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0mif1heicmiaf", "heic"),
    ],
    ids=[
        "jfif",
        "bare-jpeg",
        "png",
        "webp",
        "gif87",
        "gif89",
        "bmp-v3",
        "bmp-v5",
        "tiff-le",
        "tiff-be",
        "bigtiff-le",
        "bigtiff-be",
        "avif",
        "avif-sequence",
        "avif-in-mif1",
        "heic",
        "heic-in-mif1",
    ],
)
def test_a_readable_format_is_detected(data, format):
    assert sniff(data) == format


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"II*\0\x10\0\0\0CR\2\0", "Canon CR2"),
        (b"IIRO\x08\0\0\0", "Olympus ORF"),
        (b"II\xbc\x01\x20\0\0\0", "JPEG XR"),
        (b"\0\0\0\x20ftypmif1\0\0\0\0", "HEIF"),
        (b"\0\0\0\x20ftypisom\0\0\0\0", "MP4 video"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\xff\x0a\xfa\x1f", "JPEG XL"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"\xff\x4f\xff\x51\0\x29", "JPEG 2000"),
        (b"\xff\xd8\xff\xf7\0\x0b", "JPEG-LS"),
        (b"%PDF-1.7", "PDF"),
        (b"8BPS\0\1", "PSD"),
        (b"\0\0\1\0\1\0", "ICO"),
        (b"qoif\0\0\0\1", "QOI"),
        (b"P6\n2 2\n255\n", "Netpbm"),
        (b'<svg xmlns="http://www.w3.org/2000/svg">', "SVG"),
        (b'\xef\xbb\xbf\n<?xml version="1.0"?><!-- a --><svg width="1">', "SVG"),
    ],
)
def test_the_error_names_an_unsupported_format(data, name):
    with pytest.raises(UnsupportedFormat, match=f"This is {name}, .* Convert it to JPEG, PNG"):
        sniff(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"\x89PNG",
        b"RIFF\0\0\0\0WAVEfmt ",
        b"BMW is a make of cars, and no bitmap",
        b"<html><body>502 Bad Gateway</body></html>",
        b'<?xml version="1.0"?><rss></rss>',
        b'{"image": "aGVsbG8="}',
        bytes(64),
    ],
    ids=["empty", "1-byte", "cut-magic", "wav", "text", "html", "xml", "json", "zeros"],
)
def test_anything_else_is_not_an_image(data):
    with pytest.raises(NotAnImage, match=r"Send (the bytes of a JPEG|the image's bytes)|Download"):
        sniff(data)
